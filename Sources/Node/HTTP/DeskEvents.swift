import ContactCentre
import Federation
import FoundationEssentials

/// What happens to the appeals that a person may touch, as server-sent events: `appeal`, under the number of its event,
/// with states and no text. One thread reads the table of events for all who follow; without them it sleeps.
final class DeskEvents: Sendable {
    private struct State {
        var followers: [Follower] = []
        var stopping = false
    }

    private struct Follower {
        var person: Operator
        /// Of the token that opened it: withdrawn, it hears nothing more.
        var token: [UInt8]
        var stream: EventStream
        var last: UInt64
    }

    /// The event as it is sent.
    struct Told: Codable {
        var id: String
        var event: String
        var from: String?
        var to: String
        var at: String
    }

    private typealias Row = (number: UInt64, event: AppealEventRecord)

    /// Between two looks.
    private static let pauseMilliseconds = 200
    /// Rows looked at for one follower at a time: they fit into what may wait for a client.
    private static let rows = 128

    private let node: FederationNode
    private let desk: Desk<Outbox>
    private let state = Monitor(State())

    init(_ node: FederationNode, _ desk: Desk<Outbox>) {
        self.node = node
        self.desk = desk
        Threads.start("desk-events") { self.run() }
    }

    /// - Parameters:
    ///   - token: its digest.
    ///   - number: the last event that the person has; nil: from now on.
    func follow(_ person: Operator, token: [UInt8], after number: UInt64?) throws(StoreError) -> EventStream {
        let last = try node.store.read { transaction throws(StoreError) in try Events.last(in: transaction) }
        let stream = EventStream()
        state.change {
            $0.followers.append(Follower(person: person, token: token, stream: stream, last: min(number ?? last, last)))
        }
        return stream
    }

    func stop() {
        state.change { state in
            state.stopping = true
            for follower in state.followers { follower.stream.close() }
            state.followers = []
        }
    }

    private func run() {
        while true {
            let isOver = state.wait(until: { $0.stopping || !$0.followers.isEmpty }, then: { $0.stopping })
            if isOver { return }
            let told = state.changeQuietly { $0.followers }.map { follower in (follower, tell(follower)) }
            state.changeQuietly { state in
                for (follower, last) in told {
                    guard let index = state.followers.firstIndex(where: { $0.stream === follower.stream }) else {
                        continue
                    }
                    state.followers[index].last = last
                }
                state.followers.removeAll { !$0.stream.isOpen }
            }
            _ = state.wait(milliseconds: DeskEvents.pauseMilliseconds, until: { $0.stopping }, then: { _ in })
        }
    }

    /// - Returns: the last number that the follower needs no more.
    private func tell(_ follower: Follower) -> UInt64 {
        let read: (last: UInt64, seen: [Row])?
        do throws(StoreError) { read = try look(follower) } catch { return follower.last }
        guard let read else {
            follower.stream.close()
            return follower.last
        }
        for (number, event) in read.seen {
            let told = Told(
                id: event.appeal, event: event.event.rawValue, from: event.from?.rawValue, to: event.to.rawValue,
                at: Timestamp(milliseconds: event.at).rfc3339)
            let data = String(decoding: Output.encode(told), as: UTF8.self)
            guard follower.stream.send(event: "appeal", id: "\(number)", data: data) else { return number }
        }
        return read.last
    }

    /// What a follower may see since the last look; nil when the token was withdrawn.
    private func look(_ follower: Follower) throws(StoreError) -> (last: UInt64, seen: [Row])? {
        try node.store.read { transaction throws(StoreError) -> (last: UInt64, seen: [Row])? in
            guard try Accounts.person(tokenDigest: follower.token, in: transaction) != nil else { return nil }
            let rows = try Events.transitions(after: follower.last, limit: DeskEvents.rows, in: transaction)
            var seen: [Row] = []
            for row in rows.found where try self.desk.mayFollow(follower.person, row.event, in: transaction) {
                seen.append(row)
            }
            return (last: rows.last, seen: seen)
        }
    }
}
