/// Priority class of a stream. The lane follows from the kind of a message, never from its sender's wish.
package enum Lane: UInt8, CaseIterable, Sendable, Hashable, Comparable {
    case control = 0
    case appeals = 1
    case knowledge = 2
    case bulk = 3

    package static func < (left: Lane, right: Lane) -> Bool { left.rawValue < right.rawValue }
}
