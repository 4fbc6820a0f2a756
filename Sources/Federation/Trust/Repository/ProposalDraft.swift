/// What is to change, before it is proposed: a value.
package struct ProposalDraft: Sendable {
    /// The file as it is.
    package var topology: [UInt8]?
    package var answers: [EnrolmentAnswer] = []
    /// Certificates in PEM, by segment.
    package var authorities: [(segment: String, certificate: [UInt8])] = []
    package var dismissed: [NodeID] = []
    /// Nodes of which no other identity key is announced any more.
    package var withdrawn: [NodeID] = []
    /// Ids of entries of `deny` that `targets` takes back.
    package var lifted: [String] = []
    package var denied: [NodeID] = []
    /// New signers of `root`, `targets`, `snapshot`, `timestamp`.
    package var signers: [String: TUFRole] = [:]
    package var denyKeys: [TUFKey]?
    /// Roles that are signed anew although nothing in them changes: their dates come near.
    package var renewed: Set<String> = []

    package init() {}

    private var changesTargets: Bool {
        topology != nil || !answers.isEmpty || !authorities.isEmpty || !dismissed.isEmpty || !lifted.isEmpty
            || !withdrawn.isEmpty
            || denyKeys != nil || signers["targets"] != nil || renewed.contains("targets")
    }

    private var changesRoot: Bool { !signers.isEmpty || renewed.contains("root") }

    // MARK: The proposal

    /// - Parameter current: what is in force.
    /// - Throws: what a holder should not be asked to sign.
    package func proposal(
        after current: TrustFolder.Loaded, reason: String, now: Timestamp
    ) throws(FederationError) -> Proposal {
        let inForce = current.inForce
        let (targets, deny) = (inForce.targets, inForce.deny)
        guard changesTargets || changesRoot || !denied.isEmpty || renewed.contains(Denial.role) else {
            throw FederationError(
                "nothing-to-publish", "it changes nothing", remedy: "say what is to change; --help lists it")
        }
        guard denied.isEmpty || !(changesTargets || changesRoot) else {
            throw FederationError(
                "deny-apart", "to deny a node takes one signature, the rest takes more",
                remedy: "propose the two apart: the denial is in force at once")
        }
        var roles: [String: SignedText] = [:]
        var files: [String: [UInt8]] = [:]
        if changesRoot { roles["root"] = try root(after: current.baseline.root, reason, now) }
        if changesTargets {
            var draft = try TargetsDraft(after: targets)
            let next = try change(&draft, of: inForce, &roles, &files, now)
            try ProposalDraft.requireReachable(next, draft)
            roles["targets"] = try .unsigned(draft.document(reason: reason, now: now), "targets")
            files.merge(draft.files) { _, new in new }
        }
        let keys = denyKeys ?? targets.delegation(Denial.role).map { Array($0.role.keys.values) } ?? []
        if !denied.isEmpty || renewed.contains(Denial.role) || !ProposalDraft.vouches(keys, for: deny) {
            roles[Denial.role] = try document(after: deny, targets, inForce, reason, now)
        }
        return Proposal(
            federation: inForce.topology.federation, reason: reason, created: now,
            base: [
                "root": current.baseline.root.text, "targets": targets.text, Denial.role: deny.text,
            ], roles: roles, files: files)
    }

    private static func vouches(_ keys: [TUFKey], for deny: TUFTargets) -> Bool {
        !TUFRole(keys, threshold: 1).signers(of: deny.text).isEmpty
    }

    private func root(
        after known: TUFRoot, _ reason: String, _ now: Timestamp
    ) throws(FederationError) -> SignedText {
        try .unsigned(
            RoleDocument.root(
                version: known.common.version + 1,
                expires: now.advanced(byMilliseconds: TargetsDraft.rootDays * 86_400_000),
                roles: known.roles.merging(signers) { _, new in new }, reason: reason), "root")
    }

    // MARK: targets

    private func change(
        _ draft: inout TargetsDraft, of inForce: SignedFederation, _ roles: inout [String: SignedText],
        _ files: inout [String: [UInt8]], _ now: Timestamp
    ) throws(FederationError) -> Topology {
        let next = try topology(after: inForce)
        if let topology { draft.set(SignedFederation.topologyPath, topology) }
        if let denyKeys {
            guard !denyKeys.isEmpty else {
                throw FederationError(
                    "cuts-off-signers", "nobody could deny a node any more", remedy: "name at least one key for deny")
            }
            _ = try TUFRole(Denial.role, 1, of: denyKeys)
            draft.setDeny(denyKeys)
        }
        var pins = try inForce.carriedPins()
        for (segment, certificate) in authorities {
            guard next.segments.contains(where: { $0.id == segment }) else {
                throw FederationError(
                    "unknown-segment", "the topology has no segment \(segment)", remedy: "name one of its segments")
            }
            guard CertificateFacts(pem: String(decoding: certificate, as: UTF8.self))?.isAuthority == true else {
                throw FederationError(
                    "authority-unusable", "what is named for \(segment) is no certificate of an authority",
                    remedy: "name the ca.crt of the authority's folder")
            }
            draft.set(SignedFederation.authorityPath(segment), certificate)
        }
        for node in dismissed {
            draft.dismiss(node)
            pins?.nodes.removeAll { $0.node == node.text }
        }
        for node in withdrawn {
            guard draft.identities.announced[node] != nil else {
                throw FederationError(
                    "not-announced", "no other identity key of \(node) is announced",
                    remedy: "ekc topology status DIR lists the notices")
            }
            draft.identities.announce(node, nil)
        }
        for answer in answers { try admit(answer, inForce, next, &draft, &pins, &roles, &files, now) }
        try ProposalDraft.keep(pins, &draft, of: inForce)
        for id in lifted {
            guard inForce.denied.contains(where: { $0.id == id }) else {
                throw FederationError(
                    "not-denied", "there is no entry \(id)", remedy: "ekc topology status DIR lists who is denied")
            }
            draft.lifted.insert(id)
        }
        for segment in inForce.topology.segments where !next.segments.contains(where: { $0.id == segment.id }) {
            draft.remove(SignedFederation.authorityPath(segment.id))
        }
        return next
    }

    private func topology(after inForce: SignedFederation) throws(FederationError) -> Topology {
        guard let topology else { return inForce.topology }
        let next = try FederationNode.topology(topology, from: "the topology")
        guard next.federation == inForce.topology.federation else {
            throw FederationError(
                "wrong-federation", "the topology is of \(next.federation), this is \(inForce.topology.federation)",
                remedy: "name the topology of this federation")
        }
        guard next.version > inForce.topology.version else {
            throw FederationError(
                "topology-not-newer",
                "the topology has version \(next.version), version \(inForce.topology.version) is in force",
                remedy: "write \(inForce.topology.version + 1) there, or let --raise write it into the proposal")
        }
        try SignedFederation.requireUsable(next)
        guard next.centre == inForce.topology.centre else {
            throw FederationError(
                "centre-changes", "the topology has another centre, which could not sign what is online",
                remedy: "keep the centre's name; its address may change")
        }
        return next
    }

    private func admit(
        _ answer: EnrolmentAnswer, _ inForce: SignedFederation, _ next: Topology, _ draft: inout TargetsDraft,
        _ pins: inout Pins?, _ roles: inout [String: SignedText], _ files: inout [String: [UInt8]], _ now: Timestamp
    ) throws(FederationError) {
        guard let node = NodeID(answer.record.node), next.node(node) != nil else {
            throw FederationError(
                "unknown-node", "the topology has no node \(answer.record.node)",
                remedy: "propose it together with a topology that names it: --topology FILE")
        }
        guard answer.federation == next.federation else {
            throw FederationError(
                "wrong-federation", "the answer for \(node) is of \(answer.federation), this is \(next.federation)",
                remedy: "name the answers of this federation's authorities")
        }
        let path = SignedFederation.authorityPath(answer.record.segment)
        let known = authorities.last { $0.segment == answer.record.segment }?.certificate ?? inForce.files[path]
        guard known == nil || known == Array(answer.anchor.utf8) else {
            throw FederationError(
                "anchor-conflict", "the answer for \(node) is by another authority of \(answer.record.segment)",
                remedy: "find out which is the right one; --authority SEGMENT=PEM changes it for all nodes")
        }
        let before = draft.identity(of: node)?.publicText.lowercased()
        guard try draft.admit(answer, now: now) else { return }
        pins?.nodes.removeAll { $0.node == node.text }
        let role = PublishedKeys.role(of: node)
        let version = inForce.metadata.snapshot?.meta[role]?.version ?? 0
        if let published = answer.published {
            let metadata = try published.metadataText(of: node)
            if try metadata.version() > version {
                roles[role] = metadata
                files[PublishedKeys.path(of: node)] = Array(published.keys.utf8)
                return
            }
        }
        // What it has signed itself since is newer than what stood in its request.
        if version > 0, before == answer.record.identityKey.lowercased() { return }
        guard version == 0 else {
            throw FederationError(
                "keys-not-newer", "keys of \(node) under version \(version) are known, the answer has no higher",
                remedy: "have ekc node init run again at \(node), with its clock right, and its request answered")
        }
        var carried = pins ?? Pins(federation: next.federation)
        carried.nodes.removeAll { $0.node == node.text }
        carried.nodes.append(answer.record)
        carried.nodes.sort { $0.node < $1.node }
        pins = carried
    }

    /// `pins.json` is changed only when something in it is.
    private static func keep(
        _ pins: Pins?, _ draft: inout TargetsDraft, of inForce: SignedFederation
    ) throws(FederationError) {
        guard let pins, try pins != inForce.carriedPins() else { return }
        if pins.nodes.isEmpty {
            draft.remove(SignedFederation.pinsPath)
        } else {
            draft.set(SignedFederation.pinsPath, try TrustFile.encode(pins))
        }
    }

    /// Every live node keeps what others accept it by.
    static func requireReachable(_ topology: Topology, _ draft: TargetsDraft) throws(FederationError) {
        for node in topology.nodes where node.state == .live {
            guard draft.has(SignedFederation.authorityPath(node.segment)) else {
                throw FederationError(
                    "no-authority", "segment \(node.segment) of \(node.id) has no authority",
                    remedy: "--authority \(node.segment)=ca.crt, or an answer of that authority")
            }
            guard draft.identity(of: node.id) != nil else {
                throw FederationError(
                    "not-pinned", "\(node.id) is live, and its identity key is not known",
                    remedy: "--answer FILE with what its authority answered; or make it planned or retired first")
            }
        }
    }

    // MARK: deny

    private func document(
        after deny: TUFTargets, _ targets: TUFTargets, _ inForce: SignedFederation, _ reason: String, _ now: Timestamp
    ) throws(FederationError) -> SignedText {
        let version = deny.common.version + 1
        // Entries that were lifted need not be kept any more.
        var entries = inForce.denied
        for node in denied {
            guard inForce.topology.node(node) != nil else {
                throw FederationError(
                    "unknown-node", "the topology has no node \(node)", remedy: "nobody talks to it as it is")
            }
            guard inForce.topology.centre != node else {
                throw FederationError(
                    "centre-denied", "without the centre nothing newer would reach anybody",
                    remedy: "change the centre's online keys and its identity key by root and targets instead")
            }
            guard !entries.contains(where: { $0.node == node }) else {
                throw FederationError(
                    "already-denied", "\(node) is denied already", remedy: "ekc topology status DIR says since when")
            }
            entries.append(Denial(node: node, reason: reason, at: now))
        }
        return try .unsigned(
            Denial.document(
                version: version, expires: now.advanced(byMilliseconds: TargetsDraft.days * 86_400_000),
                entries: entries), Denial.role)
    }
}

extension SignedKeys {
    package func metadataText(of node: NodeID) throws(FederationError) -> SignedText {
        do throws(TUFFault) {
            return try SignedText(
                Array(metadata.utf8), PublishedKeys.role(of: node), maximum: TUFTargets.maximumBytes)
        } catch { throw error.error }
    }
}
