import Federation
import FoundationEssentials

/// A home that was put back from a backup so old that nobody could give it again what it had applied: some appeals that
/// the centre believes to be there are nowhere. The centre asks for each by name, and what the home does not know is the
/// first line's again, with its text if that is still here.
extension Desk {
    /// A node has lost messages of this one. At a home the centre hears of it: it knows what was there.
    func lost(at peer: NodeID, in transaction: borrowing WriteTransaction) throws {
        try Events.note("messages-lost-there", of: peer.text, by: node.text, in: transaction)
        guard node == centre else {
            return try send(StatusBody(lostAt: peer.text), to: centre, in: transaction)
        }
        try checkHome(peer, after: [], in: transaction)
    }

    /// Files the next part of the check: it goes through every appeal, and other work goes on in between.
    private func checkHome(
        _ home: NodeID, after key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let row = Array(home.text.utf8) + [0] + key
        try Deadline.checking.file(at: transaction.now.milliseconds, row, in: transaction)
    }

    /// Asks a home for the next appeals that should be there.
    /// - Parameter row: the home ‖ 0 ‖ the key of the appeal that was looked at last.
    func checkHome(_ row: [UInt8], in transaction: borrowing WriteTransaction) throws {
        guard node == centre, let end = row.firstIndex(of: 0),
            let home = NodeID(String(decoding: row[..<end], as: UTF8.self))
        else { return }
        let (keys, there) = try page(after: Array(row[(end + 1)...]), in: transaction) {
            $0.home == home.text && $0.state == .handedOver
        }
        let believed = there.map { StatusBody.Told(id: $0.id, ownershipEpoch: $0.ownershipEpoch) }
        if !believed.isEmpty { try send(StatusBody(believed: believed), to: home, in: transaction) }
        guard keys.count == StatusBody.most, let last = keys.last else { return }
        try checkHome(home, after: last, in: transaction)
    }

    /// At a home: which of these it has never heard of, as far as its store goes.
    func answer(_ believed: [StatusBody.Told], in transaction: borrowing WriteTransaction) throws {
        var unknown: [StatusBody.Told] = []
        for told in believed {
            guard let id = AppealID(told.id) else { throw Rejection("body-invalid") }
            if try appeal(id, in: transaction) == nil { unknown.append(told) }
        }
        if !unknown.isEmpty { try send(StatusBody(unknown: unknown), to: centre, in: transaction) }
    }

    /// At the centre: a home does not know what should be there.
    func takeBackLost(
        _ told: StatusBody.Told, from home: NodeID, in transaction: borrowing WriteTransaction
    ) throws {
        guard let id = AppealID(told.id), var appeal = try appeal(id, in: transaction), appeal.home == home.text,
            appeal.state == .handedOver, appeal.ownershipEpoch == told.ownershipEpoch
        else { return }
        try move(&appeal, .rejected, by: home.text, .peer, code: "lost-there", in: transaction)
        let text = try transaction.get(.text, id.key) ?? History.lost(at: home, on: transaction.now).bytes
        try ownAgain(&appeal, id, history: text, in: transaction)
    }
}

extension History {
    /// In place of what was said: nobody has it any more.
    static func lost(at home: NodeID, on now: Timestamp) throws(DomainError) -> History {
        let at = Date(timeIntervalSince1970: Double(now.milliseconds) / 1000).ISO8601Format()
        let text =
            "Текст обращения утрачен: узел \(home) восстановлен из слишком старой резервной копии. "
            + "Ответа гражданин не получил."
        return try History([Utterance(at: at, author: .bot, text: text)])
    }
}
