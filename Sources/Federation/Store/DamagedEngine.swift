/// A store that is damaged: tables that are not named in its damage can still be read, nothing can be written.
final class DamagedEngine: StorageEngine {
    private let inner: (any StorageEngine)?
    private let health: StoreHealth

    /// - Parameter inner: nil when nothing of it can be read.
    init(_ inner: (any StorageEngine)?, _ health: StoreHealth) {
        self.inner = inner
        self.health = health
    }

    private var refusal: StoreError {
        health.refusal ?? StoreError(.damaged, "the store is damaged", remedy: "put a backup back")
    }

    func beginRead() throws(StoreError) -> any EngineReader {
        guard let inner, let unreadable = health.damage?.unreadable else { throw refusal }
        return Reader(try inner.beginRead(), Set(unreadable), refusal)
    }

    func beginWrite() throws(StoreError) -> any EngineWriter { throw refusal }
    func keepReserve(_ bytes: Int) -> Int { 100 }
    func roomBytes() -> Int { inner?.roomBytes() ?? 0 }
    func fileBytes() throws(StoreError) -> Int { try inner?.fileBytes() ?? 0 }
    func copy(to descriptor: CInt) throws(StoreError) { throw refusal }
    func forgetReaders() {}
    func close() { inner?.close() }

    private final class Reader: EngineReader {
        private let inner: any EngineReader
        private let unreadable: Set<String>
        private let refusal: StoreError

        init(_ inner: any EngineReader, _ unreadable: Set<String>, _ refusal: StoreError) {
            self.inner = inner
            self.unreadable = unreadable
            self.refusal = refusal
        }

        private func require(_ table: Table) throws(StoreError) {
            if unreadable.contains(table.name) { throw refusal }
        }

        func withValue(_ table: Table, _ key: RawSpan, _ body: (RawSpan) -> Void) throws(StoreError) -> Bool {
            try require(table)
            return try inner.withValue(table, key, body)
        }

        func scan(_ table: Table, from key: RawSpan, _ body: (RawSpan, RawSpan) -> Bool) throws(StoreError) {
            try require(table)
            try inner.scan(table, from: key, body)
        }

        func scanBackwards(_ table: Table, from key: RawSpan, _ body: (RawSpan, RawSpan) -> Bool) throws(StoreError) {
            try require(table)
            try inner.scanBackwards(table, from: key, body)
        }

        func size(_ table: Table) throws(StoreError) -> TableSize {
            try require(table)
            return try inner.size(table)
        }

        func end() { inner.end() }
    }
}
