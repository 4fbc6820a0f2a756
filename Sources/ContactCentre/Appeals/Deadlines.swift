package import Federation

extension Table {
    package static let deadlines = Table("deadlines")
}

/// What falls due of itself. Row of table `deadlines`: instant u64 ‖ what u8 ‖ key of the row that it is about; no value.
/// They are found in order, so that letting time pass costs what is due and not what is kept. A deadline is a reminder:
/// whether the row is really due is asked of the row, and a row that has got more time is filed again.
enum Deadline: UInt8 {
    /// A claim ends.
    case lease = 1
    /// The centre's text of an appeal that has left the first line goes.
    case text = 2
    /// A resolved appeal is closed.
    case closing = 3
    /// An answer that was kept for its Idempotency-Key goes.
    case answer = 4
    /// An appeal whose home has moved goes there.
    case passing = 5
    /// A home that has lost messages is asked for what should be there.
    case checking = 6

    static let textMilliseconds: Int64 = 24 * 3_600_000
    static let closingMilliseconds: Int64 = 72 * 3_600_000
    /// Clocks do not differ by as much.
    static let throwBackMilliseconds: Int64 = 12 * 3_600_000
    /// The new home has no room yet.
    static let passingAgainMilliseconds: Int64 = 10_000

    func file(
        at instant: Int64, _ row: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        var key = ByteWriter(capacity: 120)
        key.append(UInt64(clamping: instant))
        key.append(rawValue)
        key.append(row)
        try transaction.put(.deadlines, key.bytes, [])
    }

    /// When the earliest comes.
    static func first<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> Timestamp? {
        var first: Timestamp?
        try transaction.scan(.deadlines, from: []) { key, _ in
            var reader = ByteReader(Array(key))
            first = (try? reader.number(UInt64.self)).map { Timestamp(milliseconds: Int64(clamping: $0)) }
            return false
        }
        return first
    }

    /// Takes the earliest that have come out of the table.
    static func take(
        limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> [(what: Deadline, row: [UInt8])] {
        let now = transaction.now.milliseconds
        var keys: [[UInt8]] = []
        try transaction.scan(.deadlines, from: []) { key, _ in
            let key = Array(key)
            var reader = ByteReader(key)
            guard keys.count < limit, let instant = try? reader.number(UInt64.self), instant <= now else {
                return false
            }
            keys.append(key)
            return true
        }
        var found: [(what: Deadline, row: [UInt8])] = []
        for key in keys {
            try transaction.delete(.deadlines, key)
            guard key.count > 9, let what = Deadline(rawValue: key[8]) else { continue }
            found.append((what, Array(key[9...])))
        }
        return found
    }
}

/// What time does.
extension Desk {
    /// Whether something is due: a look costs no commit.
    package func isSomethingDue<Transaction: Readable & ~Copyable>(
        at now: Timestamp, in transaction: borrowing Transaction
    ) throws(StoreError) -> Bool {
        try Deadline.first(in: transaction).map { $0 <= now } ?? false
    }

    /// Lets the earliest of what is due happen: leases end, texts at the centre go after 24 h, resolved appeals close
    /// after 72 h, kept answers go after 7 days, appeals whose home has moved go there.
    /// - Parameter limit: how many at the most, so that a commit stays short.
    /// - Returns: whether there may be more: call it again.
    package func passTime(limit: Int = 256, in transaction: borrowing WriteTransaction) throws -> Bool {
        let due = try Deadline.take(limit: limit, in: transaction)
        for (what, row) in due {
            // What cannot be done for one is no reason to do nothing for the others.
            let result = try transaction.attempt { part in try pass(what, row, in: part) }
            if case .failure(let error) = result, !(error is DomainError) { throw error }
        }
        return due.count == limit
    }

    private func pass(_ what: Deadline, _ row: [UInt8], in transaction: borrowing WriteTransaction) throws {
        if what == .answer { return try Idempotency.forget(row, in: transaction) }
        if what == .checking { return try checkHome(row, in: transaction) }
        guard let id = AppealID(key: row), var appeal = try appeal(id, in: transaction) else { return }
        switch what {
        case .lease: try endLease(&appeal, id, in: transaction)
        case .text where row != id.key: if node == centre { try transaction.delete(.text, row) }
        case .text: try textDue(appeal, id, in: transaction)
        case .closing: try closingDue(&appeal, id, in: transaction)
        // One that somebody is at work on stays until the claim ends.
        case .passing: try followHome(of: &appeal, id, in: transaction)
        case .answer, .checking: break
        }
    }

    private func textDue(_ appeal: AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction) throws {
        // One that has come back to the first line needs its text.
        guard node == centre, let left = appeal.leftFirstLineAt else { return }
        guard left + Deadline.textMilliseconds <= transaction.now.milliseconds else {
            return try Deadline.text.file(at: left + Deadline.textMilliseconds, id.key, in: transaction)
        }
        try transaction.delete(.text, id.key)
    }

    private func closingDue(
        _ appeal: inout AppealRecord, _ id: AppealID, in transaction: borrowing WriteTransaction
    ) throws {
        guard appeal.state == .resolved, let resolved = appeal.resolvedAt else { return }
        guard resolved + Deadline.closingMilliseconds <= transaction.now.milliseconds else {
            return try Deadline.closing.file(at: resolved + Deadline.closingMilliseconds, id.key, in: transaction)
        }
        try move(&appeal, .closed, by: "system", .system, in: transaction)
        try save(appeal, id, in: transaction)
    }
}
