import Federation

/// The connections of a server that wait for something of their clients, by what it is; each kind has so many seats.
/// Connections whose requests are being answered are not among them: nobody can take their place.
struct HTTPCrowd {
    enum Wait: String, CaseIterable {
        case firstHead = "a request"
        case nextHead = "a further request"
        case body = "the whole body"
    }

    /// On loopback all are alike; on a Unix socket each user is one.
    private typealias Room = WaitingRoom<ObjectIdentifier, UInt32>

    private var rooms: [Wait: Room]
    private var waiting: [ObjectIdentifier: Wait] = [:]

    init(_ limits: HTTPLimits) {
        rooms = [
            .firstHead: Room(seats: limits.newcomers), .nextHead: Room(seats: limits.idle),
            .body: Room(seats: limits.bodies),
        ]
    }

    /// - Returns: who gives way.
    mutating func waits(_ guest: ObjectIdentifier, for wait: Wait, from peer: HTTPPeer) -> ObjectIdentifier? {
        left(guest)
        waiting[guest] = wait
        let origin = if case .unix(let user, _) = peer { user } else { UInt32(0) }
        guard let other = rooms[wait]?.enter(guest, from: origin) else { return nil }
        waiting[other] = nil
        return other
    }

    mutating func left(_ guest: ObjectIdentifier) {
        guard let wait = waiting.removeValue(forKey: guest) else { return }
        rooms[wait]?.leave(guest)
    }

    func count(_ wait: Wait) -> Int { rooms[wait]?.count ?? 0 }
}
