/// From what holders have signed to what nodes verify: the online roles at the centre say that it is the newest. Values; the
/// result has gone through the same walk that every node does.
package struct Publication: Sendable {
    /// Lives of the online roles (threat model, section 2), in days.
    package static let snapshotDays: Int64 = 30
    package static let timestampDays: Int64 = 14
    /// The timestamp is signed anew so often.
    package static let renewalSeconds: Int64 = 600

    /// A state with what it was made of.
    package struct Published: Sendable {
        package var state: SignedFederation
        /// New versions of root, to be kept.
        package var roots: [TUFWalk.Verified]
    }

    private static func days(_ days: Int64, after now: Timestamp) -> Timestamp {
        now.advanced(byMilliseconds: days * 86_400_000)
    }

    private static func signed(
        _ tree: JSONText.Value, by signer: any MetadataSigner
    ) throws(FederationError) -> [UInt8] {
        SignedText.file(tree, [try signer.signature(over: CanonicalJSON.encode(tree))])
    }

    /// What follows the state in force, as a proposal wants it.
    /// - Parameters:
    ///   - baseline: the newest root; of the first publication, its own.
    ///   - current: nil: this is the first.
    /// - Throws: `not-enough-signatures` with who is missing, and whatever a node would refuse.
    package static func following(
        _ baseline: TUFTrusted, _ current: SignedFederation?, _ proposal: Proposal, snapshot: any MetadataSigner,
        timestamp: any MetadataSigner, now: Timestamp
    ) throws(FederationError) -> Published {
        try proposal.requireFollows(baseline.root, current)
        try proposal.requireEnough()
        // What was listed once is listed for ever (TUF 1.0, section 5.5.5): of a role that is gone, its last version.
        var meta = current?.metadata.snapshot?.meta ?? [:]
        for (role, text) in proposal.roles where role != "root" {
            meta[role] = TUFMeta(version: try text.version(), text.bytes)
        }
        let version = (baseline.snapshot?.common.version ?? current?.metadata.snapshot?.common.version ?? 0) + 1
        let snapshotFile = try signed(
            RoleDocument.snapshot(version: version, expires: days(snapshotDays, after: now), meta: meta), by: snapshot)
        let timestampFile = try stamp(
            (baseline.timestamp?.common.version ?? current?.metadata.timestamp?.common.version ?? 0) + 1,
            TUFMeta(version: version, snapshotFile), by: timestamp, now)
        var tree = try tree(current, proposal)
        tree[TUFWalk.path(of: "snapshot", version: version)] = snapshotFile
        tree[TUFWalk.path(of: "timestamp", version: nil)] = timestampFile
        return try walk(baseline, current, tree, now)
    }

    private static func tree(
        _ current: SignedFederation?, _ proposal: Proposal
    ) throws(FederationError) -> [String: [UInt8]] {
        var tree = current.map(TrustFolder.tree) ?? [:]
        for (role, text) in proposal.roles {
            tree[TUFWalk.path(of: role, version: try text.version())] = text.bytes
        }
        for (path, bytes) in proposal.files {
            let facts = TUFFileFacts(length: bytes.count, sha256: Digest.sha256(bytes).description)
            tree[TUFWalk.path(ofTarget: path, facts)] = bytes
        }
        return tree
    }

    private static func stamp(
        _ version: UInt64, _ snapshot: TUFMeta, by signer: any MetadataSigner,
        _ now: Timestamp
    ) throws(FederationError) -> [UInt8] {
        try signed(
            RoleDocument.timestamp(
                version: version, expires: days(timestampDays, after: now), signedAt: now, snapshot: snapshot),
            by: signer)
    }

    /// The same state under a newer timestamp; the snapshot is signed anew when half of its life is over.
    package static func renewed(
        _ baseline: TUFTrusted, _ current: SignedFederation, snapshot: any MetadataSigner,
        timestamp: any MetadataSigner, now: Timestamp
    ) throws(FederationError) -> Published {
        guard let known = current.metadata.snapshot, let last = current.metadata.timestamp else {
            throw FederationError("trust-damaged", "there is no snapshot", remedy: "publish again")
        }
        var meta = last.snapshot
        var tree = TrustFolder.tree(of: current)
        if now > days(-snapshotDays / 2, after: known.common.expires) {
            let version = known.common.version + 1
            let file = try signed(
                RoleDocument.snapshot(version: version, expires: days(snapshotDays, after: now), meta: known.meta),
                by: snapshot)
            meta = TUFMeta(version: version, file)
            tree[TUFWalk.path(of: "snapshot", version: version)] = file
        }
        tree[TUFWalk.path(of: "timestamp", version: nil)] = try stamp(last.common.version + 1, meta, by: timestamp, now)
        return try walk(baseline, current, tree, now)
    }

    private static func walk(
        _ baseline: TUFTrusted, _ current: SignedFederation?, _ tree: [String: [UInt8]], _ now: Timestamp
    ) throws(FederationError) -> Published {
        var walk = TrustWalk(baseline, known: current, now: now)
        while let file = walk.wanted.first { try walk.arrived(file.path, tree[file.path]) }
        guard let state = try walk.result() else {
            throw FederationError("nothing-to-publish", "it changes nothing", remedy: "leave things as they are")
        }
        return Published(state: state, roots: walk.roots)
    }
}
