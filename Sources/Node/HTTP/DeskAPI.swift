import ContactCentre
import Federation
import FoundationEssentials

/// What every request of a desk or a channel goes through: who asks, is it asked again, one part of a commit, one answer.
struct DeskDoor: Sendable {
    let node: FederationNode
    let desk: Desk<Outbox>

    /// The digest of the bearer's token, or a refusal that says nothing.
    static func tokenDigest(_ request: HTTPRequest) throws(Problem) -> [UInt8] {
        let prefix = "bearer "
        guard let header = request.headers["authorization"], header.utf8.count <= 200,
            header.prefix(prefix.count).lowercased() == prefix
        else { throw unauthorised }
        return Digest.blake2b256(Array(header.dropFirst(prefix.count).utf8)).withBytes { Array($0) }
    }

    /// Who asks is settled before a body is looked at; inside the transaction it is asked again.
    func person(_ token: [UInt8]) throws -> Operator {
        let found = try node.store.read { transaction throws(StoreError) in
            try Accounts.person(tokenDigest: token, in: transaction)
        }
        guard let found else { throw DeskDoor.unauthorised }
        return found
    }

    func requireChannel(_ token: [UInt8]) throws {
        let isKnown = try node.store.read { transaction throws(StoreError) in
            try Accounts.channel(tokenDigest: token, in: transaction) != nil
        }
        guard isKnown else { throw DeskDoor.unauthorised }
    }

    static let unauthorised = Problem(
        401, "unauthorised", "The request carries no token that is known here.",
        remedy: "Send Authorization: Bearer with the token of your token file.")

    /// Runs an operation as one part of a commit and answers when it is durable. The caller's key is looked at first.
    /// - Parameter purpose: intake stops first when the store fills; what empties it goes on.
    func perform(
        _ purpose: WritePurpose, _ request: HTTPRequest, _ responder: HTTPResponder,
        actor: @escaping @Sendable (borrowing WriteTransaction) throws -> String,
        _ body: @escaping @Sendable (borrowing WriteTransaction) throws -> Idempotency.Answer
    ) {
        guard let key = request.headers["idempotency-key"] else {
            responder.refuse(
                Problem(
                    400, "key-missing", "The request has no Idempotency-Key.",
                    remedy: "Send one: it makes repeating safe."))
            return
        }
        let subject = Array((request.method + " " + request.path + "\n").utf8) + request.body
        let digest = Digest.sha256(subject).withBytes { Array($0) }
        node.store.submit(purpose) { transaction in
            let actor = try actor(transaction)
            return try Idempotency.once(actor: actor, key: key, requestDigest: digest, in: transaction, body)
        } completion: { result in
            switch result {
            case .success(let answer): responder.answer(.json(bytes: answer.body, status: answer.status))
            case .failure(let error): responder.refuse(Problem(telling: error))
            }
        }
    }
}

/// An appeal as the API shows it.
struct AppealView: Codable {
    var id: String
    var number: String
    var channel: String
    var site: String?
    var receivedAt: String
    var organisation: String
    var subject: String
    var topic: String?
    var state: String
    var owner: String?
    var ownershipEpoch: Int
    var tenancy: String?
    var reason: String?
    var dueAt: String?
    var outcome: String?
    var answer: String?
    var claim: ClaimView?
    /// What answered it.
    var knowledge: [AppealRecord.KnowledgeReference]?
    /// Only for who holds the claim at the home.
    var citizen: CitizenRecord?
    var history: [Utterance]?

    struct ClaimView: Codable {
        var `operator`: String
        var number: Int
        var until: String

        init(_ claim: Claim) {
            `operator` = claim.operator
            number = claim.number
            until = Timestamp(milliseconds: claim.until).rfc3339
        }
    }

    init(_ shown: Desk<Outbox>.Shown) {
        self.init(shown.appeal, claim: shown.claim)
        citizen = shown.citizen
        history = History(bytes: shown.history)?.utterances
    }

