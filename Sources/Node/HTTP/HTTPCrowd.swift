import Federation

/// The connections of a server that wait for something of their clients, by what it is; each kind has so many seats.
/// Connections whose requests are being answered are not among them: nobody can take their place.
struct HTTPCrowd {
    enum Wait {
        case firstHead
        case nextHead
        case body
        case taking

        /// What is waited for, in words.
        var words: String {
            switch self {
            case .firstHead: "a request"
            case .nextHead: "a further request"
            case .body: "the whole body"
            case .taking: "taking its answer"
            }
        }
    }

    private var firstHeads: WaitingRoom
    private var nextHeads: WaitingRoom
    private var bodies: WaitingRoom
    private var untaken: WaitingRoom
    private var waiting: [WaitingRoom.Guest: Wait] = [:]

    init(_ limits: HTTPLimits) {
        firstHeads = WaitingRoom(seats: limits.newcomers)
        nextHeads = WaitingRoom(seats: limits.idle)
        bodies = WaitingRoom(seats: limits.bodies)
        untaken = WaitingRoom(seats: limits.untaken)
    }

    /// - Returns: who gives way.
    mutating func waits(_ guest: WaitingRoom.Guest, for wait: Wait, from peer: HTTPPeer) -> WaitingRoom.Guest? {
        left(guest)
        waiting[guest] = wait
        // On loopback all are alike; on a Unix socket each user is one.
        let origin = if case .unix(let user, _) = peer { WaitingRoom.Origin(user) } else { WaitingRoom.Origin(0) }
        let other = change(wait) { $0.enter(guest, from: origin) }
        if let other { waiting[other] = nil }
        return other
    }

    mutating func left(_ guest: WaitingRoom.Guest) {
        guard let wait = waiting.removeValue(forKey: guest) else { return }
        change(wait) { $0.leave(guest) }
    }

    private mutating func change<Result>(_ wait: Wait, _ body: (inout WaitingRoom) -> Result) -> Result {
        switch wait {
        case .firstHead: body(&firstHeads)
        case .nextHead: body(&nextHeads)
        case .body: body(&bodies)
        case .taking: body(&untaken)
        }
    }
}
