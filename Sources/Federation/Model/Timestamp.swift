/// An instant: milliseconds since 1970-01-01T00:00:00Z, as kept in the store and on the wire.
package struct Timestamp: Sendable, Hashable, Comparable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.milliseconds < right.milliseconds }

    /// The instant so many milliseconds later.
    package func advanced(byMilliseconds delta: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds + delta) }
}
