package import Federation

/// Who the citizen is, as the second line has found out: row of table `citizens`, in the home only.
package struct CitizenRecord: Codable, Sendable, Hashable, CustomStringConvertible {
    package var name: String
    /// ISO 8601.
    package var birthDate: String
    package var snils: String
    package var phone: String?
    package var address: String?

    package init(name: String, birthDate: String, snils: String, phone: String?, address: String?) {
        self.name = name
        self.birthDate = birthDate
        self.snils = snils
        self.phone = phone
        self.address = address
    }

    package var description: String { "CitizenRecord(…)" }

    /// A day of the Gregorian calendar from 1880 to 2099, as YYYY-MM-DD.
    package static func isDay(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [4, 2, 2], text.utf8.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
            (1880...2099).contains(year), (1...12).contains(month)
        else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return (1...[31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]).contains(day)
    }

    /// In the tenancy's own rows: two offices on one node have nothing in common.
    static func key(_ appeal: AppealRecord, _ id: AppealID) -> [UInt8] {
        var key = ByteWriter(capacity: 48)
        key.append(short: appeal.tenancy ?? "")
        key.append(id.bits)
        return key.bytes
    }
}

/// The second line and line 2.1, at an appeal's home.
extension Desk {
    /// The appeals that wait at a desk, first the one that is due first.
    package func list(
        for person: Operator, limit: Int, in transaction: borrowing ReadTransaction
    ) throws(StoreError) -> [AppealRecord] {
        var found: [AppealRecord] = []
        for id in try AppealRows.waiting(person.scope, limit: limit, in: transaction) {
            guard let appeal = try appeal(id, in: transaction), case .success = permitted(person, appeal) else {
                continue
            }
            found.append(appeal)
        }
        return found
    }

    /// The appeals that a person holds.
    package func held(by person: Operator, in transaction: borrowing ReadTransaction) throws(StoreError) -> [Shown] {
        var ids: [[UInt8]] = []
        try transaction.scan(.claims, from: []) { key, _ in
            ids.append(Array(key))
            return true
        }
        var found: [Shown] = []
        for key in ids {
            guard let id = AppealID(key: key),
                let claim = try AppealRows.read(Claim.self, .claims, key, in: transaction),
                claim.operator == person.name, let appeal = try appeal(id, in: transaction),
                case .success = permitted(person, appeal)
            else { continue }
            found.append(Shown(appeal: appeal, history: [], claim: claim))
        }
        return found
    }

    private func permitted(_ person: Operator, _ appeal: AppealRecord) -> Result<AppealRecord, DomainError> {
        Result { () throws(DomainError) in try Access.permit(person, appeal, at: node.text) }
    }

    /// An escalation has come: from this commit on the appeal is at home here.
    /// - Parameters:
    ///   - origin: the centre, or the home that passes it on.
    ///   - version: of the topology by which it was sent here.
    func receive(
        _ body: EscalationBody, from origin: NodeID, under version: UInt64, in transaction: borrowing WriteTransaction
    ) throws {
        guard let id = AppealID(body.id), let history = History(bytes: Array(body.history.utf8)),
            EscalationBody.epochs.contains(body.ownershipEpoch), (0...2).contains(body.returns),
            let number = AppealNumber(body.number), (0...1 << 48).contains(body.receivedAt)
        else { throw Rejection("body-invalid") }
        // By a newer topology than ours it waits until that is here: others would not believe that it is at home here.
        guard let tenancy = router.tenancy(body.tenancy),
            router.mayHold(tenancy.id, at: node, organisation: body.organisation, subject: body.subject)
        else { throw Rejection("wrong-home") }
        let isFromCentre = origin == centre
        guard isFromCentre || router.mayPass(body.organisation, body.subject, from: origin) else {
            throw Rejection("not-allowed")
        }
        let known = try appeal(id, in: transaction)
        if isFromCentre, let known, known.tenancy == body.tenancy, known.owner == node.text {
            return try stays(known, id, under: body.ownershipEpoch, in: transaction)
        }
        guard known?.ownershipEpoch ?? 0 < body.ownershipEpoch else { throw Rejection(Rejection.superseded) }
        // A home that was put back may have forgotten that it had let go of it: whoever passes it on keeps it.
        guard isFromCentre || known?.owner != node.text else { throw Rejection("owned-here") }
        // Between two tenancies of this node nothing comes that was not here.
        guard try origin == node || Draining.since(in: transaction) == nil else { throw Rejection("draining") }
        // What an earlier stay may have left.
        if let known { try transaction.delete(.queue, AppealRows.queueKey(known.scope, known.place, id)) }
        try transaction.delete(.claims, id.key)
        let line = body.organisation == "MSE" && body.reason == .personal ? "2.1" : "2"
        guard router.isServed(body.organisation, by: tenancy.organisation), tenancy.lines.contains(line) else {
            throw Rejection("line-not-served")
        }
        // What was promised at the home before is not put off.
        let due = min(
            transaction.now.milliseconds + Int64(tenancy.dueMinutes) * 60_000,
            max(body.receivedAt, body.dueAt ?? .max))
        var appeal = AppealRecord(
            id: body.id, number: body.number, channel: body.channel, site: body.site, receivedAt: body.receivedAt,
            organisation: body.organisation, subject: body.subject, topic: body.topic, state: .handedOver,
            owner: node.text, ownershipEpoch: body.ownershipEpoch, reason: body.reason, tenancy: body.tenancy,
            cameFrom: isFromCentre ? nil : origin.text, cameAt: transaction.now.milliseconds, routedUnder: version,
            line: line, dueAt: due,
            returns: body.returns, claimNumber: known?.claimNumber ?? 0, place: due, lastEvent: known?.lastEvent)
        try move(&appeal, .queued, by: "system", .system, in: transaction)
        try transaction.put(.text, id.key, history.bytes)
        // Whom a number was given to first, it leads to.
        if try transaction.get(.numbers, number.key) == nil { try transaction.put(.numbers, number.key, id.key) }
        try enqueue(appeal, id, in: transaction)
        try save(appeal, id, in: transaction)
        if !isFromCentre { try announce(appeal, in: transaction) }
        try followHome(of: &appeal, id, in: transaction)
    }

