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
