/// How long to wait before the next attempt to dial: 100 ms, doubled at each failure up to 1 s, each with a random part
/// taken off, so that nodes that lost the same peer do not come back at once.
package struct Backoff: Sendable, Hashable {
    private(set) var failures = 0

    package init() {}

    /// - Parameter random: any 64 random bits.
    /// - Returns: milliseconds.
    package mutating func failed(random: UInt64) -> Int64 {
        let full = min(100 << min(failures, 4), 1000)
        failures += 1
        return Int64(full / 2) + Int64(random % UInt64(full / 2 + 1))
    }

    /// The peer is there: the next failure begins anew.
    package mutating func succeeded() { failures = 0 }
}
