/// The next version of `targets`, to be changed before it is proposed: a value.
package struct TargetsDraft: Sendable {
    /// Life of the offline roles (threat model, section 2), in days.
    package static let days: Int64 = 365
    package static let rootDays: Int64 = 730

    package let version: UInt64
    /// Facts of the targets as they are, by path.
    private var targets: [String: TUFFileFacts]
    package private(set) var delegations: [TUFDelegation]
    package var lifted: Set<String>
    package var identities: Identities
    /// Files that are new, by path.
    package private(set) var files: [String: [UInt8]] = [:]

    /// The first.
    /// - Parameter deny: each of them alone may take a node out.
    package init(deny: [TUFKey]) {
        version = 1
        targets = [:]
        lifted = []
        identities = Identities()
        delegations = [TargetsDraft.deny(deny)]
    }

    package init(after current: TUFTargets) throws(FederationError) {
        version = current.common.version + 1
        targets = current.targets
        delegations = current.delegations
        do throws(TUFFault) {
            lifted = try Denial.lifted(current)
            identities = try Identities(current)
        } catch { throw error.error }
    }

    private static func deny(_ keys: [TUFKey]) -> TUFDelegation {
        TUFDelegation(
            name: Denial.role, role: TUFRole(keys, threshold: 1), isTerminating: true, scope: .paths(["deny/*"]))
    }

    package mutating func setDeny(_ keys: [TUFKey]) {
        delegations.removeAll { $0.name == Denial.role }
        delegations.append(TargetsDraft.deny(keys))
    }

    package mutating func set(_ path: String, _ bytes: [UInt8]) {
        targets[path] = TUFFileFacts(length: bytes.count, sha256: Digest.sha256(bytes).description)
        files[path] = bytes
    }

    package mutating func remove(_ path: String) {
        targets[path] = nil
        files[path] = nil
    }

    /// What an authority has answered a node: its identity key signs for its keys from now on, its segment's authority is
    /// known.
    /// - Returns: false when the node has another identity key, and a notice of this one has to run out first.
    @discardableResult
    package mutating func admit(_ answer: EnrolmentAnswer, now: Timestamp) throws(FederationError) -> Bool {
        try answer.check()
        guard let node = NodeID(answer.record.node) else { return true }
        let known = identities.announced[node]
        if let notice = identities.admit(node, answer.record.identityKey.lowercased(), now: now) {
            guard notice != known else {
                throw FederationError(
                    "notice-runs",
                    "another identity key of \(node) is announced, and may take its place from \(Instant.text(notice.from)) on",
                    remedy: "propose it again then")
            }
            return false
        }
        try delegate(to: node, identityKey: answer.record.identityKey)
        set(SignedFederation.authorityPath(answer.record.segment), Array(answer.anchor.utf8))
        return true
    }

    /// - Parameter identityKey: Ed25519, 32 bytes in hex.
    package mutating func delegate(to node: NodeID, identityKey: String) throws(FederationError) {
        guard let key = TUFKey(scheme: .ed25519, publicText: identityKey.lowercased()) else {
            throw FederationError(
                "answer-malformed", "the identity key of \(node) is not 32 bytes in hex",
                remedy: "have the authority issue it again")
        }
        delegations.removeAll { $0.name == PublishedKeys.role(of: node) }
        delegations.append(
            TUFDelegation(
                name: PublishedKeys.role(of: node), role: TUFRole([key], threshold: 1), isTerminating: true,
                scope: .paths(["nodes/\(node)/*"])))
    }

    /// Pins and authorities of a federation that ran before its metadata was signed: they count of each node until it has
    /// signed its keys itself.
    package mutating func carry(_ pins: Pins) throws(FederationError) {
        for record in pins.nodes {
            guard let node = NodeID(record.node) else { continue }
            try delegate(to: node, identityKey: record.identityKey)
        }
        for anchor in pins.anchors {
            set(SignedFederation.authorityPath(anchor.segment), Array(anchor.certificate.utf8))
        }
        set(SignedFederation.pinsPath, try TrustFile.encode(pins))
    }

    /// Whose keys these are.
    package func identity(of node: NodeID) -> TUFKey? {
        delegations.first { $0.name == PublishedKeys.role(of: node) }?.role.keys.values.first
    }

    package func has(_ path: String) -> Bool { targets[path] != nil }

    /// Every target, new or as it was.
    package var paths: [String] { targets.keys.sorted() }

    package mutating func dismiss(_ node: NodeID) {
        delegations.removeAll { $0.name == PublishedKeys.role(of: node) }
        identities.dismiss(node)
    }

    /// The metadata, for signing.
    package func document(reason: String, now: Timestamp) -> JSONText.Value {
        RoleDocument.targets(
            version: version, expires: now.advanced(byMilliseconds: TargetsDraft.days * 86_400_000),
            targets: targets.map { ($0.key, $0.value) }, delegations: delegations.sorted { $0.name < $1.name },
            reason: reason,
            extra: (lifted.isEmpty ? [] : [("x-lifted", .list(lifted.sorted().map { .string($0) }))])
                + identities.fields)
    }
}

