/// A federation whose holders' keys all lie in one folder, in the clear: for demonstrations and tests, where no person signs.
/// Two of three sign root and targets, one of three denies.
package struct OpenCeremony: Sendable {
    package static let holders = ["anna", "boris", "vera"]
    static let threshold = 2

    package let folder: String

    /// Makes the keys that are missing.
    package init(_ folder: String) throws(FederationError) {
        self.folder = folder
        try Files.makeFolder(folder, mode: 0o700)
        for role in ["root", "targets", Denial.role] {
            for holder in OpenCeremony.holders where !Files.exists(path(role, holder)) {
                _ = try SigningKey.create(path(role, holder), holder: holder)
            }
        }
    }

    package func path(_ role: String, _ holder: String) -> String { "\(folder)/\(role)-\(holder).key" }

    package func keys(_ role: String) throws(FederationError) -> [SigningKey] {
        try OpenCeremony.holders.map { (holder) throws(FederationError) in
            try SigningKey.read(path(role, holder), holder: holder)
        }
    }

    /// The first publication, in the centre's folder.
    /// - Parameters:
    ///   - pins: of nodes that have not signed their keys.
    ///   - centre: gets the online keys, unless it has them.
    /// - Returns: what the other nodes install.
    @discardableResult
    package func begin(
        _ topology: [UInt8], answers: [EnrolmentAnswer], pins: Pins? = nil, centre: NodeFolder, now: Timestamp
    ) throws(FederationError) -> TrustFolder {
        try centre.trust.replace(
            with: try first(topology, answers: answers, pins: pins, centre: centre, now: now))
        return centre.trust
    }

    /// The first publication, nowhere yet.
    package func first(
        _ topology: [UInt8], answers: [EnrolmentAnswer], pins: Pins?, centre: NodeFolder, now: Timestamp
    ) throws(FederationError) -> SignedFederation {
        var targets = TargetsDraft(deny: try keys(Denial.role).map(\.key))
        targets.set(SignedFederation.topologyPath, topology)
        var nodes: [NodeID: (metadata: [UInt8], keys: [UInt8])] = [:]
        for answer in answers {
            try targets.admit(answer, now: now)
            if let own = answer.published, let node = NodeID(answer.record.node) {
                nodes[node] = (Array(own.metadata.utf8), Array(own.keys.utf8))
            }
        }
        if let pins { try targets.carry(pins) }
        let (snapshot, timestamp) = try centre.makeOnlineKeys()
        let root = try TUFRole(keys("root").map(\.key), threshold: OpenCeremony.threshold)
        let signers = try TUFRole(keys("targets").map(\.key), threshold: OpenCeremony.threshold)
        var proposal = try Proposal.first(
            federation: try FederationNode.topology(topology, from: SignedFederation.topologyPath).federation,
            roles: [
                "root": root, "targets": signers, "snapshot": TUFRole([snapshot.key], threshold: 1),
                "timestamp": TUFRole([timestamp.key], threshold: 1),
            ], targets: targets, nodes: nodes, reason: "the first publication", now: now)
        try sign(&proposal)
        let baseline: TUFTrusted
        do throws(TUFFault) { baseline = try TUFTrusted(anchor: proposal.roles["root"]?.bytes ?? []) } catch {
            throw error.error
        }
        return try Publication.following(
            baseline, nil, proposal, snapshot: snapshot, timestamp: timestamp, now: now
        ).state
    }

    /// As many as must sign do.
    package func sign(_ proposal: inout Proposal) throws(FederationError) {
        for role in ["root", "targets", Denial.role] {
            for key in try keys(role).prefix(OpenCeremony.threshold) {
                do throws(FederationError) { _ = try proposal.sign(by: key) } catch {
                    guard error.code == "key-unknown" else { throw error }
                }
            }
        }
    }

    /// A newer topology, signed.
    package func proposal(
        _ topology: [UInt8], after state: SignedFederation, reason: String, now: Timestamp
    ) throws(FederationError) -> Proposal {
        var targets = try TargetsDraft(after: state.targets)
        targets.set(SignedFederation.topologyPath, topology)
        return try signed(
            ["targets": try .unsigned(targets.document(reason: reason, now: now), "targets")], targets.files, state,
            reason, now)
    }

    /// One node out, signed by one.
    package func denial(
        of node: NodeID, after state: SignedFederation, reason: String, now: Timestamp
    ) throws(FederationError) -> Proposal {
        let version = state.deny.common.version + 1
        let entry = Denial(node: node, reason: reason, at: now)
        let document = Denial.document(
            version: version, expires: now.advanced(byMilliseconds: TargetsDraft.days * 86_400_000),
            entries: state.denied + [entry])
        return try signed([Denial.role: try .unsigned(document, Denial.role)], [:], state, reason, now)
    }

    /// Denials taken back, signed by those of `targets`.
    package func lift(
        _ ids: [String], after state: SignedFederation, reason: String, now: Timestamp
    ) throws(FederationError) -> Proposal {
        var targets = try TargetsDraft(after: state.targets)
        targets.lifted.formUnion(ids)
        return try signed(
            ["targets": try .unsigned(targets.document(reason: reason, now: now), "targets")], [:], state, reason, now)
    }

    private func signed(
        _ roles: [String: SignedText], _ files: [String: [UInt8]], _ state: SignedFederation, _ reason: String,
        _ now: Timestamp
    ) throws(FederationError) -> Proposal {
        let base = ["root": state.metadata.root.text, "targets": state.targets.text, Denial.role: state.deny.text]
        var proposal = Proposal(
            federation: state.topology.federation, reason: reason, created: now, base: base, roles: roles, files: files)
        try sign(&proposal)
        return proposal
    }
}
