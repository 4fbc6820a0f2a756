/// What a federation begins with, before its first publication is proposed: a value.
package struct Founding: Sendable {
    /// The file as it is.
    package var topology: [UInt8]
    package var answers: [EnrolmentAnswer] = []
    /// Of a federation that ran before its metadata was signed.
    package var pins: Pins?
    package var root: TUFRole
    package var targets: TUFRole
    package var deny: [TUFKey]
    /// Online, at the centre; others are spares.
    package var snapshot: [TUFKey]
    package var timestamp: [TUFKey]

    package init(
        topology: [UInt8], root: TUFRole, targets: TUFRole, deny: [TUFKey], snapshot: [TUFKey], timestamp: [TUFKey]
    ) {
        self.topology = topology
        self.root = root
        self.targets = targets
        self.deny = deny
        self.snapshot = snapshot
        self.timestamp = timestamp
    }

    /// The first publication, to be signed.
    /// - Throws: `topology-invalid`, `wrong-federation`, `not-pinned`, `no-authority`, `cuts-off-signers`, `key-online` …
    package func proposal(reason: String, now: Timestamp) throws(FederationError) -> Proposal {
        let topology = try FederationNode.topology(self.topology, from: "the topology")
        try SignedFederation.requireUsable(topology)
        _ = try TUFRole(Denial.role, 1, of: deny)
        try requireOffline()
        var draft = TargetsDraft(deny: deny)
        draft.set(SignedFederation.topologyPath, self.topology)
        var carried = try carry(&draft, topology)
        var nodes: [NodeID: (metadata: [UInt8], keys: [UInt8])] = [:]
        for answer in answers {
            guard answer.federation == topology.federation else {
                throw FederationError(
                    "wrong-federation",
                    "the answer for \(answer.record.node) is of \(answer.federation), this is "
                        + topology.federation, remedy: "name the answers of this federation's authorities")
            }
            guard let node = NodeID(answer.record.node), topology.node(node) != nil else {
                throw FederationError(
                    "unknown-node", "the topology has no node \(answer.record.node)",
                    remedy: "add it to the topology, or leave its answer out")
            }
            // Conflicts of authorities and identities are found as they were without signatures.
            try carried.add(answer)
            try draft.admit(answer, now: now)
            guard let published = answer.published else { continue }
            carried.nodes.removeAll { $0.node == node.text }
            nodes[node] = (Array(published.metadata.utf8), Array(published.keys.utf8))
        }
        if !carried.nodes.isEmpty { draft.set(SignedFederation.pinsPath, try TrustFile.encode(carried)) }
        try ProposalDraft.requireReachable(topology, draft)
        return try .first(
            federation: topology.federation,
            roles: [
                "root": root, "targets": targets, "snapshot": TUFRole("snapshot", 1, of: snapshot),
                "timestamp": TUFRole("timestamp", 1, of: timestamp),
            ], targets: draft, nodes: nodes, reason: reason, now: now)
    }

    /// What counted until now goes on to count, under signatures.
    private func carry(_ draft: inout TargetsDraft, _ topology: Topology) throws(FederationError) -> Pins {
        guard var pins else { return Pins(federation: topology.federation) }
        guard pins.federation == topology.federation else {
            throw FederationError(
                "wrong-federation", "the pins are of \(pins.federation), the topology is of \(topology.federation)",
                remedy: "name the pins.json that lies beside this topology")
        }
        // Of a node that the topology does not name nothing is carried on.
        pins.nodes.removeAll { record in !topology.nodes.contains { $0.id.text == record.node } }
        for anchor in pins.anchors where topology.segments.contains(where: { $0.id == anchor.segment }) {
            draft.set(SignedFederation.authorityPath(anchor.segment), Array(anchor.certificate.utf8))
        }
        for record in pins.nodes {
            if let node = NodeID(record.node) { try draft.delegate(to: node, identityKey: record.identityKey) }
        }
        return pins
    }

    /// A key of a machine that is on the network signs for nothing that people sign for.
    private func requireOffline() throws(FederationError) {
        let online = Set((snapshot + timestamp).map(\.value))
        let people = Array(root.keys.values) + Array(targets.keys.values) + deny
        guard let key = people.first(where: { online.contains($0.value) }) else { return }
        throw FederationError(
            "key-online", "the key of \(key.person) is an online key of the centre",
            remedy: "let each holder make a key on his own machine: ekc topology key")
    }
}

extension OpenCeremony {
    /// A founding with these holders.
    package func founding(
        _ topology: [UInt8], snapshot: TUFKey, timestamp: TUFKey
    ) throws(FederationError) -> Founding {
        Founding(
            topology: topology, root: try TUFRole("root", OpenCeremony.threshold, of: keys("root").map(\.key)),
            targets: try TUFRole("targets", OpenCeremony.threshold, of: keys("targets").map(\.key)),
            deny: try keys(Denial.role).map(\.key), snapshot: [snapshot], timestamp: [timestamp])
    }
}

extension NodeFolder {
    /// The centre's online keys, made when they are missing: in the clear, because the machine signs by itself.
    package func makeOnlineKeys() throws(FederationError) -> (snapshot: SigningKey, timestamp: SigningKey) {
        func key(_ path: String) throws(FederationError) -> SigningKey {
            Files.exists(path) ? try SigningKey.read(path) : try SigningKey.create(path)
        }
        return (try key(snapshotKey), try key(timestampKey))
    }

    /// The first publication: signed by the online keys, verified as every node does, and put in force here.
    /// - Parameter tree: the static tree, which every other node is installed with.
    /// - Throws: `not-enough-signatures`, `already-founded`.
    package func found(
        _ proposal: Proposal, tree: TrustFolder, now: Timestamp
    ) throws(FederationError) -> SignedFederation {
        guard !trust.isThere, !tree.isThere else {
            throw FederationError(
                "already-founded", "\(trust.isThere ? trust.path : tree.path) holds a signed topology already",
                remedy: "ekc topology propose makes what follows it")
        }
        try proposal.requireEnough()
        guard let root = proposal.roles["root"] else {
            throw FederationError(
                "proposal-inconsistent", "it has no root, and is no first publication",
                remedy: "name what ekc federation init has written")
        }
        let anchor: TUFTrusted
        do throws(TUFFault) { anchor = try TUFTrusted(anchor: root.bytes) } catch { throw error.error }
        let keys = try makeOnlineKeys()
        let published = try Publication.following(
            anchor, nil, proposal, snapshot: keys.snapshot, timestamp: keys.timestamp, now: now)
        try tree.keepAnchor(root.bytes)
        try tree.commit(published.state)
        let state = try trust.install(from: tree, anchor: root.bytes, now: now)
        try setPublishedAside(now)
        try keep(proposal)
        return state
    }
}