extension SignedText {
    /// Of a role's metadata that nobody has signed yet.
    package static func unsigned(_ tree: JSONText.Value, _ role: String) throws(FederationError) -> SignedText {
        do throws(TUFFault) {
            return try SignedText(SignedText.file(tree, []), role, maximum: TUFTargets.maximumBytes)
        } catch { throw error.error }
    }
}

extension Proposal {
    /// What a node has signed of its keys: a newer version than is known, by the key to which `targets` delegates.
    package static func keys(
        _ keys: SignedKeys, of node: NodeID, after state: SignedFederation, now: Timestamp
    ) throws(FederationError) -> Proposal {
        let role = PublishedKeys.role(of: node)
        do throws(TUFFault) {
            let text = try SignedText(Array(keys.metadata.utf8), role, maximum: PublishedKeys.maximumBytes)
            let known = state.metadata.snapshot?.meta[role]?.version ?? 0
            let version = UInt64(try text.signed.integer("version", from: 1))
            guard version > known else {
                throw TUFFault(.rollback, role, "version \(version), version \(known) is known")
            }
            var base = ["root": state.metadata.root.text]
            base["targets"] = state.targets.text
            return Proposal(
                federation: state.topology.federation, reason: "keys of \(node)", created: now, base: base,
                roles: [role: text], files: [PublishedKeys.path(of: node): Array(keys.keys.utf8)])
        } catch { throw error.error }
    }

    package func version(of node: NodeID) -> Int64 {
        (try? roles[PublishedKeys.role(of: node)]?.signed.integer("version", from: 1)) ?? 0
    }

    /// The first publication of a federation.
    /// - Parameters:
    ///   - roles: of root: `root`, `timestamp`, `snapshot`, `targets`.
    ///   - nodes: what nodes have signed of their keys: metadata and keys.json, by node.
    package static func first(
        federation: String, roles: [String: TUFRole], targets: TargetsDraft,
        nodes: [NodeID: (metadata: [UInt8], keys: [UInt8])], reason: String, now: Timestamp
    ) throws(FederationError) -> Proposal {
        let expires = now.advanced(byMilliseconds: TargetsDraft.days * 86_400_000)
        var signed: [String: SignedText] = [
            "root": try .unsigned(
                RoleDocument.root(
                    version: 1, expires: now.advanced(byMilliseconds: TargetsDraft.rootDays * 86_400_000),
                    roles: roles, reason: reason), "root"),
            "targets": try .unsigned(targets.document(reason: reason, now: now), "targets"),
            Denial.role: try .unsigned(Denial.document(version: 1, expires: expires, entries: []), Denial.role),
        ]
        var files = targets.files
        for (node, own) in nodes {
            let role = PublishedKeys.role(of: node)
            do throws(TUFFault) {
                signed[role] = try SignedText(own.metadata, role, maximum: TUFTargets.maximumBytes)
            } catch { throw error.error }
            files[PublishedKeys.path(of: node)] = own.keys
        }
        return Proposal(
            federation: federation, reason: reason, created: now, base: [:], roles: signed, files: files)
    }
}
