/// A node on its way out: it takes nothing new while it drains, and is not started again once it is retired. Counters
/// `draining` and `retired` of table `meta`: milliseconds since 1970; 0: it is not.
package enum Draining {
    private static let draining = Array("draining".utf8)
    private static let retired = Array("retired".utf8)

    package static func since<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> Timestamp? { try instant(draining, in: transaction) }

    package static func begin(in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard try since(in: transaction) == nil else { return }
        try transaction.setNumber(draining, UInt64(transaction.now.milliseconds))
    }

    /// - Returns: whether it was draining.
    package static func end(in transaction: borrowing WriteTransaction) throws(StoreError) -> Bool {
        let was = try since(in: transaction) != nil
        try transaction.setNumber(draining, 0)
        return was
    }

    package static func retiredSince<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> Timestamp? { try instant(retired, in: transaction) }

    package static func retire(in transaction: borrowing WriteTransaction) throws(StoreError) {
        try transaction.setNumber(retired, UInt64(transaction.now.milliseconds))
    }

    /// - Returns: whether it was retired.
    package static func takeBack(in transaction: borrowing WriteTransaction) throws(StoreError) -> Bool {
        let was = try retiredSince(in: transaction) != nil
        try transaction.setNumber(retired, 0)
        return was
    }

    private static func instant<Transaction: Readable & ~Copyable>(
        _ key: [UInt8], in transaction: borrowing Transaction
    ) throws(StoreError) -> Timestamp? {
        let number = try transaction.number(key)
        return number == 0 ? nil : Timestamp(milliseconds: Int64(clamping: number))
    }
}
