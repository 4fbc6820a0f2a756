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
        try requireBounded(proposal, now)
        // Versions go on from what the newest root vouches for: what it has made every client forget counts no more.
        var trusted = baseline
        if current != nil, let root = proposal.roles["root"] {
            do throws(TUFFault) { try trusted.update(root: root.bytes) } catch { throw error.error }
        }
        var meta = listed(current, trusted)
        for (role, text) in proposal.roles where role != "root" {
            meta[role] = TUFMeta(version: try text.version(), text.bytes)
        }
        let version = max(trusted.snapshot?.common.version ?? 0, trusted.timestamp?.snapshot.version ?? 0) + 1
        let snapshotFile = try signed(
            RoleDocument.snapshot(version: version, expires: days(snapshotDays, after: now), meta: meta), by: snapshot)
        let timestampFile = try stamp(
            (trusted.timestamp?.common.version ?? 0) + 1,
            TUFMeta(version: version, snapshotFile), by: timestamp, now)
        var tree = try tree(current, proposal)
        tree[TUFWalk.path(of: "snapshot", version: version)] = snapshotFile
        tree[TUFWalk.path(of: "timestamp", version: nil)] = timestampFile
        let published = try walk(baseline, current, tree, now)
        try requireEffect(of: proposal, current, published.state)
        return published
    }

    /// What was listed once is listed for ever (TUF 1.0, section 5.5.5): of a role that is gone, its last version. Of a snapshot
    /// that is forgotten only what stands behind it.
    private static func listed(_ current: SignedFederation?, _ trusted: TUFTrusted) -> [String: TUFMeta] {
        guard let current, let meta = current.metadata.snapshot?.meta else { return [:] }
        return trusted.snapshot == nil ? meta.filter { current.metadata.current($0.key) != nil } : meta
    }

    /// Whoever has a node's identity key cannot sign its name away: its versions are instants of its clock, and its keys live
    /// as long as those of others.
    private static func requireBounded(_ proposal: Proposal, _ now: Timestamp) throws(FederationError) {
        let day: Int64 = 86_400_000
        for (role, text) in proposal.roles where role.hasPrefix("node-") {
            let (version, expires) = (try text.version(), try text.expires())
            guard version <= UInt64(now.milliseconds + day), expires <= days(PublishedKeys.days + 1, after: now) else {
                throw FederationError(
                    "keys-out-of-bounds",
                    "\(role) is signed under version \(version) until \(Instant.text(expires)): farther ahead than now and 90 days",
                    remedy: "look at the clock of that node; if it is right, ask who has its identity key")
            }
        }
    }

    /// A denial that takes nobody out is not published as if it did.
    private static func requireEffect(
        of proposal: Proposal, _ current: SignedFederation?, _ next: SignedFederation
    ) throws(FederationError) {
        guard let text = proposal.roles[Denial.role] else { return }
        let known = Set(current?.denied.map(\.id) ?? [])
        let entries: [Denial]
        do throws(TUFFault) { entries = try Denial.read(TUFTargets(text.bytes, Denial.role)) } catch {
            throw error.error
        }
        for entry in entries where !known.contains(entry.id) && !next.denied.contains(entry) {
            throw FederationError(
                "denial-void", "\(entry.id) would take nobody out: it is lifted already, or it is the centre",
                remedy: "propose the denial anew")
        }
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
