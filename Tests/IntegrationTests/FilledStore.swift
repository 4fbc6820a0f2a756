import FederationTestKit
import Glibc

@testable import ContactCentre
@testable import Federation

/// A node's folder with a store that holds rows of every table: those of the kept demo, many times over, with values of all
/// sizes, written, rewritten and deleted in many commits, so that the file has pages of every kind.
final class FilledStore {
    static let tables = Table.exchange + ContactCentreTables.all
    let folder: TemporaryFolder
    var place: NodeFolder { NodeFolder(folder.path) }
    var file: String { place.storeFolder + "/data.mdb" }

    init() throws {
        folder = try TemporaryFolder()
        try TrustFile.write(
            NodeSettings(node: "centre", segment: "centre", federation: "ekc.test", anyPorts: true),
            to: place.settingsFile)
        let kept = try KeptDemo.shared.get()
        var random = SeededRandom(seed: 8)
        try Files.makeFolder(place.storeFolder, mode: 0o700)
        let engine = try LMDBEngine(directory: place.storeFolder, tables: FilledStore.tables)
        defer { engine.close() }
        var written: [(table: Table, key: [UInt8])] = []
        func write(_ body: (any EngineWriter) throws -> Void) throws {
            let writer = try engine.beginWrite()
            defer { writer.end() }
            try body(writer)
            try writer.commit()
        }
        for table in FilledStore.tables {
            var samples = try ["centre", "subject-77"].flatMap { try kept.rows(table, at: $0) }.prefix(80).map { $0 }
            if samples.isEmpty {
                samples = [(key: Array("of table \(table.name)".utf8), value: Array(repeating: 9, count: 200))]
            }
            // meta is what a start reads: it stays as it is, with rows beside.
            for part in 0..<5 {
                try write { writer in
                    for number in 0..<max(1, 80 / samples.count) * samples.count where number % 5 == part {
                        let sample = samples[number % samples.count]
                        let copy = number / samples.count
                        let key =
                            (table == .meta && copy > 0 ? [0x7A] : []) + sample.key
                            + (copy > 0 ? [UInt8(copy >> 8), UInt8(copy & 255)] : [])
                        var value = sample.value
                        if copy > 0, Int.random(in: 0..<12, using: &random) == 0 {
                            value += (0..<Int.random(in: 1000...20_000, using: &random)).map { UInt8($0 & 127) }
                        }
                        try writer.put(table, key.span.bytes, value.span.bytes)
                        if table != .meta || copy > 0 { written.append((table, key)) }
                    }
                }
            }
        }
        for _ in 0..<20 {
            try write { writer in
                for _ in 0..<10 {
                    let (table, key) = written[Int.random(in: 0..<written.count, using: &random)]
                    if Bool.random(using: &random) {
                        _ = try writer.delete(table, key.span.bytes)
                    } else {
                        let value = [UInt8](repeating: 3, count: Int.random(in: 1...9000, using: &random))
                        try writer.put(table, key.span.bytes, value.span.bytes)
                    }
                }
            }
        }
        // So many pages at once that their list needs pages of its own.
        let large = [UInt8](repeating: 5, count: 100_000)
        let keys = (0..<20).map { [UInt8(0x79), UInt8($0)] }
        try write { writer in for key in keys { try writer.put(.meta, key.span.bytes, large.span.bytes) } }
        try write { writer in for key in keys { _ = try writer.delete(.meta, key.span.bytes) } }
        try write { writer in
            let key = keys[0]
            try writer.put(.meta, key.span.bytes, large.span.bytes)
        }
    }

    /// Every row of every table, in order.
    static func rows(in directory: String) throws -> Digest32 {
        let engine = try LMDBEngine(directory: directory, tables: tables, readOnly: true)
        defer { engine.close() }
        return try Store.read(engine) { transaction throws(StoreError) in
            var running = Digest32.zero
            for table in tables {
                try transaction.scan(table, from: []) { key, value in
                    let row = Array(table.name.utf8) + [0] + Array(key) + [0] + Array(value)
                    running = running.extended(by: row[...])
                    return true
                }
            }
            return running
        }
    }
}

/// What each page of a store's file is, read without a check.
struct PageMap {
    enum Kind: String, CaseIterable {
        case meta, branch, leaf, overflow, freeList = "free list", free, tables = "list of tables"
    }

    private(set) var pages: [Kind: [Int]] = [.meta: [0, 1]]
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        let meta = number(144, 8) > number(4096 + 144, 8) ? 0 : 4096
        var listed = Set<Int>()
        visit(number(meta + 40 + 40, 8), as: .freeList) { map, value in
            for index in 0..<map.number(value, 8) { listed.insert(map.number(value + 8 + 8 * index, 8)) }
        }
        visit(number(meta + 88 + 40, 8), as: .tables) { _, _ in }
        pages[.free] = listed.sorted()
    }

    private func number(_ place: Int, _ size: Int) -> Int {
        (0..<size).reversed().reduce(0) { $0 << 8 | Int(bytes[place + $1]) }
    }

    /// - Parameter kind: of the tree's own pages; nil: by what they are.
    private mutating func visit(_ page: Int, as kind: Kind?, _ value: (_ map: PageMap, _ place: Int) -> Void) {
        guard page >= 0 else { return }
        let start = page * 4096
        let isLeaf = bytes[start + 10] & 2 != 0
        pages[kind ?? (isLeaf ? .leaf : .branch), default: []].append(page)
        for index in 0..<(number(start + 12, 2) - 16) / 2 {
            let node = start + number(start + 16 + 2 * index, 2)
            let data = node + 8 + number(node + 6, 2)
            if !isLeaf {
                visit(number(node, 6), as: kind, value)
            } else if bytes[node + 4] & 2 != 0 {
                visit(number(data + 40, 8), as: nil) { _, _ in }
            } else if bytes[node + 4] & 1 != 0 {
                let first = number(data, 8)
                let count = number(first * 4096 + 12, 4)
                pages[kind == .freeList ? .freeList : .overflow, default: []] += Array(first..<first + count)
                value(self, first * 4096 + 16)
            } else {
                value(self, data)
            }
        }
    }
}
