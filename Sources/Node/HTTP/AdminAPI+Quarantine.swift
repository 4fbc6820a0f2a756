import ContactCentre
import Federation

/// What is kept undecided, and the decisions of people. Never what is in a message: that is for whoever may read it.
extension AdminAPI {
    struct Quarantined: Codable {
        var number: UInt64
        /// held, released, returned.
        var state: String
        /// quarantined: it has ended the process twice; parked: it waits for a newer topology.
        var reason: String
        var tries: UInt32
        var origin: String
        var destination: String
        var lane: String
        var position: UInt64
        var kind: String
        var id: String
        var created: String
        var topologyVersion: UInt64
        var bytes: UInt32
        var heldAt: String
        var decidedAt: String?
        var decidedBy: String?
        var why: String?
        /// Why it was refused, when it was.
        var code: String?

        init(_ number: UInt64, _ row: QuarantineRow) {
            self.number = number
            state = row.state.name
            reason = row.reason.rawValue
            tries = row.tries
            origin = row.header.stream.origin.text
            destination = row.header.stream.destination.text
            lane = "\(row.header.stream.lane)"
            position = row.header.position
            kind = "\(row.header.kind)"
            id = AppealID(bits: row.header.id).description
            created = row.header.created.rfc3339
            topologyVersion = row.header.topologyVersion
            bytes = row.size
            heldAt = row.heldAt.rfc3339
            guard row.state != .held else { return }
            decidedAt = row.decidedAt.rfc3339
            decidedBy = row.decidedBy
            why = row.why
            if !row.code.isEmpty { code = row.code }
        }
    }

    struct Quarantines: Codable {
        /// Newest first, at most 1,000; what waits for a decision before what was decided.
        var messages: [Quarantined]
        /// What other nodes keep undecided of this node's.
        var heldElsewhere: [HeldElsewhere]
    }

    struct HeldElsewhere: Codable {
        var destination: String
        var lane: String
        var position: UInt64
        var kind: String
        var reason: String
        var since: String

        init(_ entry: Held.Entry) {
            destination = entry.header.stream.destination.text
            lane = "\(entry.header.stream.lane)"
            position = entry.header.position
            kind = "\(entry.header.kind)"
            reason = entry.reason
            since = entry.heldAt.rfc3339
        }
    }

    static func quarantine(of node: FederationNode) throws -> Quarantines {
        let (rows, held) = try node.store.read { transaction throws(StoreError) in
            var rows: [UInt64: QuarantineRow] = [:]
            for state in [QuarantineRow.State.held, .asked, nil] {
                for (number, row) in try Quarantine.list(limit: 1000 - rows.count, state, in: transaction) {
                    rows[number] = row
                }
            }
            return (rows.sorted { $0.key > $1.key }, try Held.list(limit: 1000, in: transaction))
        }
        return Quarantines(
            messages: rows.map { Quarantined($0.key, $0.value) }, heldElsewhere: held.map(HeldElsewhere.init))
    }

    private static func number(_ request: HTTPRequest) throws(Problem) -> UInt64 {
        guard let number = UInt64(request.parameters["number"] ?? "") else {
            throw Problem(
                400, "bad-field", "No number of the quarantine.", remedy: "ekc quarantine list shows the numbers.")
        }
        return number
    }

    static func quarantined(_ request: HTTPRequest, _ node: FederationNode) throws -> Quarantined {
        let number = try number(request)
        let row = try node.store.read { transaction throws(StoreError) in try Quarantine.row(number, in: transaction) }
        guard let row else {
            throw Problem(
                404, "no-such-quarantine", "Nothing is or was held under \(number).",
                remedy: "ekc quarantine list shows the numbers.")
        }
        return Quarantined(number, row)
    }

    static func decide(_ decision: Inbox.Decision, _ request: HTTPRequest, _ node: FederationNode) throws -> Quarantined
    {
        let number = try number(request)
        let why = try reason(request)
        let actor = actor(request)
        let row = try node.store.write(.essential) { [inbox = node.inbox] transaction in
            let row = try inbox.decide(number, decision, by: actor, why: why, in: transaction)
            try Events.note("quarantine-\(row.state.name)", of: "message \(number)", by: actor, in: transaction)
            return row
        }
        return Quarantined(number, row)
    }
}
