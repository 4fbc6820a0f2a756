package import Federation

/// A home that was put back from a backup has forgotten what it did since. What it has answered, and what it has given
/// back, the centre knows.
extension Desk {
    /// Asks the centre about the appeals that are at home here and not done.
    /// - Parameter start: the key of the appeal to begin after; empty: from the first.
    /// - Returns: the key of the last one that was looked at; nil when there are no more.
    package func askWhatIsMine(
        after start: [UInt8], in transaction: borrowing WriteTransaction
    ) throws -> [UInt8]? {
        guard node != centre else { return nil }
        var keys: [[UInt8]] = []
        try transaction.scan(.appeals, from: start) { key, _ in
            let key = Array(key)
            if key != start { keys.append(key) }
            return keys.count < StatusBody.most
        }
        var body = StatusBody()
        for key in keys {
            guard let appeal = try AppealRows.read(AppealRecord.self, .appeals, key, in: transaction),
                appeal.owner == node.text, !appeal.state.isFinal
            else { continue }
            body.asked.append(StatusBody.Asked(id: appeal.id, ownershipEpoch: appeal.ownershipEpoch))
        }
        if !body.asked.isEmpty {
            try sender.send(.status, id: random(), to: centre, body: try MessageBody.encode(body), in: transaction)
        }
        return keys.last
    }

    func statusCame(_ body: StatusBody, from peer: NodeID, in transaction: borrowing WriteTransaction) throws {
        guard body.asked.count <= StatusBody.most, body.told.count <= StatusBody.most else {
            throw Rejection("body-invalid")
        }
        if node == centre {
            var told = StatusBody()
            for asked in body.asked {
                if let known = try standing(asked.id, asked.ownershipEpoch, at: peer, in: transaction) {
                    told.told.append(known)
                }
            }
            guard !told.told.isEmpty else { return }
            try sender.send(.status, id: random(), to: peer, body: try MessageBody.encode(told), in: transaction)
        } else {
            guard peer == centre else { throw Rejection("not-allowed") }
            for told in body.told { try settle(told, in: transaction) }
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
            id: text, ownershipEpoch: max(epoch, appeal.ownershipEpoch),
            outcome: isThere && appeal.state.isFinal ? appeal.outcome : nil, at: appeal.resolvedAt)
    }

    /// Says behind an escalation that is sent once more what has become of it since.
    func tellStanding(_ body: EscalationBody, to home: NodeID, in transaction: borrowing WriteTransaction) throws {
        guard let known = try standing(body.id, body.ownershipEpoch, at: home, in: transaction) else { return }
        try sender.send(
            .status, id: random(), to: home, body: try MessageBody.encode(StatusBody(told: [known])), in: transaction)
    }

    private func settle(_ told: StatusBody.Told, in transaction: borrowing WriteTransaction) throws {
        guard let id = AppealID(told.id), var appeal = try appeal(id, in: transaction), appeal.owner == node.text,
            !appeal.state.isFinal, (appeal.ownershipEpoch...1_000_000).contains(told.ownershipEpoch)
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
            try transaction.delete(.text, id.key)
        }
        appeal.ownershipEpoch = told.ownershipEpoch
        try transaction.delete(.queue, queue)
        try transaction.delete(.claims, id.key)
        try save(appeal, id, in: transaction)
    }
}
