import Federation
import Glibc

/// Messages that are counted where they arrive, for measuring.
extension AdminAPI {
    struct ProbeOrder: Codable, APIRequest {
        static let fields: Set = ["destination", "count", "size", "group", "rate"]
        var destination: String
        var count: Int
        var size: Int
        var group: Int
        /// Messages a second, each accepted alone when it is due; absent: as fast as it goes.
        var rate: Int?
    }

    struct ProbesAccepted: Codable {
        var accepted: Int
        /// Position of the last of them in its stream.
        var through: UInt64
        /// With a rate.
        var waits: ProbeWaits?
    }

    /// Microseconds from the instant at which a probe was due.
    struct ProbeWaits: Codable {
        struct Spread: Codable {
            var p50: Int64
            var p90: Int64
            var p99: Int64
            var most: Int64

            init(_ waits: [Int64]) {
                let sorted = waits.sorted()
                func at(_ hundredths: Int) -> Int64 { sorted.isEmpty ? 0 : sorted[sorted.count * hundredths / 100] }
                (p50, p90, p99, most) = (at(50), at(90), at(99), sorted.last ?? 0)
            }
        }

        /// Until it was durable here.
        var accepted: Spread
        /// Until its destination's receipt was here.
        var applied: Spread
    }

    struct ProbesApplied: Codable {
        var applied: UInt64
    }

    /// What an answer may take.
    private static let mostPacedSeconds = 20

    static func sendProbes(_ request: HTTPRequest, _ node: FederationNode) throws -> ProbesAccepted {
        let order = try JSONBody.decode(ProbeOrder.self, from: request.body)
        guard let destination = NodeID(order.destination), node.topology.node(destination) != nil,
            destination != node.id,
            node.topology.nextHop(from: node.id, to: destination) != nil
        else {
            throw Problem(
                409, "no-route", "\(order.destination) cannot be reached from \(node.id)",
                remedy: "name a node that the topology links")
        }
        guard (1...1_000_000).contains(order.count), (1...200_000).contains(order.size), (1...256).contains(order.group)
        else {
            throw Problem(
                400, "bad-field", "count, size or group is out of range",
                remedy: "count 1 to 1,000,000, size 1 to 200,000, group 1 to 256")
        }
        let body = EnvelopeBody(bytes: Array(repeating: 0x70, count: order.size))
        if let rate = order.rate {
            guard (1...10_000).contains(rate), order.group == 1, order.count <= rate * mostPacedSeconds else {
                throw Problem(
                    400, "bad-field", "rate is out of range, or does not go with count and group",
                    remedy: "rate 1 to 10,000 with group 1, and what it sends within \(mostPacedSeconds) s")
            }
            return try PacedProbes(order.count, to: destination, body, node).send(rate: rate)
        }
        var accepted = 0
        while accepted < order.count {
            accepted += try sendGroup(min(order.group, order.count - accepted), to: destination, body, node)
        }
        let stream = StreamID(
            origin: node.id, incarnation: node.store.incarnation, destination: destination, lane: .bulk)
        return ProbesAccepted(
            accepted: accepted, through: node.links.ask { exchange in exchange.rows[stream]?.last ?? 0 })
    }

    /// Hands a group to the writer at once, as so many submitters that wait would, and waits for all of them.
    private static func sendGroup(
        _ count: Int, to destination: NodeID, _ body: EnvelopeBody, _ node: FederationNode
    ) throws -> Int {
        let done = Monitor((left: count, failure: Optional<any Error>.none))
        let jobs = (0..<count).map { _ in
            WriteJob(.intake) { transaction in
                try node.outbox.send(.probe, id: Random.id128(), to: destination, body: body, in: transaction)
            } completion: { result in
                let isLast = done.changeQuietly { state in
                    state.left -= 1
                    if case .failure(let error) = result { state.failure = error }
                    return state.left == 0
                }
                if isLast { done.change { _ in } }
            }
        }
        node.store.writer.submit(jobs)
        return try done.wait(until: { $0.left == 0 }) { state in
            if let failure = state.failure { throw failure }
            return count
        }
    }
}

/// Probes that come one by one, as appeals do, with nobody else's in their stream; and how long each takes.
private final class PacedProbes: Sendable {
    private struct State {
        /// When each was due, in the order of their positions.
        var due: [Int64] = []
        var accepting: [Int64] = []
        var applying: [Int64] = []
        var failure: (any Error)?
        var isOver = false
    }

    /// After the last one was accepted.
    private static let longestSeconds: Int64 = 8

    private let count: Int
    private let body: EnvelopeBody
    private let destination: NodeID
    private let node: FederationNode
    private let stream: StreamID
    /// The last position before them.
    private let base: UInt64
    private let state = Monitor(State())

    init(_ count: Int, to destination: NodeID, _ body: EnvelopeBody, _ node: FederationNode) {
        self.count = count
        self.body = body
        self.destination = destination
        self.node = node
        let stream = StreamID(
            origin: node.id, incarnation: node.store.incarnation, destination: destination, lane: .bulk)
        self.stream = stream
        base = node.links.ask { exchange in exchange.rows[stream]?.last ?? 0 }
    }

    func send(rate: Int) throws -> AdminAPI.ProbesAccepted {
        node.links.follow { [self] exchange in heard(exchange.decided(stream)) }
        defer { state.changeQuietly { $0.isOver = true } }
        let begun = Clocks.monotonicMicroseconds()
        for number in 0..<count {
            let due = begun + Int64(number) * 1_000_000 / Int64(rate)
            let early = due - Clocks.monotonicMicroseconds()
            if early > 0 { usleep(UInt32(early)) }
            submit(due)
        }
        try state.wait(until: { [count] in $0.accepting.count == count || $0.failure != nil }) { state in
            if let failure = state.failure { throw failure }
        }
        let end = Clocks.monotonicMicroseconds() + PacedProbes.longestSeconds * 1_000_000
        while state.changeQuietly({ $0.applying.count < count }), Clocks.monotonicMicroseconds() < end {
            usleep(5_000)
        }
        return try state.changeQuietly { state in
            guard state.applying.count == count else {
                throw Problem(
                    503, "not-applied", "\(state.applying.count) of \(count) were applied in time; nothing is lost",
                    remedy: "see ekc link list")
            }
            return AdminAPI.ProbesAccepted(
                accepted: count, through: base + UInt64(count),
                waits: .init(accepted: .init(state.accepting), applied: .init(state.applying)))
        }
    }

    private func submit(_ due: Int64) {
        state.changeQuietly { $0.due.append(due) }
        node.store.submit(.intake) { [self] transaction in
            try node.outbox.send(.probe, id: Random.id128(), to: destination, body: body, in: transaction)
        } completion: { [state] result in
            let now = Clocks.monotonicMicroseconds()
            state.change { state in
                switch result {
                case .success: state.accepting.append(now - due)
                case .failure(let error): state.failure = error
                }
            }
        }
    }

    /// - Returns: whether there is more to hear.
    private func heard(_ decided: UInt64) -> Bool {
        let now = Clocks.monotonicMicroseconds()
        return state.changeQuietly { state in
            while state.applying.count < state.due.count, base + UInt64(state.applying.count) < decided {
                state.applying.append(now - state.due[state.applying.count])
            }
            return !state.isOver && state.applying.count < count
        }
    }
}
