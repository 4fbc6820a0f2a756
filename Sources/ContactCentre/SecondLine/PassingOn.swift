package import Federation

/// From one home to another, past the first line: a home that has moved forwards what is open there, and line 2 of MSE passes
/// an appeal to line 2.1 in the citizen's subject (T13). Ownership goes with it, under a raised epoch; what was said goes
/// too, what the old home found out about the citizen does not: the new home checks the identity itself.
extension Desk {
    /// Where an appeal that is at home here belongs today, when that is elsewhere and can take it.
    private func newHome(of appeal: AppealRecord, at now: Timestamp) -> Route? {
        guard node != centre, appeal.owner == node.text, let reason = appeal.reason,
            // Who sent it here by a newer topology knows better.
            appeal.routedUnder ?? 0 <= router.version,
            let route = router.route(
                organisation: appeal.organisation, subject: appeal.subject, reason: reason,
                on: Calendar8601.date(now)),
            route.isLive, route.tenancy.id != appeal.tenancy,
            // Two clocks around midnight do not throw it to and fro.
            route.node.id.text != appeal.cameFrom || router.version != appeal.routedUnder
                || now.milliseconds - (appeal.cameAt ?? 0) > Deadline.throwBackMilliseconds
        else { return nil }
        return route
    }

    /// One that waits here and belongs elsewhere goes there, as soon as there is room for it.
    func followHome(
        of appeal: inout AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction
    ) throws {
        guard appeal.state == .queuedL2 || appeal.state == .queuedL21,
            let route = newHome(of: appeal, at: transaction.now)
        else { return }
        guard sender.hasRoom(for: .escalation, to: route.node.id, purpose: .intake, in: transaction) else {
            return try Deadline.passing.file(
                at: transaction.now.milliseconds + Deadline.passingAgainMilliseconds, id.key, in: transaction)
        }
        try passOn(&appeal, id, to: route, by: "system", .system, in: transaction)
    }

    /// The appeals that wait here and belong elsewhere: after a change of the topology, and when a day begins.
    /// - Parameters:
    ///   - start: the key of the queue to begin after; empty: from the first.
    ///   - limit: rows looked at.
    /// - Returns: what was found, and the last key looked at; nil when there are no more.
    package func moved<Transaction: Readable & ~Copyable>(
        after start: [UInt8], limit: Int = 500, at now: Timestamp, in transaction: borrowing Transaction
    ) throws(StoreError) -> (found: [AppealID], last: [UInt8]?) {
        guard node != centre else { return ([], nil) }
        var keys: [[UInt8]] = []
        try transaction.scan(.queue, from: start) { key, _ in
            let key = Array(key)
            if key != start { keys.append(key) }
            return keys.count < limit
        }
        var found: [AppealID] = []
        for key in keys {
            guard let id = AppealID(key: Array(key.suffix(16))), let appeal = try appeal(id, in: transaction),
                newHome(of: appeal, at: now) != nil
            else { continue }
            found.append(id)
        }
        return (found, keys.count == limit ? keys.last : nil)
    }

    /// They go when time next passes, some at a time.
    package func pass(_ ids: [AppealID], in transaction: borrowing WriteTransaction) throws(StoreError) {
        for id in ids { try Deadline.passing.file(at: transaction.now.milliseconds, id.key, in: transaction) }
    }

    /// T13: the second line of MSE has seen that personal data is needed, and passes the appeal to line 2.1 in the subject.
    /// - Throws: `no-line-2.1` when it is no matter of MSE, or has come for its personal data already; `home-not-live`.
    package func passToSubject(
        _ id: AppealID, claim: Int, by person: Operator, in transaction: borrowing WriteTransaction
    ) throws -> AppealRecord {
        var appeal = try held(id, claim: claim, by: person, in: transaction)
        guard appeal.organisation == "MSE", appeal.reason == .special,
            let route = router.route(
                organisation: appeal.organisation, subject: appeal.subject, reason: .personal,
                on: Calendar8601.date(transaction.now))
        else {
            throw DomainError(
                .conflict, "no-line-2.1", "only line 2 of MSE passes appeals to a line 2.1",
                remedy: "answer it, or give it back to the first line")
        }
        guard route.isLive else {
            throw DomainError(
                .conflict, "home-not-live", route.explanation,
                remedy: route.tenancy.fallback ?? "keep it, and try later")
        }
        try passOn(
            &appeal, id, to: route, as: .personal, by: person.name, person.role, in: transaction)
        return appeal
    }

    /// From this commit on nobody acts on it here.
    private func passOn(
        _ appeal: inout AppealRecord, _ id: AppealID, to route: Route, as reason: EscalationReason? = nil,
        by actor: String, _ role: AppealActor, in transaction: borrowing WriteTransaction
    ) throws {
        guard let history = try transaction.get(.text, id.key) else { throw Access.refusal }
        try transaction.delete(.queue, AppealRows.queueKey(appeal.scope, appeal.place, id))
        try transaction.delete(.claims, id.key)
        try move(&appeal, .passedOn, by: actor, role, code: route.tenancy.id, in: transaction)
        appeal.ownershipEpoch += 1
        appeal.owner = nil
        appeal.home = route.node.id.text
        var body = EscalationBody(appeal, history: history)
        body.tenancy = route.tenancy.id
        if let reason { body.reason = reason } else { body.dueAt = appeal.dueAt }
        guard route.node.id == node else {
            try save(appeal, id, in: transaction)
            return try sender.send(
                .escalation, id: random(), to: route.node.id, body: try MessageBody.encode(body), in: transaction)
        }
        // Another tenancy of this node: nothing travels.
        try move(&appeal, .handedOver, by: route.tenancy.id, .peer, in: transaction)
        try letTextGo(appeal, id, in: transaction)
        appeal.ownershipEpoch -= 1
        try save(appeal, id, in: transaction)
        try receive(body, from: node, under: router.version, in: transaction)
        appeal = try self.appeal(id, in: transaction) ?? appeal
    }

    /// The new home has it: what was said, and what was found out here about the citizen, is kept there or nowhere. The
    /// centre keeps what was said for its 24 h.
    func letTextGo(
        _ appeal: AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard node != centre else { return }
        try transaction.delete(.text, id.key)
        try transaction.delete(.citizens, CitizenRecord.key(appeal, id))
    }

    /// The new home has not taken it: it waits here again, at its place, and the centre hears under which epoch.
    func passRefused(
        _ appeal: inout AppealRecord, _ id: AppealID, by tenancy: String, _ code: String,
        in transaction: borrowing WriteTransaction
    ) throws {
        try move(&appeal, .passRefused, by: tenancy, .peer, code: code, in: transaction)
        appeal.ownershipEpoch += 1
        appeal.owner = node.text
        appeal.home = nil
        try enqueue(appeal, id, in: transaction)
        try save(appeal, id, in: transaction)
        try announce(appeal, in: transaction)
    }
}
