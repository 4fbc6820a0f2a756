import ContactCentre
import Federation

/// Where is it? Answered from the node's own store, without a word of what was said.
extension AdminAPI {
    struct Trace: Codable {
        struct Event: Codable {
            var at: String
            var from: String?
            var to: String
            var event: String
            var actor: String
            var code: String?
        }

        struct Waiting: Codable {
            var destination: String
            var nextHop: String?
            var lane: String
            var position: UInt64
            var ageSeconds: Int64
            var reason: String
        }

        var id: String
        var node: String
        var state: String
        var owner: String?
        var ownershipEpoch: Int
        var tenancy: String?
        /// The node that it was handed to from here.
        var home: String?
        var events: [Event]
        var outbox: [Waiting]
    }

    static func trace(_ id: AppealID, _ node: FederationNode) throws -> Trace {
        let now = Clocks.wall().milliseconds
        let running = Set(node.links.ask { $0.links }.filter { $0.phase == .running }.map(\.peer))
        let found = try node.store.read { transaction throws(StoreError) in
            (
                try AppealLookup.appeal(id, in: transaction), try AppealLookup.events(of: id, in: transaction),
                try AppealLookup.kept(id, in: transaction)
            )
        }
        guard let appeal = found.0 else {
            throw Problem(
                404, "no-such-appeal", "\(id) is not known at \(node.id).", remedy: "Ask the centre or its home.")
        }
        let outbox = found.2.map { header in
            let hop = node.topology.nextHop(from: node.id, to: header.stream.destination)
            let reason =
                hop.map { running.contains($0) ? "sent or about to be, no receipt yet" : "no link with \($0)" }
                ?? "no route in the topology"
            return Trace.Waiting(
                destination: header.stream.destination.text, nextHop: hop?.text, lane: "\(header.stream.lane)",
                position: header.position, ageSeconds: (now - header.created.milliseconds) / 1000, reason: reason)
        }
        return Trace(
            id: appeal.id, node: node.id.text, state: appeal.state.rawValue, owner: appeal.owner,
            ownershipEpoch: appeal.ownershipEpoch, tenancy: appeal.tenancy, home: appeal.home,
            events: found.1.map { event in
                Trace.Event(
                    at: Timestamp(milliseconds: event.at).rfc3339, from: event.from?.rawValue, to: event.to.rawValue,
                    event: event.event.rawValue, actor: event.actor, code: event.code)
            }, outbox: outbox)
    }
}
