package import Federation

/// The rows of table `events`: transitions of appeals and acts of administrators, numbered in the order of their commits,
/// never changed.
package enum Events {
    /// What an administrator has done.
    package struct Act: Codable, Sendable, Hashable {
        /// Such as `operator-added`.
        package var act: String
        /// To whom or what.
        package var subject: String
        /// `uid/0`: who was at the admin socket, by the kernel's word.
        package var actor: String
        package var at: Int64
    }

    /// - Returns: the event's number.
    static func append(
        _ record: some Encodable, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> UInt64 {
        let number = try transaction.nextNumber(Array("event".utf8))
        try AppealRows.write(record, .events, key(number), in: transaction)
        return number
    }

    package static func note(
        _ act: String, of subject: String, by actor: String, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        _ = try append(
            Act(act: act, subject: subject, actor: actor, at: transaction.now.milliseconds), in: transaction)
    }

    /// The transitions after a number, as they happened; acts are stepped over.
    /// - Parameter limit: rows looked at.
    /// - Returns: the last number looked at, and what was found.
    package static func transitions<Transaction: Readable & ~Copyable>(
        after number: UInt64, limit: Int, in transaction: borrowing Transaction
    ) throws(StoreError) -> (last: UInt64, found: [(number: UInt64, event: AppealEventRecord)]) {
        var last = number
        var rows: [(number: UInt64, bytes: [UInt8])] = []
        try transaction.scan(.events, from: key(number + 1)) { key, value in
            var reader = ByteReader(Array(key))
            guard rows.count < limit, let found = try? reader.number(UInt64.self) else { return false }
            last = found
            rows.append((found, Array(value)))
            return true
        }
        return (last, rows.compactMap { row in AppealRows.decoded(row.bytes).map { (row.number, $0) } })
    }

    /// The number of the last event.
    package static func last<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> UInt64 {
        try transaction.number(Array("event".utf8))
    }

    /// One transition, by its number.
    static func transition<Transaction: Readable & ~Copyable>(
        _ number: UInt64, in transaction: borrowing Transaction
    ) throws(StoreError) -> AppealEventRecord? {
        try AppealRows.read(AppealEventRecord.self, .events, key(number), in: transaction)
    }

    private static func key(_ number: UInt64) -> [UInt8] {
        var key = ByteWriter(capacity: 8)
        key.append(number)
        return key.bytes
    }
}
