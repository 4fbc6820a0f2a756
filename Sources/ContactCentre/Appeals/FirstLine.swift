package import Federation

/// What a channel hands in.
package struct Intake: Sendable {
    package var channel: AppealRecord.Channel
    package var site: String?
    package var organisation: String
    package var subject: String
    package var topic: String?
    package var history: History

    package init(
        channel: AppealRecord.Channel, site: String?, organisation: String, subject: String, topic: String?,
        history: History
    ) {
        self.channel = channel
        self.site = site
        self.organisation = organisation
        self.subject = subject
        self.topic = topic
        self.history = history
    }
}

/// Intake and the first line, at the centre.
extension Desk {
    /// Accepts an appeal: said only when its commit is durable.
    /// - Throws: `unknown-subject` when no home covers the pair, `draining`.
    package func accept(_ intake: Intake, in transaction: borrowing WriteTransaction) throws -> AppealRecord {
        guard try Draining.since(in: transaction) == nil else {
            throw DomainError(
                .unavailable, "draining", "\(node) takes no new appeals any more",
                remedy: "keep it, and hand it in where the contact centre goes on; ask its administrator")
        }
        let id = AppealID(at: transaction.now, random: random())
        let date = Calendar8601.date(transaction.now)
        guard
            router.route(organisation: intake.organisation, subject: intake.subject, reason: .personal, on: date) != nil
        else {
            throw DomainError(
                .badInput, "unknown-subject", "no home for \(intake.organisation) \(intake.subject)",
                remedy: "name a participant and a subject of the topology")
        }
        let counter = Int(truncatingIfNeeded: try transaction.nextNumber(Array("appeal-number".utf8)))
        // They stay at the centre for good: no number of a person fits into them.
        guard intake.topic.map({ PlainText.isName($0, most: 64, digits: 0) }) ?? true,
            intake.site.map({ PlainText.isName($0, most: 253, digits: 7) }) ?? true
        else {
            throw DomainError(
                .badInput, "bad-name", "topic or site is a text, not a name",
                remedy:
                    "a topic: [a-z._-], at most 64 characters; a site: with digits, at most 7 of them, 253 characters")
        }
        guard let number = AppealNumber(intake: 0, counter: counter) else {
            throw DomainError(
                .conflict, "numbers-used-up", "the counter of appeals is at its end", remedy: "call the makers")
        }
        var appeal = AppealRecord(
            id: id.description, number: number.description, channel: intake.channel, site: intake.site,
            receivedAt: transaction.now.milliseconds, organisation: intake.organisation, subject: intake.subject,
            topic: intake.topic, state: .received, owner: node.text, ownershipEpoch: 1,
            place: transaction.now.milliseconds)
        try move(&appeal, .queued, by: intake.channel.rawValue, .system, in: transaction)
        try transaction.put(.text, id.key, intake.history.bytes)
        try transaction.put(.numbers, number.key, id.key)
        try enqueue(appeal, id, in: transaction)
        try save(appeal, id, in: transaction)
        return appeal
    }

    /// Answered by the first line: by an entry of the knowledge, or with a reason why there is none.
    package func resolve(
        _ id: AppealID, claim: Int, entry: AppealRecord.KnowledgeReference?, reason: String?, by person: Operator,
        in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        guard (entry == nil) != (reason == nil) else {
            throw DomainError(
                .badInput, "entry-or-reason",
                "an answer names an entry of the knowledge, or a reason why there is none",
                remedy: "send one of the two")
        }
        if let reason { try ReasonCode.require(reason) }
        if let entry {
            guard let known = try Knowledge.entry(entry.entry, in: transaction),
                (1...known.revision).contains(entry.revision)
            else {
                throw DomainError(
                    .badInput, "unknown-entry", "no such entry, or revision of it, is known here",
                    remedy: "look it up at GET /api/v1/knowledge/{id}, or resolve with a reason")
            }
        }
        try move(&appeal, .resolved, by: person.name, person.role, code: reason, in: transaction)
        appeal.entry = entry
        appeal.outcome = "first-line"
        appeal.resolvedAt = transaction.now.milliseconds
        appeal.leftFirstLineAt = transaction.now.milliseconds
        try leftFirstLine(id, in: transaction)
        try closeLater(id, in: transaction)
        try transaction.delete(.claims, id.key)
        try save(appeal, id, in: transaction)
        return appeal
    }