    init(_ appeal: AppealRecord, claim: Claim? = nil) {
        id = appeal.id
        number = appeal.number
        channel = appeal.channel.rawValue
        site = appeal.site
        receivedAt = Timestamp(milliseconds: appeal.receivedAt).rfc3339
        organisation = appeal.organisation
        subject = appeal.subject
        topic = appeal.topic
        state = appeal.state.rawValue
        owner = appeal.owner
        ownershipEpoch = appeal.ownershipEpoch
        tenancy = appeal.tenancy
        reason = appeal.reason?.rawValue
        dueAt = appeal.dueAt.map { Timestamp(milliseconds: $0).rfc3339 }
        outcome = appeal.outcome
        answer = appeal.answer
        self.claim = claim.map(ClaimView.init)
        knowledge = appeal.entry.map { [$0] }
    }
}

extension Utterance: APIRequest {
    package static let fields: Set = ["at", "author", "text"]
}

extension KnowledgeEntry: APIRequest {}

extension CitizenRecord: APIRequest {
    package static let fields: Set = ["name", "birthDate", "snils", "phone", "address"]
}

/// The public listener: channels hand in appeals and read nothing.
struct PublicAPI {
    let door: DeskDoor

    struct Submission: Codable, APIRequest {
        static let fields: Set = ["organisation", "subject", "topic", "site", "history"]
        var organisation: String
        var subject: String
        var topic: String?
        var site: String?
        var history: [Strict<Utterance>]

        var said: [Utterance] { history.map(\.value) }

        func check() throws(Problem) {
            for (index, utterance) in said.enumerated() {
                guard Timestamp(rfc3339: utterance.at) != nil, PlainText.isSaid(utterance.text) else {
                    throw Problem(
                        400, "bad-utterance",
                        "history[\(index)] has no text or control characters, or its instant cannot be read.",
                        remedy: "Send at as 2026-11-24T09:15:00.123Z, and what was said.")
                }
            }
        }
    }

    struct Accepted: Codable {
        var id: String
        var number: String
    }

    var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        let door = door
        routes.on("POST", "/api/v1/appeals") { request, responder in
            do {
                let token = try DeskDoor.tokenDigest(request)
                try door.requireChannel(token)
                let submission = try JSONBody.decode(Submission.self, from: request.body)
                try submission.check()
                let history = try History(submission.said)
                door.perform(.intake, request, responder) { transaction in
                    guard let channel = try Accounts.channel(tokenDigest: token, in: transaction) else {
                        throw DeskDoor.unauthorised
                    }
                    return "channel/" + channel.name
                } _: { transaction in
                    guard let channel = try Accounts.channel(tokenDigest: token, in: transaction) else {
                        throw DeskDoor.unauthorised
                    }
                    let intake = Intake(
                        channel: channel.kind, site: submission.site, organisation: submission.organisation,
                        subject: submission.subject, topic: submission.topic, history: history)
                    let appeal = try door.desk.accept(intake, in: transaction)
                    return Idempotency.Answer(
                        status: 201, body: Output.encode(Accepted(id: appeal.id, number: appeal.number)))
                }
            } catch { responder.refuse(Problem(telling: error)) }
        }
        return routes
    }
}

/// The operators' listener: what people at desks do. Every act names the claim under which it is done.
struct OperatorAPI {
    let door: DeskDoor
    let events: DeskEvents

