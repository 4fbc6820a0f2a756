/// A node on its way out: it takes nothing new while it drains, and is not started again once it is retired. Counters
/// of table `meta`: milliseconds since 1970; 0: it is not.
package enum Draining {
    private static let draining = Array("draining".utf8)
    private static let life = Array("draining-life".utf8)
    private static let retired = Array("retired".utf8)

    /// A new life of the store drains no more: what its earlier one has forgotten comes back, and must be taken.
    package static func since<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> Timestamp? {
        let isOfThisLife = try transaction.number(life) == transaction.number(MetaKey.incarnationCount)
        return isOfThisLife ? try instant(draining, in: transaction) : nil
    }

    /// - Returns: false when it was draining already.
    package static func begin(in transaction: borrowing WriteTransaction) throws(StoreError) -> Bool {
        guard try since(in: transaction) == nil else { return false }
        try transaction.setNumber(draining, UInt64(transaction.now.milliseconds))
        try transaction.setNumber(life, try transaction.number(MetaKey.incarnationCount))
        return true
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

extension Draining {
    /// - Throws: `node-retired`: it does not run any more.
    static func requireInService(_ store: Store) throws {
        let since = try store.read { transaction throws(StoreError) in try retiredSince(in: transaction) }
        guard let since else { return }
        throw FederationError(
            "node-retired", "this node was retired at \(since.milliseconds / 1000) (seconds since 1970)",
            remedy: "leave it stopped; if it was retired by mistake: ekc node retire DIR --undo")
    }

    /// The way back for a node that was retired by mistake, and does not run. It goes on draining.
    /// - Throws: `not-retired`; `store-in-use`.
    package static func undoRetirement(_ folder: NodeFolder, now: Timestamp) throws {
        guard Files.exists(folder.storeFolder) else { throw notRetired(folder) }
        let lock = try StoreLock(directory: folder.storeFolder)
        defer { lock.release() }
        let engine = try LMDBEngine(directory: folder.storeFolder, tables: Table.exchange)
        defer { engine.close() }
        var was = false
        let job = WriteJob(.essential) { transaction in
            was = try takeBack(in: transaction)
        } completion: { _ in
        }
        try GroupCommit.run([job], on: engine, quota: 0, now: now).outcomes[0].result.get()
        guard was else { throw notRetired(folder) }
    }

    private static func notRetired(_ folder: NodeFolder) -> FederationError {
        FederationError(
            "not-retired", "the node in \(folder.path) is not retired", remedy: "start it: ekc node run \(folder.path)")
    }
}