    /// The centre hands over what is at home here: its store was put back. Nothing of it changes but the epoch, under which
    /// the centre will hear of it; what is answered is answered again, to the centre only.
    private func stays(
        _ known: AppealRecord, _ id: AppealID, under epoch: Int, in transaction: borrowing WriteTransaction
    ) throws {
        // One that is refilled may come behind a newer one.
        guard epoch >= known.ownershipEpoch else { throw Rejection(Rejection.superseded) }
        var appeal = known
        appeal.ownershipEpoch = epoch
        if appeal.state.isFinal {
            let body = AnswerBody(
                id: appeal.id, ownershipEpoch: epoch, outcome: appeal.outcome ?? "answered",
                at: appeal.resolvedAt ?? transaction.now.milliseconds,
                text: appeal.reason == .special ? appeal.answer : nil)
            try sender.send(.answer, id: random(), to: centre, body: try MessageBody.encode(body), in: transaction)
        }
        try save(appeal, id, in: transaction)
    }

    /// The identity is confirmed: a citizen record is made, in the tenancy's own rows.
    /// - Throws: `bad-snils`, `bad-citizen`.
    package func confirmIdentity(
        _ id: AppealID, claim: Int, citizen: CitizenRecord, by person: Operator,
        in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        guard let snils = SNILS(citizen.snils) else {
            throw DomainError(.badInput, "bad-snils", "the number does not pass its check", remedy: "ask for it again")
        }
        guard (1...200).contains(PlainText.length(citizen.name)), PlainText.isSaid(citizen.name),
            CitizenRecord.isDay(citizen.birthDate), citizen.birthDate <= Calendar8601.date(transaction.now),
            PlainText.length(citizen.phone ?? "") <= 32, PlainText.length(citizen.address ?? "") <= 500,
            [citizen.phone, citizen.address].allSatisfy({ $0.map(PlainText.isSaid) ?? true })
        else {
            throw DomainError(
                .badInput, "bad-citizen",
                "a field of the citizen is empty or too long, or the birth date is no day that has been",
                remedy: "name up to 200 characters, birth date YYYY-MM-DD, phone up to 32, address up to 500")
        }
        try move(&appeal, .identityConfirmed, by: person.name, person.role, in: transaction)
        var kept = citizen
        kept.snils = snils.digits
        try AppealRows.write(kept, .citizens, CitizenRecord.key(appeal, id), in: transaction)
        try save(appeal, id, in: transaction)
        return appeal
    }

    /// The identity could not be confirmed: the appeal ends, and the centre hears only that.
    package func refuseIdentity(
        _ id: AppealID, claim: Int, by person: Operator, in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        try move(&appeal, .identityRefused, by: person.name, person.role, in: transaction)
        try conclude(&appeal, id, outcome: "refused", text: nil, in: transaction)
        return appeal
    }

    /// The citizen has the answer, by call or letter. Its text stays here; of a SPECIAL one it goes to the centre too.
    package func answer(
        _ id: AppealID, claim: Int, text: String, delivery: String, by person: Operator,
        in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        guard (1...History.mostCharacters).contains(PlainText.length(text)), PlainText.isSaid(text),
            ["call", "letter"].contains(delivery)
        else {
            throw DomainError(
                .badInput, "bad-answer", "the answer is empty or too long, or its delivery is not known",
                remedy: "send up to 8,000 characters, delivered by call or letter")
        }
        try move(&appeal, .answered, by: person.name, person.role, code: delivery, in: transaction)
        appeal.answer = text
        try conclude(&appeal, id, outcome: "answered", text: appeal.reason == .special ? text : nil, in: transaction)
        return appeal
    }

