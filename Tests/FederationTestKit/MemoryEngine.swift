package import Federation

/// The store's tables in memory, with the same meaning as LMDB: readers see what was committed, nested parts undo
/// alone. One thread at a time. A snapshot is what a disk would hold.
package final class MemoryEngine: StorageEngine, @unchecked Sendable {
    // Safe because: tests and the simulator call it from one thread, or through one writer with readers between.
    package typealias Tables = [Table: SortedTable]

    /// What is committed.
    package private(set) var committed: Tables
    private let lock = Monitor(())

    package init(_ tables: Tables = [:]) { committed = tables }

    package func beginRead() -> any EngineReader { lock.change { _ in MemoryReader(committed) } }

    package func beginWrite() -> any EngineWriter { MemoryWriter(beginTables(), self) }

    package func close() {}
    package func forgetReaders() {}

    package func roomBytes() -> Int { .max }
    package func fileBytes() -> Int { 0 }

    package func copy(to descriptor: CInt) throws(StoreError) {
        throw StoreError(.unusable, "there is no file", remedy: "use a store on a disk")
    }

    /// What the disk answers when it is asked for its reserve.
    package var reserveShare: Int {
        get { reserve.changeQuietly { $0 } }
        set { reserve.change { $0 = newValue } }
    }
    private let reserve = Monitor(100)

    package func keepReserve(_ bytes: Int) -> Int { reserveShare }

    /// Puts back what a snapshot held.
    package func restore(_ tables: Tables) { lock.change { _ in committed = tables } }

    private func beginTables() -> Tables { lock.change { _ in committed } }

    fileprivate func commit(_ tables: Tables) { lock.change { _ in committed = tables } }
}

/// Keys in ascending order of their bytes.
package struct SortedTable: Sendable, Equatable {
    package private(set) var keys: [[UInt8]] = []
    package private(set) var values: [[UInt8]] = []

    /// Index of the first key at or after `key`.
    func lowerBound(_ key: [UInt8]) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    package func index(of key: [UInt8]) -> Int? {
        let index = lowerBound(key)
        return index < keys.count && keys[index] == key ? index : nil
    }

    mutating func put(_ key: [UInt8], _ value: [UInt8]) {
        let index = lowerBound(key)
        if index < keys.count && keys[index] == key {
            values[index] = value
        } else {
            keys.insert(key, at: index)
            values.insert(value, at: index)
        }
    }

    mutating func remove(at index: Int) {
        keys.remove(at: index)
        values.remove(at: index)
    }
}

class MemoryReader: EngineReader {
    fileprivate var tables: MemoryEngine.Tables

    fileprivate init(_ tables: MemoryEngine.Tables) { self.tables = tables }

    func withValue(_ table: Table, _ key: RawSpan, _ body: (RawSpan) -> Void) -> Bool {
        guard let found = tables[table], let index = found.index(of: Array(key)) else { return false }
        let value = found.values[index]
        body(value.span.bytes)
        return true
    }

    func scan(_ table: Table, from key: RawSpan, _ body: (RawSpan, RawSpan) -> Bool) {
        guard let found = tables[table] else { return }
        for index in found.lowerBound(Array(key))..<found.keys.count {
            let key = found.keys[index]
            let value = found.values[index]
            guard body(key.span.bytes, value.span.bytes) else { return }
        }
    }

    func scanBackwards(_ table: Table, from key: RawSpan, _ body: (RawSpan, RawSpan) -> Bool) {
        guard let found = tables[table] else { return }
        let key = Array(key)
        var index = found.lowerBound(key)
        if index == found.keys.count || found.keys[index] != key { index -= 1 }
        while index >= 0 {
            let key = found.keys[index]
            let value = found.values[index]
            guard body(key.span.bytes, value.span.bytes) else { return }
            index -= 1
        }
    }

    func size(_ table: Table) -> TableSize { TableSize(rows: tables[table]?.keys.count ?? 0, bytes: 0) }

    func end() {}
}

final class MemoryWriter: MemoryReader, EngineWriter {
    private enum Undo {
        case put(Table, [UInt8], previous: [UInt8]?)
    }

    private let engine: MemoryEngine
    private var journal: [Undo] = []
    private var marks: [Int] = []

    fileprivate init(_ tables: MemoryEngine.Tables, _ engine: MemoryEngine) {
        self.engine = engine
        super.init(tables)
    }

    func put(_ table: Table, _ key: RawSpan, _ value: RawSpan) {
        let key = Array(key)
        let previous = tables[table].flatMap { found in found.index(of: key).map { found.values[$0] } }
        journal.append(.put(table, key, previous: previous))
        tables[table, default: SortedTable()].put(key, Array(value))
    }

    func delete(_ table: Table, _ key: RawSpan) -> Bool {
        let key = Array(key)
        guard let index = tables[table]?.index(of: key), let previous = tables[table]?.values[index] else {
            return false
        }
        journal.append(.put(table, key, previous: previous))
        tables[table]?.remove(at: index)
        return true
    }

    func beginPart() { marks.append(journal.count) }

    func commitPart() { marks.removeLast() }

    func abortPart() {
        let mark = marks.removeLast()
        while journal.count > mark {
            guard case .put(let table, let key, let previous) = journal.removeLast() else { return }
            if let previous {
                tables[table, default: SortedTable()].put(key, previous)
            } else if let index = tables[table]?.index(of: key) {
                tables[table]?.remove(at: index)
            }
        }
    }

    func usedBytes() -> Int {
        tables.values.reduce(0) { sum, table in
            sum + zip(table.keys, table.values).reduce(0) { $0 + $1.0.count + $1.1.count + 16 }
        }
    }

    func commit() { engine.commit(tables) }
}
