package import Federation

/// The contact centre, as the exchange sees it.
package final class ContactCentreApplication<Outgoing: Sender>: Application {
    private let desk: Desk<Outgoing>

    package init(_ desk: Desk<Outgoing>) { self.desk = desk }

    package func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        do {
            // The centre publishes, nobody else; it escalates, and so does a home that has moved; answers and returns are held against the appeal's home.
            switch envelope.header.kind {
            case .entry:
                guard envelope.header.stream.origin == desk.centre, envelope.header.stream.destination == .everyone
                else { throw Rejection("not-allowed") }
                try Knowledge.apply(envelope.body, in: transaction)
            case .escalation:
                try desk.receive(
                    try MessageBody.decode(EscalationBody.self, envelope), from: envelope.header.stream.origin,
                    under: envelope.header.topologyVersion, in: transaction)
            case .answer where desk.node != desk.centre, .returned where desk.node != desk.centre:
                throw Rejection("not-allowed")
            case .answer:
                let body = try MessageBody.decode(AnswerBody.self, envelope)
                try desk.answered(body, from: envelope.header.stream.origin, in: transaction)
            case .returned:
                let body = try MessageBody.decode(ReturnBody.self, envelope)
                try desk.returned(body, from: envelope.header.stream.origin, in: transaction)
            case .status:
                let body = try MessageBody.decode(StatusBody.self, envelope)
                try desk.statusCame(
                    body, from: envelope.header.stream.origin, under: envelope.header.topologyVersion, in: transaction)
            default: throw Rejection("kind-unknown")
            }
        } catch let error as DomainError {
            throw Rejection(error.code)
        }
    }

    package func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard envelope.header.kind == .escalation else { return }
        try settled(EscalationBody.self, envelope) { body in try self.desk.handedOver(body, in: transaction) }
    }

    package func rejected(
        _ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        switch envelope.header.kind {
        case .escalation:
            try settled(EscalationBody.self, envelope) { try self.desk.takeBack($0, code: code, in: transaction) }
        case .returned:
            try settled(ReturnBody.self, envelope) { try self.desk.takeBack($0, code: code, in: transaction) }
        case .answer:
            try settled(AnswerBody.self, envelope) { try self.desk.answerRefused($0, code: code, in: transaction) }
        default: break
        }
    }

    package func held(
        _ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let peer = envelope.header.stream.destination.text
        try settled(MessageBody.Named.self, envelope) { named in
            guard let id = AppealID(named.id), var appeal = try self.desk.appeal(id, in: transaction) else { return }
            try self.desk.note(.held, of: &appeal, by: peer, code: reason.rawValue, in: transaction)
            try self.desk.save(appeal, id, in: transaction)
        }
    }

    package func released(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        guard envelope.header.kind == .escalation, let body = try? MessageBody.decode(EscalationBody.self, envelope)
        else { return }
        try desk.announceAgain(body, in: transaction)
    }

    package func refilled(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        guard envelope.header.kind == .escalation, let body = try? MessageBody.decode(EscalationBody.self, envelope)
        else { return }
        try desk.tellStanding(body, to: envelope.header.stream.destination, in: transaction)
    }

    package func lost(at destination: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        do { try desk.lost(at: destination, in: transaction) } catch {
            throw error as? StoreError
                ?? StoreError(.engine, "what is lost cannot be asked for: \(error)", remedy: "report this as a fault")
        }
    }

    /// What a receipt does to an appeal.
    private func settled<Body: Decodable>(
        _ type: Body.Type, _ envelope: Envelope, _ act: (Body) throws -> Void
    ) throws(StoreError) {
        guard let body = try? MessageBody.decode(type, envelope) else { return }
        do { try act(body) } catch is DomainError {
            // The appeal has gone on since: a receipt is no reason to stop, and nothing was written before the transition.
        } catch {
            throw error as? StoreError
                ?? StoreError(.engine, "a receipt cannot be acted on: \(error)", remedy: "report this as a fault")
        }
    }
}

/// The domain's tables.
package enum ContactCentreTables {
    package static let all = [
        Knowledge.table, .appeals, .text, .events, .queue, .claims, .citizens, .operators, .channels, .idempotency,
        .deadlines, .numbers,
    ]
}
