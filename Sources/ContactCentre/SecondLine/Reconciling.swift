package import Federation

/// A home that was put back from a backup has forgotten what it did since. What it has answered, and what it has given
/// back, the centre knows.
extension Desk {
    /// Says to the centre which appeals are at home here and not done: it says of which that is not so any more.
    /// - Parameter start: the key of the appeal to begin after; empty: from the first.
    /// - Returns: the key of the last one that was looked at; nil when there are no more.
    package func askWhatIsMine(
        after start: [UInt8], in transaction: borrowing WriteTransaction
    ) throws -> [UInt8]? {
        guard node != centre else { return nil }
        let page = try page(after: start, in: transaction) { $0.owner == node.text }
        let mine = page.found.filter { !$0.state.isFinal }.compactMap(StatusBody.Mine.init)
        if !mine.isEmpty { try send(StatusBody(mine: mine), to: centre, in: transaction) }
        return page.keys.last
    }

    /// The next appeals here, and those of them that are meant.
    func page(
        after start: [UInt8], in transaction: borrowing WriteTransaction, where isMeant: (AppealRecord) -> Bool
    ) throws(StoreError) -> (keys: [[UInt8]], found: [AppealRecord]) {
        var keys: [[UInt8]] = []
        try transaction.scan(.appeals, from: start) { key, _ in
            let key = Array(key)
            if key != start { keys.append(key) }
            return keys.count < StatusBody.most
        }
        var found: [AppealRecord] = []
        for key in keys {
            guard let appeal = try AppealRows.read(AppealRecord.self, .appeals, key, in: transaction), isMeant(appeal)
            else { continue }
            found.append(appeal)
        }
        return (keys, found)
    }

    func send(_ body: StatusBody, to peer: NodeID, in transaction: borrowing WriteTransaction) throws {
        // It is asked for by what comes back of others: a right that is missing must not stop that.
        guard sender.mayReach(peer, with: .status) else { return }
        try sender.send(.status, id: random(), to: peer, body: try MessageBody.encode(body), in: transaction)
    }

    /// The centre was put back: it asks a node for every appeal that is at home there.
    package func askForEverything(_ peer: NodeID, in transaction: borrowing WriteTransaction) throws {
        guard node == centre, peer != node else { return }
        try send(StatusBody(everythingAfter: ""), to: peer, in: transaction)
    }

    private func tellEverything(after text: String, in transaction: borrowing WriteTransaction) throws {
        let page = try page(after: AppealID(text)?.key ?? [], in: transaction) { $0.owner == node.text }
        let mine = page.found.compactMap(StatusBody.Mine.init)
        let next = page.keys.count == StatusBody.most ? page.keys.last.flatMap { AppealID(key: $0)?.description } : nil
        guard next != nil || !mine.isEmpty else { return }
        try send(StatusBody(mine: mine, goesOnAfter: next), to: centre, in: transaction)
    }

    /// Says to the centre that this home has an appeal which has not come from there.
    func announce(_ appeal: AppealRecord, in transaction: borrowing WriteTransaction) throws {
        guard let mine = StatusBody.Mine(appeal) else { return }
        try send(StatusBody(mine: [mine]), to: centre, in: transaction)
    }

    /// What waited undecided, or was given back in vain, may be somebody else's by now: the centre says so, if it is.
    func announceAgain(_ body: EscalationBody, in transaction: borrowing WriteTransaction) throws {
        guard let id = AppealID(body.id), let appeal = try appeal(id, in: transaction), appeal.owner == node.text else {
            return
        }
        try announce(appeal, in: transaction)
    }

