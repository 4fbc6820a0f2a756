/// What is trusted, grown by what has been verified in the order of the client workflow (TUF 1.0, section 5). A value
/// without IO; what is refused leaves it as it was.
package struct TUFTrusted: Sendable {
    package private(set) var root: TUFRoot
    /// The newest that was verified; it may have expired since.
    package private(set) var timestamp: TUFTimestamp?
    /// The newest that was verified: not always the one that the timestamp names.
    package private(set) var snapshot: TUFSnapshot?
    /// By role, of any version.
    package private(set) var targets: [String: TUFTargets] = [:]

    /// - Parameter anchor: the root that is believed because a person has brought it; it must be signed by its own keys.
    package init(anchor bytes: [UInt8]) throws(TUFFault) {
        root = try TUFRoot(bytes)
        try root.role("root").requireSigned(root.text, "root")
    }

    /// The next version of root, signed by the keys of this one and by its own. Its date is looked at when the last has
    /// come.
    package mutating func update(root bytes: [UInt8]) throws(TUFFault) {
        let next = try TUFRoot(bytes)
        guard next.common.version == root.common.version + 1 else {
            throw TUFFault(
                .rootVersion, "root", "version \(next.common.version) follows version \(root.common.version)")
        }
        try root.role("root").requireSigned(next.text, "root")
        try next.role("root").requireSigned(next.text, "root")
        // What the new keys do not vouch for is forgotten: the way out when a key has signed versions too high.
        if let known = timestamp, !TUFTrusted.isSigned(known.text, "timestamp", next) { timestamp = nil }
        if let known = snapshot, !TUFTrusted.isSigned(known.text, "snapshot", next) { snapshot = nil }
        root = next
    }

    private static func isSigned(_ text: SignedText, _ role: String, _ root: TUFRoot) -> Bool {
        (try? root.role(role).requireSigned(text, role)) != nil
    }

    /// - Parameter now: nil: it was verified before, and may have expired.
    /// - Returns: false when it is the one that is known.
    @discardableResult
    package mutating func update(timestamp bytes: [UInt8], now: Timestamp?) throws(TUFFault) -> Bool {
        try requireRoot(now)
        let next = try TUFTimestamp(bytes)
        try root.role("timestamp").requireSigned(next.text, "timestamp")
        if let known = timestamp {
            if next.common.version == known.common.version {
                try TUFTrusted.requireFresh(known.common, "timestamp", now)
                return false
            }
            try TUFTrusted.require(next.common.version, notBelow: known.common.version, "timestamp")
            try TUFTrusted.require(next.snapshot.version, notBelow: known.snapshot.version, "snapshot")
        }
        try TUFTrusted.requireFresh(next.common, "timestamp", now)
        timestamp = next
        return true
    }

    /// Whether the snapshot is the one that the timestamp names.
    package var hasSnapshot: Bool {
        guard let timestamp, let snapshot else { return false }
        return snapshot.common.version == timestamp.snapshot.version
            && timestamp.snapshot.facts.difference(of: snapshot.bytes) == nil
    }

    package mutating func update(snapshot bytes: [UInt8], now: Timestamp?) throws(TUFFault) {
        // A baseline from the disk may be older than the timestamp, and outlive a timestamp whose key was replaced.
        let isBaseline = now == nil
        guard timestamp != nil || isBaseline else {
            throw TUFFault(.missing, "timestamp", "it comes before the snapshot")
        }
        try requireRoot(now)
        if !isBaseline, let what = timestamp?.snapshot.facts.difference(of: bytes) {
            throw TUFFault(.mismatch, "snapshot", what)
        }
        let next = try TUFSnapshot(bytes)
        try root.role("snapshot").requireSigned(next.text, "snapshot")
        if !isBaseline, let named = timestamp?.snapshot.version, next.common.version != named {
            throw TUFFault(
                .mismatch, "snapshot", "version \(next.common.version), the timestamp names version \(named)")
        }
        if let known = snapshot {
            for (role, meta) in known.meta.sorted(by: { $0.key < $1.key }) {
                guard let now = next.meta[role] else { throw TUFFault(.rollback, role, "it is not listed any more") }
                try TUFTrusted.require(now.version, notBelow: meta.version, role)
            }
        }
        try TUFTrusted.requireFresh(next.common, "snapshot", now)
        snapshot = next
    }

    /// Whether a role's metadata is the version that the snapshot names.
    package func has(_ role: String) -> Bool { current(role) != nil }

    /// A role's metadata, if it is the version that the snapshot names: what is older counts for nothing.
    package func current(_ role: String) -> TUFTargets? {
        guard let meta = snapshot?.meta[role], let known = targets[role], known.common.version == meta.version,
            meta.facts.difference(of: known.bytes) == nil
        else { return nil }
        return known
    }

    /// The metadata of `targets`, or of a role to which a parent delegates.
    /// - Parameter parent: nil for `targets` itself.
    package mutating func update(
        targets bytes: [UInt8], of role: String, parent: String? = nil, now: Timestamp?
    ) throws(TUFFault) {
        guard let snapshot, hasSnapshot || now == nil else {
            throw TUFFault(.missing, "snapshot", "it comes before \(role)")
        }
        guard let meta = snapshot.meta[role] else { throw TUFFault(.missing, role, "the snapshot does not list it") }
        if let what = meta.facts.difference(of: bytes) { throw TUFFault(.mismatch, role, what) }
        let next = try TUFTargets(bytes, role)
        try signers(of: role, parent: parent).requireSigned(next.text, role)
        guard next.common.version == meta.version else {
            throw TUFFault(
                .mismatch, role, "version \(next.common.version), the snapshot names version \(meta.version)")
        }
        try TUFTrusted.requireFresh(next.common, role, now)
        targets[role] = next
    }

    private func signers(of role: String, parent: String?) throws(TUFFault) -> TUFRole {
        guard let parent else { return root.role("targets") }
        guard let delegation = targets[parent]?.delegation(role) else {
            throw TUFFault(.delegationUnknown, role, "\(parent) does not delegate to it")
        }
        return delegation.role
    }

    /// Of a snapshot that was verified before: whether a role is still signed as its parent says today.
    package func isVouchedFor(_ role: String, parent: String?) -> Bool {
        guard let known = targets[role], let role = try? signers(of: role, parent: parent) else { return false }
        return (try? role.requireSigned(known.text, "")) != nil
    }

    /// Whether what is known of `snapshot`, of `targets` or of a delegated role is not past its date.
    package func isFresh(_ role: String, _ now: Timestamp) -> Bool {
        guard let common = role == "snapshot" ? snapshot?.common : targets[role]?.common else { return false }
        return now < common.expires
    }

    private func requireRoot(_ now: Timestamp?) throws(TUFFault) {
        try TUFTrusted.requireFresh(root.common, "root", now)
    }

    private static func requireFresh(_ common: TUFCommon, _ role: String, _ now: Timestamp?) throws(TUFFault) {
        guard let now, now >= common.expires else { return }
        throw TUFFault(.expired, role, "version \(common.version) was good until \(Instant.text(common.expires))")
    }

    private static func require(_ version: UInt64, notBelow known: UInt64, _ role: String) throws(TUFFault) {
        guard version < known else { return }
        throw TUFFault(.rollback, role, "version \(version), version \(known) is known")
    }
}