    private func conclude(
        _ appeal: inout AppealRecord, _ id: AppealID, outcome: String, text: String?,
        in transaction: borrowing WriteTransaction
    ) throws {
        appeal.outcome = outcome
        appeal.resolvedAt = transaction.now.milliseconds
        try closeLater(id, in: transaction)
        let body = AnswerBody(
            id: appeal.id, ownershipEpoch: appeal.ownershipEpoch, outcome: outcome, at: transaction.now.milliseconds,
            text: text)
        try sender.send(.answer, id: random(), to: centre, body: try MessageBody.encode(body), in: transaction)
        try transaction.delete(.claims, id.key)
        try save(appeal, id, in: transaction)
    }

    /// Not a matter of this line: back to the first, at the front of its queue, with its history. At most twice.
    /// - Throws: `too-many-returns`.
    package func giveBack(
        _ id: AppealID, claim: Int, code: String, by person: Operator, in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        try ReasonCode.require(code)
        guard appeal.returns < 2 else {
            throw DomainError(
                .conflict, "too-many-returns", "it has been given back twice already",
                remedy: "answer it, or ask a supervisor")
        }
        guard let history = try transaction.get(.text, id.key) else { throw Access.refusal }
        try move(&appeal, .returned, by: person.name, person.role, code: code, in: transaction)
        appeal.ownershipEpoch += 1
        appeal.owner = nil
        let body = ReturnBody(
            id: appeal.id, ownershipEpoch: appeal.ownershipEpoch, code: code,
            history: String(decoding: history, as: UTF8.self))
        try sender.send(.returned, id: random(), to: centre, body: try MessageBody.encode(body), in: transaction)
        try transaction.delete(.claims, id.key)
        try transaction.delete(.text, id.key)
        try save(appeal, id, in: transaction)
        return appeal
    }

    /// The centre has refused what was given back: it waits here again, with its history, under the epoch that the centre
    /// knows.
    func takeBack(_ body: ReturnBody, code: String, in transaction: borrowing WriteTransaction) throws {
        guard let id = AppealID(body.id), var appeal = try appeal(id, in: transaction),
            appeal.ownershipEpoch == body.ownershipEpoch, appeal.state == .returnedL1
        else { return }
        try move(&appeal, .rejected, by: centre.text, .peer, code: code, in: transaction)
        appeal.ownershipEpoch -= 1
        appeal.owner = node.text
        try transaction.put(.text, id.key, Array(body.history.utf8))
        try enqueue(appeal, id, in: transaction)
        try save(appeal, id, in: transaction)
        try announce(appeal, in: transaction)
        try followHome(of: &appeal, id, in: transaction)
    }

    /// The centre has refused to hear the outcome. The citizen has the answer; that the centre does not know is noted.
    func answerRefused(_ body: AnswerBody, code: String, in transaction: borrowing WriteTransaction) throws {
        guard let id = AppealID(body.id), var appeal = try appeal(id, in: transaction) else { return }
        try note(.rejected, of: &appeal, by: centre.text, code: code, in: transaction)
        try save(appeal, id, in: transaction)
    }

    /// An appeal with all that this node has of it, for one person.
    package struct Shown {
        package var appeal: AppealRecord
        /// Empty when the text is not here any more.
        package var history: [UInt8]
        package var claim: Claim?
        /// Only for who holds the claim.
        package var citizen: CitizenRecord?
    }

    package func show<Transaction: Readable & ~Copyable>(
        _ id: AppealID, for person: Operator, in transaction: borrowing Transaction
    ) throws -> Shown {
        // Whoever calls again is told where it is: the first line sees every appeal, but no text of one that has left.
        if case .firstLine = person.desk, var appeal = try appeal(id, in: transaction), appeal.owner != node.text {
            appeal.answer = try transaction.get(.text, AppealRows.answerKey(id)).map {
                String(decoding: $0, as: UTF8.self)
            }
            return Shown(appeal: appeal, history: [])
        }
        let appeal = try Access.permit(person, try appeal(id, in: transaction), at: node.text)
        let claim = try AppealRows.read(Claim.self, .claims, id.key, in: transaction)
        var shown = Shown(appeal: appeal, history: try transaction.get(.text, id.key) ?? [], claim: claim)
        if let claim, claim.operator == person.name, claim.until > Clocks.wall().milliseconds {
            shown.citizen = try AppealRows.read(
                CitizenRecord.self, .citizens, CitizenRecord.key(appeal, id), in: transaction)
        }
        return shown
    }

    /// Whether an event is of an appeal that the person may touch, or of the person's own making.
    package func mayFollow<Transaction: Readable & ~Copyable>(
        _ person: Operator, _ event: AppealEventRecord, in transaction: borrowing Transaction
    ) throws(StoreError) -> Bool {
        if event.actor == person.name, event.role == person.role { return true }
        switch person.desk {
        // Whoever calls again is told where the appeal is, wherever that may be.
        case .firstLine: return true
        case .secondLine(let tenancy, let line):
            guard let id = AppealID(event.appeal), let appeal = try appeal(id, in: transaction) else { return false }
            return appeal.tenancy == tenancy && appeal.line == line
        }
    }
}
