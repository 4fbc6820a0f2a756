/// A named table of the store: ordered by key, bytes to bytes.
package struct Table: Sendable, Hashable {
    package let name: String
    package init(_ name: String) { self.name = name }
}

/// What a store is made of: an ordered set of tables with nested write transactions. LMDB in production, memory in
/// the simulator; nothing above this line knows which.
package protocol StorageEngine: AnyObject, Sendable {
    func beginRead() throws(StoreError) -> any EngineReader
    /// Only the writer's thread may call this, and only when no other write transaction is open.
    func beginWrite() throws(StoreError) -> any EngineWriter
    /// Keeps so many bytes beyond what is in use written on the disk, so that a commit never meets a full one. It grows
    /// by a part a call. On the writer's thread, between transactions.
    /// - Returns: hundredths of it that are there; 100 while the disk still gives.
    /// - Throws: `store-damaged` when the file has become shorter, which nothing of ours makes it.
    func keepReserve(_ bytes: Int) throws(StoreError) -> Int
    /// Bytes that a commit may write before the disk is full: what is free, and what is written ahead.
    func roomBytes() -> Int
    /// Bytes of the file that pages take, in use or not.
    func fileBytes() throws(StoreError) -> Int
    /// Writes a compacted, consistent copy to a descriptor. It blocks, and needs no transaction of the caller's.
    func copy(to descriptor: CInt) throws(StoreError)
    /// Lets go of snapshots whose readers have ended without a word.
    func forgetReaders()
    /// Lets go of files. What is asked later is refused.
    func close()
}

/// How much a table holds.
package struct TableSize: Sendable, Hashable {
    package var rows: Int
    /// In pages that hold its rows.
    package var bytes: Int

    package init(rows: Int, bytes: Int) {
        self.rows = rows
        self.bytes = bytes
    }
}

/// A consistent view. It ends with `end`, exactly once.
package protocol EngineReader: AnyObject {
    /// Calls `body` with the value's bytes, valid inside the call only. False when there is no such key.
    func withValue(_ table: Table, _ key: RawSpan, _ body: (RawSpan) -> Void) throws(StoreError) -> Bool
    /// Walks keys at or after `key` in ascending order until `body` says false.
    func scan(_ table: Table, from key: RawSpan, _ body: (_ key: RawSpan, _ value: RawSpan) -> Bool) throws(StoreError)
    /// Walks keys at or before `key` in descending order until `body` says false.
    func scanBackwards(
        _ table: Table, from key: RawSpan, _ body: (_ key: RawSpan, _ value: RawSpan) -> Bool
    ) throws(StoreError)
    func size(_ table: Table) throws(StoreError) -> TableSize
    func end()
}

/// A write transaction with nested parts.
package protocol EngineWriter: EngineReader {
    func put(_ table: Table, _ key: RawSpan, _ value: RawSpan) throws(StoreError)
    /// False when there was no such key.
    func delete(_ table: Table, _ key: RawSpan) throws(StoreError) -> Bool
    /// Opens a nested part. Until it ends, everything goes through it.
    func beginPart() throws(StoreError)
    func commitPart() throws(StoreError)
    func abortPart()
    /// Bytes in pages that hold data, over all tables, as of now.
    func usedBytes() throws(StoreError) -> Int
    /// Durable when it returns. A throw means that nothing of the transaction is known to be durable.
    func commit() throws(StoreError)
}
