/// How long ago a newer timestamp was verified (architecture, section 4), and how late it is at least. Kept on the disk; a
/// clock that is set back makes neither younger, and while the node runs both grow with what passes.
package struct Freshness: TrustRecord, Equatable {
    package var format = 1
    /// Of the timestamp.
    package var version: UInt64
    /// Milliseconds since a newer one was verified.
    package var age: Int64
    /// The wall's, when this was written: what passes while the node is down counts too.
    package var seenAt: Int64
    /// The latest instant that signed metadata has shown.
    package var floor: Int64

    /// Times of somebody else are taken with a tolerance of five minutes.
    package static let toleranceMilliseconds: Int64 = 300_000
    package static let warnMilliseconds: Int64 = 24 * 3_600_000
    /// Beyond it nothing new is admitted: no metadata is good for longer.
    package static let hardMilliseconds: Int64 = 14 * 24 * 3_600_000

    package init(version: UInt64, signedAt: Timestamp?, now: Timestamp) {
        self.version = version
        age = 0
        seenAt = now.milliseconds
        // Whoever signs timestamps cannot push the clock of others on, step by step.
        floor = min(signedAt?.milliseconds ?? 0, now.milliseconds + Freshness.toleranceMilliseconds)
    }

    /// Time that dates are held against: never before what was signed.
    package func time(_ wall: Timestamp) -> Timestamp { Timestamp(milliseconds: max(wall.milliseconds, floor)) }

    /// The node has started: it was down since it last looked, as far as clocks tell.
    package mutating func resumed(at wall: Timestamp) {
        age += max(0, wall.milliseconds - seenAt)
        seenAt = wall.milliseconds
    }

    package mutating func passed(_ milliseconds: Int64, at wall: Timestamp) {
        age += max(0, milliseconds)
        floor += max(0, milliseconds)
        seenAt = wall.milliseconds
    }

    /// - Returns: false when it is not newer.
    @discardableResult
    package mutating func verified(_ version: UInt64, signedAt: Timestamp?, now: Timestamp) -> Bool {
        guard version != self.version else { return false }
        let before = floor
        self = Freshness(version: version, signedAt: signedAt, now: now)
        floor = max(floor, before)
        return true
    }
}
