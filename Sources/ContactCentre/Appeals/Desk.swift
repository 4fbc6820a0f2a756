package import Federation

/// The contact centre's rules at one node, over its store: every operation is one part of a commit. No clock, no
/// randomness inside: the instant is the transaction's, random bits are given.
package struct Desk<Outgoing: Sender>: Sendable {
    /// A claim lasts so long, and every act renews it.
    package static var leaseMilliseconds: Int64 { 15 * 60_000 }

    let node: NodeID
    let centre: NodeID
    let router: Router
    let sender: Outgoing
    /// Random bits for ids of appeals and messages.
    let random: @Sendable () -> ID128

    package init(
        node: NodeID, centre: NodeID, router: Router, sender: Outgoing, random: @escaping @Sendable () -> ID128
    ) {
        self.node = node
        self.centre = centre
        self.router = router
        self.sender = sender
        self.random = random
    }

    // MARK: Rows

    func appeal<Transaction: Readable & ~Copyable>(
        _ id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> AppealRecord? {
        try AppealRows.read(AppealRecord.self, .appeals, id.key, in: transaction)
    }

    func save(_ appeal: AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        try AppealRows.write(appeal, .appeals, id.key, in: transaction)
    }

    /// Makes a transition of the table and writes its event. The row itself is saved by the caller.
    func move(
        _ appeal: inout AppealRecord, _ event: AppealEvent, by actor: String, _ role: AppealActor, code: String? = nil,
        in transaction: borrowing WriteTransaction
    ) throws {
        let from = appeal.state
        appeal.state = try AppealTransitions.next(from, event, reason: appeal.reason, line: appeal.line)
        let record = AppealEventRecord(
            appeal: appeal.id, from: from, to: appeal.state, event: event, actor: actor, role: role,
            at: transaction.now.milliseconds, node: node.text, code: code, previous: appeal.lastEvent)
        appeal.lastEvent = try Events.append(record, in: transaction)
    }

    /// Writes an event that moves nothing: something was said of the appeal that whoever asks must learn.
    func note(
        _ event: AppealEvent, of appeal: inout AppealRecord, by actor: String, code: String,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let record = AppealEventRecord(
            appeal: appeal.id, from: appeal.state, to: appeal.state, event: event, actor: actor, role: .peer,
            at: transaction.now.milliseconds, node: node.text, code: code, previous: appeal.lastEvent)
        appeal.lastEvent = try Events.append(record, in: transaction)
    }

    func enqueue(_ appeal: AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction) throws(StoreError)
    {
        try transaction.put(.queue, AppealRows.queueKey(appeal.scope, appeal.place, id), [])
    }

    // MARK: Claims

    /// Who has the appeal, and how long.
    package func claim<Transaction: Readable & ~Copyable>(
        of id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> Claim? {
        try AppealRows.read(Claim.self, .claims, id.key, in: transaction)
    }

    /// Takes an appeal from its queue: the given one, or the first.
    /// - Throws: `queue-empty`, `not-yours`, `unknown-transition` when somebody else has it.
    package func claim(
        _ wanted: AppealID?, by person: Operator, in transaction: borrowing WriteTransaction
    ) throws -> (AppealRecord, Claim) {
        if let wanted, var appeal = try appeal(wanted, in: transaction),
            let claim = try AppealRows.read(Claim.self, .claims, wanted.key, in: transaction),
            claim.until <= transaction.now.milliseconds
        {
            try endLease(&appeal, wanted, in: transaction)
        }
        guard let id = try wanted ?? first(for: person, in: transaction) else {
            throw DomainError(.conflict, "queue-empty", "nothing waits at your desk", remedy: "ask again later")
        }
        var appeal = try Access.permit(person, try self.appeal(id, in: transaction), at: node.text)
        try move(&appeal, .claimed, by: person.name, person.role, in: transaction)
        appeal.claimNumber += 1
        let claim = Claim(
            operator: person.name, number: appeal.claimNumber,
            until: transaction.now.milliseconds + Desk.leaseMilliseconds)
        try transaction.delete(.queue, AppealRows.queueKey(appeal.scope, appeal.place, id))
        try AppealRows.write(claim, .claims, id.key, in: transaction)
        try Deadline.lease.file(at: claim.until, id.key, in: transaction)
        try save(appeal, id, in: transaction)
        return (appeal, claim)
    }

    /// The first appeal that waits at a desk. An entry of the queue whose appeal does not wait there goes.
    private func first(
        for person: Operator, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> AppealID? {
        while let id = try AppealRows.waiting(person.scope, limit: 1, in: transaction).first {
            let waits: [AppealState] = [.queuedL1, .queuedL2, .queuedL21]
            if let appeal = try appeal(id, in: transaction), waits.contains(appeal.state), appeal.scope == person.scope
            {
                return id
            }
            try transaction.delete(.queue, try AppealRows.firstKey(person.scope, in: transaction))
        }
        return nil
    }

    /// The appeal, when the person holds the claim; every act renews it.
    /// - Throws: `stale-claim` when it has run out or belongs to somebody else.
    func held(
        _ id: AppealID, claim number: Int, by person: Operator, in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        let appeal = try Access.permit(person, try self.appeal(id, in: transaction), at: node.text)
        guard var claim = try AppealRows.read(Claim.self, .claims, id.key, in: transaction), claim.number == number,
            claim.operator == person.name, claim.until > transaction.now.milliseconds
        else {
            throw DomainError(
                .conflict, "stale-claim", "the claim has run out, or somebody else has the appeal",
                remedy: "claim it again")
        }
        claim.until = transaction.now.milliseconds + Desk.leaseMilliseconds
        try AppealRows.write(claim, .claims, id.key, in: transaction)
        return appeal
    }

    /// Gives an appeal back to its queue, at its place.
    package func release(
        _ id: AppealID, claim: Int, by person: Operator, in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        try move(&appeal, .released, by: person.name, person.role, in: transaction)
        try letGo(&appeal, id, in: transaction)
        return appeal
    }

    /// A lease that has run out ends here and now; one that has not is looked at again when it does.
    func endLease(_ appeal: inout AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction) throws {
        guard let claim = try AppealRows.read(Claim.self, .claims, id.key, in: transaction) else { return }
        guard claim.until <= transaction.now.milliseconds else {
            return try Deadline.lease.file(at: claim.until, id.key, in: transaction)
        }
        try move(&appeal, .leaseEnded, by: "system", .system, in: transaction)
        try letGo(&appeal, id, in: transaction)
    }

    func letGo(_ appeal: inout AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction) throws {
        try transaction.delete(.claims, id.key)
        try enqueue(appeal, id, in: transaction)
        try save(appeal, id, in: transaction)
        try followHome(of: &appeal, id, in: transaction)
    }

    /// A store that was put back counts numbers from where it was: what was given out since belongs to others.
    package func stepNumbers(in transaction: borrowing WriteTransaction) throws(StoreError) {
        let (life, counter) = (Array("number-life".utf8), Array("appeal-number".utf8))
        let lives = try transaction.number(MetaKey.incarnationCount)
        let stepped = try transaction.number(life)
        guard lives > stepped else { return }
        try transaction.setNumber(life, lives)
        try transaction.setNumber(counter, try transaction.number(counter) + (lives - stepped) * Desk.numbersPerLife)
    }

    /// Appeals of some days.
    static var numbersPerLife: UInt64 { 200_000 }

    /// After a restart each claim gets one full term: the node was away, not the operator.
    package func renewClaims(in transaction: borrowing WriteTransaction) throws {
        var held: [[UInt8]] = []
        try transaction.scan(.claims, from: []) { key, _ in
            held.append(Array(key))
            return true
        }
        for key in held {
            guard var claim = try AppealRows.read(Claim.self, .claims, key, in: transaction) else { continue }
            claim.until = transaction.now.milliseconds + Desk.leaseMilliseconds
            try AppealRows.write(claim, .claims, key, in: transaction)
        }
    }
}
