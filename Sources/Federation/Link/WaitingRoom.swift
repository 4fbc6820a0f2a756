/// Those at a door who have yet to show what they want: never more than there are seats. Whoever comes when all are
/// taken gets one, and somebody gives way: of the origin that holds most seats, who has waited longest. So an origin
/// that crowds the room crowds out itself first.
package struct WaitingRoom<Guest: Hashable & Sendable, Origin: Hashable & Sendable>: Sendable {
    private struct Seat {
        var number: UInt64
        var origin: Origin
    }

    package let seats: Int
    private var taken: [Guest: Seat] = [:]
    private var crowds: [Origin: Int] = [:]
    private var last: UInt64 = 0

    package init(seats: Int) {
        precondition(seats > 0, "a room has a seat")
        self.seats = seats
    }

    package var count: Int { taken.count }

    /// - Returns: who gives way; it has left. Never the guest itself.
    package mutating func enter(_ guest: Guest, from origin: Origin) -> Guest? {
        leave(guest)
        last += 1
        taken[guest] = Seat(number: last, origin: origin)
        crowds[origin, default: 0] += 1
        guard taken.count > seats else { return nil }
        let most = crowds.values.max()
        let longest = taken.filter { crowds[$0.value.origin] == most }.min { $0.value.number < $1.value.number }?.key
        if let longest { leave(longest) }
        return longest
    }

    /// Leaving twice, or without having come, is nothing.
    package mutating func leave(_ guest: Guest) {
        guard let seat = taken.removeValue(forKey: guest), let crowd = crowds[seat.origin] else { return }
        crowds[seat.origin] = crowd == 1 ? nil : crowd - 1
    }
}