    /// A home has it: whatever the centre's store says, nobody works on it here any more, nor at the home that it came from.
    private func reclaim(
        _ mine: StatusBody.Mine, at home: NodeID, under version: UInt64, in transaction: borrowing WriteTransaction
    ) throws {
        guard EscalationBody.epochs.contains(mine.ownershipEpoch), let id = AppealID(mine.id) else { return }
        let hasForgotten = try transaction.number(MetaKey.incarnationCount) > 0
        guard var appeal = try appeal(id, in: transaction) else {
            // Forgotten here, or never accepted: people may want to know who says so.
            return try Events.note("unknown-appeal", of: id.description, by: home.text, in: transaction)
        }
        let isThere = appeal.home == home.text && appeal.tenancy == mine.tenancy
        let isNobodys = appeal.home == nil && appeal.owner == nil
        let isNewer = mine.ownershipEpoch > appeal.ownershipEpoch
        guard !appeal.state.isFinal, isNewer || isNobodys || isThere else {
            return try disclaim(mine, &appeal, id, at: home, in: transaction)
        }
        guard mine.ownershipEpoch <= appeal.ownershipEpoch + EscalationBody.epochsOfALife,
            isThere || mayTake(mine, appeal, at: home, hasForgotten: hasForgotten, now: transaction.now)
        else {
            // One that a newer topology names is heard by that.
            guard version <= router.version else { throw Rejection("wrong-home") }
            try note(.rejected, of: &appeal, by: home.text, code: "wrong-home", in: transaction)
            return try save(appeal, id, in: transaction)
        }
        if appeal.state == .queuedL1 || appeal.state == .activeL1 {
            try transaction.delete(.queue, AppealRows.queueKey(appeal.scope, appeal.place, id))
            try transaction.delete(.claims, id.key)
            try move(&appeal, .reclaimed, by: home.text, .peer, in: transaction)
            (appeal.owner, appeal.home, appeal.tenancy, appeal.reason) = (nil, home.text, mine.tenancy, mine.reason)
            appeal.leftFirstLineAt = transaction.now.milliseconds
            try leftFirstLine(id, in: transaction)
        } else {
            if appeal.state == .escalating { try move(&appeal, .handedOver, by: home.text, .peer, in: transaction) }
            let isElsewhere = appeal.home != home.text || appeal.tenancy != mine.tenancy
            if isElsewhere, isNewer || isNobodys {
                try follow(mine, &appeal, to: home, in: transaction)
            }
        }
        appeal.ownershipEpoch = max(appeal.ownershipEpoch, mine.ownershipEpoch)
        if let outcome = mine.outcome, ["answered", "refused"].contains(outcome) {
            try move(&appeal, .answered, by: home.text, .peer, code: outcome, in: transaction)
            appeal.outcome = outcome
            appeal.resolvedAt = max(appeal.receivedAt, min(mine.at ?? 0, transaction.now.milliseconds))
            try closeLater(id, in: transaction)
        }
        try save(appeal, id, in: transaction)
    }

    /// Whether the topology lets a home say that it has an appeal which this store knows to be elsewhere. From the first
    /// line nobody takes one, but from a centre that was put back and has forgotten that it had given it.
    private func mayTake(
        _ mine: StatusBody.Mine, _ appeal: AppealRecord, at home: NodeID, hasForgotten: Bool, now: Timestamp
    ) -> Bool {
        guard appeal.owner != node.text else {
            return hasForgotten
                && router.mayHold(
                    mine.tenancy, at: home, organisation: appeal.organisation, subject: appeal.subject)
        }
        let reason: EscalationReason = appeal.reason == .special && mine.reason == .special ? .special : .personal
        return router.mayFollow(
            mine.tenancy, at: home, organisation: appeal.organisation, subject: appeal.subject, reason: reason,
            on: Calendar8601.date(now))
    }

    /// From one home to another. What the one before may have forgotten, it hears.
    private func follow(
        _ mine: StatusBody.Mine, _ appeal: inout AppealRecord, to home: NodeID,
        in transaction: borrowing WriteTransaction
    ) throws {
        let before = appeal.home.flatMap(NodeID.init)
        try move(&appeal, .passedOn, by: home.text, .peer, code: appeal.home, in: transaction)
        (appeal.home, appeal.tenancy, appeal.reason) = (home.text, mine.tenancy, mine.reason)
        guard let before, before != home else { return }
        let told = StatusBody.Told(id: mine.id, ownershipEpoch: appeal.ownershipEpoch)
        try send(StatusBody(told: [told]), to: before, in: transaction)
    }

