import ContactCentre
import Federation

/// The operators' listener: what people at desks do. Every act names the claim under which it is done.
struct OperatorAPI {
    let door: DeskDoor
    let events: DeskEvents

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
        acts(&routes)
        return routes
    }

    static func person(_ token: [UInt8], in transaction: borrowing WriteTransaction) throws -> Operator {
        guard let person = try Accounts.person(tokenDigest: token, in: transaction) else { throw DeskDoor.unauthorised }
        return person
    }

    static func id<Transaction: Readable & ~Copyable>(
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
