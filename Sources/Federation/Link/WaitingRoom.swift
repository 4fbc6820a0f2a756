/// Those at a door who have yet to show what they want: never more than there are seats. Whoever comes when all are
/// taken gets one, and somebody gives way: of the origin that holds most seats, who has waited longest. So an origin
/// that crowds the room crowds out itself first.
///
/// Numbers and no type parameters: a crowd makes this run thousands of times a second, on the thread that serves all
/// others too, and across modules a generic one would look up its types each time.
package struct WaitingRoom: Sendable {
    package typealias Guest = UInt64
    package typealias Origin = UInt64

    private struct Seat {
        var number: UInt64
        var origin: Origin
    }

    /// The guests of one origin, in the order in which they came; those that have left stay until they are met.
    private struct Line {
        var guests: [(number: UInt64, guest: Guest)] = []
        var first = 0
        /// Of those that have not left.
        var count = 0
    }

    package let seats: Int
    private var taken: [Guest: Seat] = [:]
    private var lines: [Origin: Line] = [:]
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
        append(guest, to: origin)
        guard taken.count > seats else { return nil }
        let most = lines.values.reduce(0) { max($0, $1.count) }
        var longest: (number: UInt64, guest: Guest)?
        for (origin, line) in lines where line.count == most {
            guard let one = head(of: origin), one.number < longest?.number ?? .max else { continue }
            longest = one
        }
        if let longest { leave(longest.guest) }
        return longest?.guest
    }

    /// Leaving twice, or without having come, is nothing.
    package mutating func leave(_ guest: Guest) {
        guard let seat = taken.removeValue(forKey: guest) else { return }
        lines[seat.origin]?.count -= 1
        if lines[seat.origin]?.count == 0 { lines[seat.origin] = nil }
    }

    private mutating func append(_ guest: Guest, to origin: Origin) {
        lines[origin, default: Line()].guests.append((last, guest))
        lines[origin]?.count += 1
        guard let line = lines[origin], line.guests.count > 2 * line.count + 32 else { return }
        lines[origin]?.guests = line.guests[line.first...].filter { taken[$0.guest]?.number == $0.number }
        lines[origin]?.first = 0
    }

    private mutating func head(of origin: Origin) -> (number: UInt64, guest: Guest)? {
        guard let line = lines[origin],
            let first = line.guests[line.first...].firstIndex(where: { taken[$0.guest]?.number == $0.number })
        else { return nil }
        lines[origin]?.first = first
        return line.guests[first]
    }
}