    /// What a home says that it has, it has not any more: it hears what has become of it.
    private func disclaim(
        _ mine: StatusBody.Mine, _ appeal: inout AppealRecord, _ id: AppealID, at home: NodeID,
        in transaction: borrowing WriteTransaction
    ) throws {
        // Two nodes say that it is theirs, under one epoch: a person must look.
        if mine.ownershipEpoch == appeal.ownershipEpoch, appeal.home != nil, appeal.home != home.text,
            !appeal.state.isFinal
        {
            try note(.rejected, of: &appeal, by: home.text, code: "two-owners", in: transaction)
            return try save(appeal, id, in: transaction)
        }
        guard mine.outcome == nil,
            let told = try standing(mine.id, mine.ownershipEpoch, at: home, in: transaction)
        else { return }
        try send(StatusBody(told: [told]), to: home, in: transaction)
    }

    /// - Parameter version: of the topology of whoever says it.
    func statusCame(
        _ body: StatusBody, from peer: NodeID, under version: UInt64, in transaction: borrowing WriteTransaction
    ) throws {
        let (mine, told) = (body.mine ?? [], body.told ?? [])
        let (believed, unknown) = (body.believed ?? [], body.unknown ?? [])
        guard [mine.count, told.count, believed.count, unknown.count].allSatisfy({ $0 <= StatusBody.most }) else {
            throw Rejection("body-invalid")
        }
        guard node == centre || peer == centre else { throw Rejection("not-allowed") }
        if node == centre {
            for appeal in mine { try reclaim(appeal, at: peer, under: version, in: transaction) }
            for told in unknown { try takeBackLost(told, from: peer, in: transaction) }
            if let lost = body.lostAt.flatMap(NodeID.init), lost != node { try self.lost(at: lost, in: transaction) }
            if let next = body.goesOnAfter { try send(StatusBody(everythingAfter: next), to: peer, in: transaction) }
        } else {
            for told in told { try settle(told, in: transaction) }
            if !believed.isEmpty { try answer(believed, in: transaction) }
            if let after = body.everythingAfter { try tellEverything(after: after, in: transaction) }
        }
    }

    /// What the centre knows of an appeal that a home believes to be its own; nil: that it is.
    func standing(
        _ text: String, _ epoch: Int, at home: NodeID, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> StatusBody.Told? {
        guard let id = AppealID(text), let appeal = try appeal(id, in: transaction) else { return nil }
        let isThere = appeal.home == home.text && appeal.ownershipEpoch == epoch
        if isThere, appeal.state == .escalating || appeal.state == .handedOver { return nil }
        return StatusBody.Told(
            id: text, ownershipEpoch: epoch, outcome: isThere && appeal.state.isFinal ? appeal.outcome : nil,
            at: appeal.resolvedAt)
    }

    /// Says behind an escalation that is sent once more what has become of it since.
    func tellStanding(_ body: EscalationBody, to home: NodeID, in transaction: borrowing WriteTransaction) throws {
        guard let known = try standing(body.id, body.ownershipEpoch, at: home, in: transaction) else { return }
        try send(StatusBody(told: [known]), to: home, in: transaction)
    }

    private func settle(_ told: StatusBody.Told, in transaction: borrowing WriteTransaction) throws {
        guard let id = AppealID(told.id), var appeal = try appeal(id, in: transaction), appeal.owner == node.text,
            !appeal.state.isFinal, appeal.ownershipEpoch == told.ownershipEpoch
        else { return }
        let queue = AppealRows.queueKey(appeal.scope, appeal.place, id)
        if let outcome = told.outcome, ["answered", "refused"].contains(outcome) {
            try move(&appeal, .concluded, by: centre.text, .peer, code: outcome, in: transaction)
            appeal.outcome = outcome
            appeal.resolvedAt = max(appeal.receivedAt, min(told.at ?? 0, transaction.now.milliseconds))
            try closeLater(id, in: transaction)
        } else {
            try move(&appeal, .withdrawn, by: centre.text, .peer, in: transaction)
            appeal.owner = nil
            try letTextGo(appeal, id, in: transaction)
        }
        try transaction.delete(.queue, queue)
        try transaction.delete(.claims, id.key)
        try save(appeal, id, in: transaction)
    }
}

extension StatusBody.Mine {
    /// Nil when it has never left the first line.
    init?(_ appeal: AppealRecord) {
        guard let tenancy = appeal.tenancy, let reason = appeal.reason else { return nil }
        id = appeal.id
        ownershipEpoch = appeal.ownershipEpoch
        self.tenancy = tenancy
        self.reason = reason
        outcome = appeal.state.isFinal ? appeal.outcome : nil
        at = appeal.resolvedAt
    }
}