    /// Hands an appeal with its whole history to the tenancy of its route. From this commit on nobody acts on it here.
    /// - Throws: `home-not-live`: it stays where it is.
    package func escalate(
        _ id: AppealID, claim: Int, reason: EscalationReason, by person: Operator,
        in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        let date = Calendar8601.date(transaction.now)
        guard
            let route = router.route(
                organisation: appeal.organisation, subject: appeal.subject, reason: reason, on: date),
            let history = try transaction.get(.text, id.key)
        else { throw Access.refusal }
        guard route.isLive else {
            throw DomainError(
                .conflict, "home-not-live", route.explanation,
                remedy: route.tenancy.fallback ?? "keep it, and try later")
        }
        appeal.reason = reason
        try move(&appeal, .escalated, by: person.name, person.role, code: reason.rawValue, in: transaction)
        try raiseEpoch(of: &appeal, in: transaction)
        appeal.owner = nil
        appeal.tenancy = route.tenancy.id
        appeal.home = route.node.id.text
        appeal.leftFirstLineAt = transaction.now.milliseconds
        try leftFirstLine(id, in: transaction)
        let body = EscalationBody(appeal, history: history)
        try sender.send(
            .escalation, id: random(), to: route.node.id, body: try MessageBody.encode(body), in: transaction)
        try transaction.delete(.claims, id.key)
        try save(appeal, id, in: transaction)
        return appeal
    }

    /// A centre that was put back does not know how far it had gone: each of its lives begins above what the one before
    /// may have given out.
    private func raiseEpoch(
        of appeal: inout AppealRecord, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let renewed = Int(clamping: try transaction.number(MetaKey.incarnationCount))
        appeal.ownershipEpoch = max(appeal.ownershipEpoch, renewed * EscalationBody.epochsOfALife) + 1
    }

    func leftFirstLine(_ id: AppealID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        try Deadline.text.file(
            at: transaction.now.milliseconds + Deadline.textMilliseconds, id.key, in: transaction)
    }

    func closeLater(_ id: AppealID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        try Deadline.closing.file(
            at: transaction.now.milliseconds + Deadline.closingMilliseconds, id.key, in: transaction)
    }

    // MARK: What comes back

    /// The home has applied the escalation.
    func handedOver(_ body: EscalationBody, in transaction: borrowing WriteTransaction) throws {
        guard let id = AppealID(body.id), var appeal = try appeal(id, in: transaction),
            appeal.ownershipEpoch == body.ownershipEpoch, appeal.state == .escalating
        else { return }  // its answer may have come before the receipt
        try move(&appeal, .handedOver, by: body.tenancy, .peer, in: transaction)
        try letTextGo(appeal, id, in: transaction)
        try save(appeal, id, in: transaction)
    }

    /// The home has refused it: the appeal is the centre's again. A home that was put back may refuse what it had taken.
    func takeBack(_ body: EscalationBody, code: String, in transaction: borrowing WriteTransaction) throws {
        guard let id = AppealID(body.id), var appeal = try appeal(id, in: transaction),
            appeal.ownershipEpoch == body.ownershipEpoch,
            appeal.state == .escalating
                || appeal.state == .handedOver && node == centre && code != Rejection.superseded
        else { return }  // a home that has answered cannot refuse any more
        // It has the appeal under a higher epoch: it is not this node's, whatever this node has forgotten.
        if code == Rejection.superseded {
            try note(.rejected, of: &appeal, by: body.tenancy, code: code, in: transaction)
            try move(&appeal, .handedOver, by: body.tenancy, .peer, in: transaction)
            try letTextGo(appeal, id, in: transaction)
            return try save(appeal, id, in: transaction)
        }
        guard node == centre else { return try passRefused(&appeal, id, by: body.tenancy, code, in: transaction) }
        try move(&appeal, .rejected, by: body.tenancy, .peer, code: code, in: transaction)
        try ownAgain(&appeal, id, history: Array(body.history.utf8), in: transaction)
    }

