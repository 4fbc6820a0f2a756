import CXXHash

/// How many rows a table has, and the sum mod 2^64 of XXH3-64 (key ‖ value) over them. Against damage, not against people.
package struct TableDigest: Sendable, Hashable {
    package var rows: UInt64 = 0
    package var sum: UInt64 = 0

    package init() {}

    init(rows: UInt64, sum: UInt64) {
        self.rows = rows
        self.sum = sum
    }

    static func of(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> UInt64 {
        cxxhash_of(key.baseAddress, key.count, value.baseAddress, value.count)
    }

    mutating func add(_ row: UInt64) {
        rows &+= 1
        sum &+= row
    }

    mutating func remove(_ row: UInt64) {
        rows &-= 1
        sum &-= row
    }
}

/// The digests of all tables as they stand in the store: one row of the unnamed database, beside the tables' own records,
/// so that it costs no page of its own. An earlier release does not see it.
///
/// Version u8 @0 · commit u64 @1, the id of the transaction that wrote it · tables u16 @9 · for each: name (length u8
/// before it), rows u64, sum u64 · XXH3-64 of all before it u64. Big endian.
struct DigestRecord: Equatable {
    static let key = Array("table-digests".utf8)
    private static let version: UInt8 = 1

    /// A release that does not keep digests leaves an older one here.
    var commit: UInt64
    var tables: [String: TableDigest]

    init(commit: UInt64, tables: [String: TableDigest]) {
        self.commit = commit
        self.tables = tables
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 32 * (tables.count + 1))
        writer.append(DigestRecord.version)
        writer.append(commit)
        writer.append(UInt16(tables.count))
        for name in tables.keys.sorted() {
            writer.append(short: name)
            writer.append(tables[name, default: TableDigest()].rows)
            writer.append(tables[name, default: TableDigest()].sum)
        }
        writer.append(DigestRecord.checksum(writer.bytes[...]))
        return writer.bytes
    }

    /// Nil when it is not what `encoded` gives.
    init?(decoding bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        do {
            guard try reader.number(UInt8.self) == DigestRecord.version else { return nil }
            commit = try reader.number(UInt64.self)
            tables = [:]
            for _ in 0..<(try reader.number(UInt16.self)) {
                let name = try reader.shortText()
                tables[name] = TableDigest(
                    rows: try reader.number(UInt64.self), sum: try reader.number(UInt64.self))
            }
            let end = reader.offset
            guard try reader.number(UInt64.self) == DigestRecord.checksum(bytes[..<end]), reader.isAtEnd else {
                return nil
            }
        } catch { return nil }
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.withUnsafeBytes { TableDigest.of($0, UnsafeRawBufferPointer(start: nil, count: 0)) }
    }
}

/// The digests while rows are written: what a part that is undone has added goes out with it.
struct DigestLedger {
    private struct Step {
        var place: Int
        var removed: UInt64?
        var added: UInt64?
    }

    /// Of tables that are open, by their place.
    private(set) var open: [TableDigest]
    private let names: [String]
    /// Of tables that this process has not opened: they stay as they are.
    private let others: [String: TableDigest]
    private var journal: [Step] = []
    private var marks: [Int] = []
    /// Rows that were put or deleted, and not undone.
    private(set) var changes = 0

    init(names: [String], _ known: [String: TableDigest]) {
        self.names = names
        open = names.map { known[$0] ?? TableDigest() }
        others = known.filter { !names.contains($0.key) }
    }

    mutating func change(_ place: Int, removed: UInt64?, added: UInt64?) {
        if let removed { open[place].remove(removed) }
        if let added { open[place].add(added) }
        changes += 1
        if !marks.isEmpty { journal.append(Step(place: place, removed: removed, added: added)) }
    }

    mutating func beginPart() { marks.append(journal.count) }

    mutating func commitPart() {
        marks.removeLast()
        if marks.isEmpty { journal.removeAll(keepingCapacity: true) }
    }

    mutating func abortPart() {
        let mark = marks.removeLast()
        while journal.count > mark {
            let step = journal.removeLast()
            if let added = step.added { open[step.place].remove(added) }
            if let removed = step.removed { open[step.place].add(removed) }
            changes -= 1
        }
    }

    /// What the next transaction begins with.
    func settled() -> DigestLedger {
        var next = self
        next.changes = 0
        return next
    }

    func record(commit: UInt64) -> DigestRecord {
        DigestRecord(
            commit: commit,
            tables: others.merging(zip(names, open).map { ($0, $1) }, uniquingKeysWith: { $1 }))
    }
}