    struct Act: Codable, APIRequest {
        static let fields: Set = [
            "claim", "reason", "entry", "revision", "citizen", "refused", "text", "delivery", "code", "id",
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

    struct Listing: Codable {
        var appeals: [AppealView]
        /// There are more than are shown.
        var more: Bool?
    }

    /// Appeals that one listing shows.
    private static let most = 100

    var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        let door = door
        routes.health(of: door.node)
        routes.on(
            "GET", "/api/v1/queue",
            answering: { request in
                let token = try DeskDoor.tokenDigest(request)
                let found = try door.node.store.read { transaction throws(StoreError) -> [AppealRecord]? in
                    guard let person = try Accounts.person(tokenDigest: token, in: transaction) else { return nil }
                    return try door.desk.list(for: person, limit: OperatorAPI.most + 1, in: transaction)
                }
                guard let found else { throw DeskDoor.unauthorised }
                return .json(
                    Listing(
                        appeals: found.prefix(OperatorAPI.most).map { AppealView($0) },
                        more: found.count > OperatorAPI.most ? true : nil))
            })
        routes.on(
            "GET", "/api/v1/appeals",
            answering: { request in
                let token = try DeskDoor.tokenDigest(request)
                let found = try door.node.store.read { transaction throws(StoreError) -> [Desk<Outbox>.Shown]? in
                    guard let person = try Accounts.person(tokenDigest: token, in: transaction) else { return nil }
                    return try door.desk.held(by: person, in: transaction)
                }
                guard let found else { throw DeskDoor.unauthorised }
                return .json(Listing(appeals: found.map { AppealView($0.appeal, claim: $0.claim) }))
            })
        routes.on(
            "GET", "/api/v1/appeals/{id}",
            answering: { request in
                let token = try DeskDoor.tokenDigest(request)
                return .json(try OperatorAPI.show(request, token, door))
            })
        routes.on(
            "GET", "/api/v1/knowledge/{id}",
            answering: { request in
                let token = try DeskDoor.tokenDigest(request)
                let found = try door.node.store.read { transaction throws(StoreError) -> PublishedEntry?? in
                    guard try Accounts.person(tokenDigest: token, in: transaction) != nil else { return nil }
                    return .some(try Knowledge.entry(request.parameters["id"] ?? "", in: transaction))
                }
                guard let known = found else { throw DeskDoor.unauthorised }
                guard let entry = known else {
                    throw Problem(404, "no-such-entry", "No such entry is known here.", remedy: "Check the id.")
                }
                return .json(entry)
            })
        let events = events
        routes.on(
            "GET", "/api/v1/events",
            answering: { request in
                let token = try DeskDoor.tokenDigest(request)
                let person = try door.person(token)
                let last = request.headers["last-event-id"]
                guard last == nil || last.flatMap(UInt64.init) ?? .max < .max else {
                    throw Problem(
                        400, "bad-event-id", "Last-Event-ID is no number of an event.",
                        remedy: "Send the id of the last event that you have, or none.")
                }
                return .events(try events.follow(person, token: token, after: last.flatMap(UInt64.init)))
            })
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
        return routes
    }

    private func act(
        _ routes: inout HTTPRoutes, _ pattern: String,
        _ body: @escaping @Sendable (Act, AppealID, Operator, borrowing WriteTransaction) throws -> AppealView
    ) {
        let door = door
        routes.on("POST", pattern) { request, responder in
            do {
                let token = try DeskDoor.tokenDigest(request)
                _ = try door.person(token)
                let act = try JSONBody.decode(Act.self, from: request.body.isEmpty ? Array("{}".utf8) : request.body)
                door.perform(.people, request, responder) { transaction in
                    "operator/" + (try OperatorAPI.person(token, in: transaction)).name
                } _: { transaction in
                    let person = try OperatorAPI.person(token, in: transaction)
                    // Without one the act names its appeal itself, or none.
                    let id = try request.parameters["id"].map { try OperatorAPI.id($0, in: transaction) }
                    let view = try body(act, id ?? AppealID(bits: ID128(high: 0, low: 0)), person, transaction)
                    return Idempotency.Answer(status: 200, body: Output.encode(view))
                }
            } catch { responder.refuse(Problem(telling: error)) }
        }
    }

    private static func person(_ token: [UInt8], in transaction: borrowing WriteTransaction) throws -> Operator {
        guard let person = try Accounts.person(tokenDigest: token, in: transaction) else { throw DeskDoor.unauthorised }
        return person
    }

    private static func id<Transaction: Readable & ~Copyable>(
        _ text: String, in transaction: borrowing Transaction
    ) throws -> AppealID {
        guard let id = try AppealLookup.id(text, in: transaction) else { throw Access.refusal }
        return id
    }

    private static func show(_ request: HTTPRequest, _ token: [UInt8], _ door: DeskDoor) throws -> AppealView {
        var shown: Result<AppealView, any Error> = .failure(DeskDoor.unauthorised)
        try door.node.store.read { transaction throws(StoreError) in
            guard let person = try Accounts.person(tokenDigest: token, in: transaction) else { return }
            do {
                let id = try OperatorAPI.id(request.parameters["id"] ?? "", in: transaction)
                shown = .success(AppealView(try door.desk.show(id, for: person, in: transaction)))
            } catch { shown = .failure(error) }
        }
        return try shown.get()
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