    func answered(_ body: AnswerBody, from home: NodeID, in transaction: borrowing WriteTransaction) throws {
        guard ["answered", "refused"].contains(body.outcome),
            PlainText.length(body.text ?? "") <= History.mostCharacters
        else {
            throw Rejection("body-invalid")
        }
        let (id, found) = try away(body.id, body.ownershipEpoch, home, in: transaction)
        var appeal = found
        try move(&appeal, .answered, by: home.text, .peer, code: body.outcome, in: transaction)
        appeal.outcome = body.outcome
        // What was written lives in one table at the centre, and not for long.
        if appeal.reason == .special, let text = body.text {
            try transaction.put(.text, AppealRows.answerKey(id), Array(text.utf8))
            try Deadline.text.file(
                at: transaction.now.milliseconds + Deadline.textMilliseconds, AppealRows.answerKey(id), in: transaction)
        }
        // Another clock: neither before the appeal nor after now.
        appeal.resolvedAt = max(appeal.receivedAt, min(body.at, transaction.now.milliseconds))
        try closeLater(id, in: transaction)
        try save(appeal, id, in: transaction)
    }

    func returned(_ body: ReturnBody, from home: NodeID, in transaction: borrowing WriteTransaction) throws {
        guard EscalationBody.epochs.contains(body.ownershipEpoch), ReasonCode(rawValue: body.code) != nil else {
            throw Rejection("body-invalid")
        }
        var (id, appeal) = try away(body.id, body.ownershipEpoch - 1, home, in: transaction)
        guard History(bytes: Array(body.history.utf8)) != nil else { throw Rejection("body-invalid") }
        try move(&appeal, .returned, by: home.text, .peer, code: body.code, in: transaction)
        try move(&appeal, .queued, by: "system", .system, in: transaction)
        appeal.returns += 1
        try ownAgain(&appeal, id, history: Array(body.history.utf8), in: transaction)
    }

    /// An appeal that is at a home: what that home says of it under the epoch that it was given.
    private func away(
        _ text: String, _ epoch: Int, _ home: NodeID, in transaction: borrowing WriteTransaction
    ) throws -> (AppealID, AppealRecord) {
        guard let id = AppealID(text), var appeal = try appeal(id, in: transaction) else {
            throw Rejection("unknown-appeal")
        }
        guard appeal.ownershipEpoch == epoch, appeal.state == .escalating || appeal.state == .handedOver,
            appeal.home == home.text
        else { throw Rejection(Rejection.superseded) }
        // The answer may overtake the receipt: the home has it, or it could not answer.
        if appeal.state == .escalating { try move(&appeal, .handedOver, by: home.text, .peer, in: transaction) }
        return (id, appeal)
    }

    /// At the front of the first line's queue, with its text.
    func ownAgain(
        _ appeal: inout AppealRecord, _ id: AppealID, history: [UInt8], in transaction: borrowing WriteTransaction
    ) throws {
        try raiseEpoch(of: &appeal, in: transaction)
        appeal.owner = node.text
        appeal.tenancy = nil
        appeal.home = nil
        appeal.reason = nil
        appeal.leftFirstLineAt = nil
        appeal.place = Int64.min + transaction.now.milliseconds
        try transaction.put(.text, id.key, history)
        try enqueue(appeal, id, in: transaction)
        try save(appeal, id, in: transaction)
    }
}
