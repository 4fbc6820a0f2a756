import ContactCentre
import Federation

/// What people at desks do with an appeal. Every act but the first names the claim under which it is done.
extension OperatorAPI {
    struct Act: Codable, APIRequest {
        /// Of every act; each takes its own only.
        static let fields = Set(takes.values.joined().map { $0.hasSuffix("?") ? String($0.dropLast()) : $0 })

        /// The fields of each act; those with a question mark may be absent.
        static let takes: [String: [String]] = [
            "/api/v1/queue/claim": ["id?"],
            "/api/v1/appeals/{id}/release": ["claim"],
            "/api/v1/appeals/{id}/resolve": ["claim", "entry?", "revision?", "reason?"],
            "/api/v1/appeals/{id}/escalate": ["claim", "reason"],
            "/api/v1/appeals/{id}/identity": ["claim", "citizen?", "refused?"],
            "/api/v1/appeals/{id}/answer": ["claim", "text", "delivery"],
            "/api/v1/appeals/{id}/pass": ["claim"],
            "/api/v1/appeals/{id}/return": ["claim", "code?"],
        ]

        /// Which appeal to claim; absent: the first.
        var id: String?
        var claim: Int?
        var reason: String?
        var entry: String?
        var revision: Int?
        var citizen: Strict<CitizenRecord>?
        var refused: Bool?
        var text: String?
        var delivery: String?
        var code: String?
    }

    func acts(_ routes: inout HTTPRoutes) {
        let door = door
        act(&routes, "/api/v1/queue/claim") { act, _, person, transaction in
            let wanted = try act.id.map { text in try OperatorAPI.id(text, in: transaction) }
            let (appeal, claim) = try door.desk.claim(wanted, by: person, in: transaction)
            return AppealView(appeal, claim: claim)
        }
        act(&routes, "/api/v1/appeals/{id}/release") { act, id, person, transaction in
            AppealView(try door.desk.release(id, claim: try act.number(), by: person, in: transaction))
        }
        act(&routes, "/api/v1/appeals/{id}/resolve") { act, id, person, transaction in
            let entry = act.entry.map { AppealRecord.KnowledgeReference(entry: $0, revision: act.revision ?? 1) }
            return AppealView(
                try door.desk.resolve(
                    id, claim: try act.number(), entry: entry, reason: act.reason, by: person, in: transaction))
        }
        act(&routes, "/api/v1/appeals/{id}/escalate") { act, id, person, transaction in
            guard let reason = act.reason.flatMap(EscalationReason.init) else {
                throw Problem(400, "bad-reason", "The reason is not known.", remedy: "Send PERSONAL or SPECIAL.")
            }
            return AppealView(
                try door.desk.escalate(id, claim: try act.number(), reason: reason, by: person, in: transaction))
        }
        act(&routes, "/api/v1/appeals/{id}/identity") { act, id, person, transaction in
            if act.refused == true {
                return AppealView(
                    try door.desk.refuseIdentity(id, claim: try act.number(), by: person, in: transaction))
            }
            guard let citizen = act.citizen else {
                throw Problem(400, "citizen-missing", "No citizen is named.", remedy: "Send citizen, or refused: true.")
            }
            let appeal = try door.desk.confirmIdentity(
                id, claim: try act.number(), citizen: citizen.value, by: person, in: transaction)
            return AppealView(appeal, claim: try door.desk.claim(of: id, in: transaction))
        }
        act(&routes, "/api/v1/appeals/{id}/answer") { act, id, person, transaction in
            AppealView(
                try door.desk.answer(
                    id, claim: try act.number(), text: act.text ?? "", delivery: act.delivery ?? "", by: person,
                    in: transaction))
        }
        act(&routes, "/api/v1/appeals/{id}/pass") { act, id, person, transaction in
            AppealView(try door.desk.passToSubject(id, claim: try act.number(), by: person, in: transaction))
        }
        act(&routes, "/api/v1/appeals/{id}/return") { act, id, person, transaction in
            AppealView(
                try door.desk.giveBack(
                    id, claim: try act.number(), code: act.code ?? "general", by: person, in: transaction))
        }
    }

    private func act(
        _ routes: inout HTTPRoutes, _ pattern: String,
        _ perform: @escaping @Sendable (Act, AppealID, Operator, borrowing WriteTransaction) throws -> AppealView
    ) {
        let door = door
        guard let takes = Act.takes[pattern] else { preconditionFailure("an act without fields: \(pattern)") }
        let fields = Set(takes.map { $0.hasSuffix("?") ? String($0.dropLast()) : $0 })
        routes.on("POST", pattern) { request, responder in
            do {
                let token = try DeskDoor.tokenDigest(request)
                _ = try door.person(token)
                let body = request.body.isEmpty ? Array("{}".utf8) : request.body
                let act = try JSONBody.decode(Act.self, from: body, fields: fields)
                door.perform(.people, request, responder) { transaction in
                    "operator/" + (try OperatorAPI.person(token, in: transaction)).name
                } _: { transaction in
                    let person = try OperatorAPI.person(token, in: transaction)
                    // Without one the act names its appeal itself, or none.
                    let id = try request.parameters["id"].map { try OperatorAPI.id($0, in: transaction) }
                    let view = try perform(act, id ?? AppealID(bits: ID128(high: 0, low: 0)), person, transaction)
                    return Idempotency.Answer(status: 200, body: Output.encode(view))
                }
            } catch { responder.refuse(Problem(telling: error)) }
        }
    }
}

extension OperatorAPI.Act {
    func number() throws(Problem) -> Int {
        guard let claim else {
            throw Problem(
                400, "claim-missing", "The act names no claim.", remedy: "Send the number of your claim.")
        }
        return claim
    }
}
