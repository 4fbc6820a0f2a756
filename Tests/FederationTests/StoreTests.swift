import CLinux
import Federation
import FederationTestKit
import Glibc
import Synchronization
import Testing

@Suite("Store: transactions, group commit, quota")
struct StoreTests {
    static let table = Table("things")
    static let incarnation = Incarnation(bits: ID128(high: 1, low: 2))

    private func open(_ folder: TemporaryFolder, quota: Int = 1 << 30, commits: Counter? = nil) throws -> Store {
        var limits = StoreLimits()
        limits.quota = quota
        // A slow machine is no reason for a second group.
        limits.groupMicroseconds = 60_000_000
        return try Store.open(
            directory: folder.path, tables: [StoreTests.table], limits: limits, newIncarnation: StoreTests.incarnation,
            observer: { _ in commits?.add() })
    }

    @Test("Waiting submitters make one commit, and one that throws undoes its own part only")
    func oneCommit() throws {
        let folder = try TemporaryFolder()
        let commits = Counter()
        let store = try open(folder, commits: commits)
        defer { store.close() }
        struct Refused: Error {}
        let failed = Counter()
        let done = Monitor(0)
        let jobs = (0..<64).map { number in
            WriteJob(.intake) { transaction in
                try transaction.put(StoreTests.table, [UInt8(number)], [1, 2, 3])
                if number == 17 { throw Refused() }
            } completion: { result in
                if case .failure = result { failed.add() }
                done.change { $0 += 1 }
            }
        }
        store.writer.submit(jobs)
        done.wait(until: { $0 == 64 }, then: { _ in })
        #expect(commits.value == 1)
        #expect(failed.value == 1)
        let kept = try store.read { transaction throws(StoreError) in try transaction.count(StoreTests.table) }
        #expect(kept == 63)
        let refused = try store.read { transaction throws(StoreError) in try transaction.get(StoreTests.table, [17]) }
        #expect(refused == nil)
    }

    @Test("At the quota intake answers store-full; reads and the work that empties the store go on")
    func quota() throws {
        let folder = try TemporaryFolder()
        let store = try open(folder, quota: 400_000)
        defer { store.close() }
        var accepted = 0
        var refusal: StoreError?
        while refusal == nil && accepted < 1000 {
            let number = accepted
            do {
                try store.write(.intake) { transaction in
                    try transaction.put(
                        StoreTests.table, [UInt8(number >> 8), UInt8(number & 255)], .init(repeating: 7, count: 4000))
                }
                accepted += 1
            } catch { refusal = error as? StoreError }
        }
        #expect(refusal?.code == .full)
        #expect(accepted > 10)
        let kept = try store.read { transaction throws(StoreError) in try transaction.count(StoreTests.table) }
        #expect(kept == accepted)
        try store.write(.essential) { transaction in
            for number in 0..<20 {
                try transaction.delete(StoreTests.table, [UInt8(number >> 8), UInt8(number & 255)])
            }
        }
        try store.write(.intake) { transaction in try transaction.put(StoreTests.table, [1], [1]) }
    }

    @Test("On a disk that is nearly full intake answers store-full before a commit can fail; what empties goes on")
    func lowDisk() throws {
        let engine = MemoryEngine()
        let store = try Store.open(engine: engine, newIncarnation: StoreTests.incarnation)
        defer { store.close() }
        try store.write(.intake) { transaction in try transaction.put(StoreTests.table, [1], [1]) }
        engine.reserveShare = 40
        try store.write(.people) { transaction in try transaction.put(StoreTests.table, [4], [1]) }
        engine.reserveShare = 20
        #expect {
            try store.write(.people) { transaction in try transaction.put(StoreTests.table, [2], [1]) }
        } throws: { ($0 as? StoreError)?.code == .full }
        for purpose in [WritePurpose.intake, .relay, .delivery] {
            #expect {
                try store.write(purpose) { transaction in try transaction.put(StoreTests.table, [2], [1]) }
            } throws: { ($0 as? StoreError)?.code == .full }
        }
        _ = try store.write(.essential) { transaction in try transaction.delete(StoreTests.table, [1]) }
        _ = try store.write(.essential) { transaction in try transaction.delete(StoreTests.table, [4]) }
        engine.reserveShare = 100
        try store.write(.intake) { transaction in try transaction.put(StoreTests.table, [3], [1]) }
        #expect(try store.read { transaction throws(StoreError) in try transaction.count(StoreTests.table) } == 1)
    }

    @Test("The reserve is written ahead of what is in use, a part a commit, and never into it")
    func reserve() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(
            directory: folder.path, tables: [StoreTests.table],
            newIncarnation: StoreTests.incarnation)
        for number in UInt8(0)..<40 {
            try store.write { transaction in
                try transaction.put(StoreTests.table, [number], .init(repeating: number, count: 50_000))
            }
            var file = stat()
            #expect(stat(folder.path + "/data.mdb", &file) == 0)
            let used = (Int(number) + 1) * 50_000
            #expect(file.st_blocks * 512 >= min(used + 2 << 20, (Int(number) + 1) << 20))
        }
        store.close()
        let again = try open(folder)
        defer { again.close() }
        for number in UInt8(0)..<40 {
            let kept = try again.read { transaction throws(StoreError) in
                try transaction.get(StoreTests.table, [number])
            }
            #expect(kept == .init(repeating: number, count: 50_000))
        }
    }

    @Test("A second process on the same folder is refused, and so is a newer format")
    func refusals() throws {
        let folder = try TemporaryFolder()
        let store = try open(folder)
        #expect { try open(folder) } throws: { ($0 as? StoreError)?.code == .inUse }
        try store.write(.essential) { transaction in
            try transaction.put(.meta, Array("format".utf8), [0, 0, 0, 0, 0, 0, 0, 9])
        }
        store.close()
        let copy = try TemporaryFolder()
        for file in ["data.mdb"] {
            let from = try #require(fopen(folder.path + "/" + file, "r"))
            let to = try #require(fopen(copy.path + "/" + file, "w"))
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while case let count = fread(&buffer, 1, buffer.count, from), count > 0 { fwrite(buffer, 1, count, to) }
            fclose(from)
            fclose(to)
        }
        #expect { try open(copy) } throws: { ($0 as? StoreError)?.code == .newer }
    }

    @Test(
        "The same random operations leave LMDB and the simulated store alike", arguments: 1...8 as ClosedRange<UInt64>)
    func model(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        let tables = [Table("a"), Table("b")]
        let lmdb = try LMDBEngine(directory: folder.path, tables: tables)
        let memory = MemoryEngine()
        var random = SeededRandom(seed: seed)
        for _ in 0..<60 {
            let plan = (0..<Int.random(in: 1...30, using: &random)).map { _ in Operation.random(using: &random) }
            let drop = Int.random(in: 0..<5, using: &random) == 0
            try Operation.run(plan, tables, on: lmdb, drop: drop)
            try Operation.run(plan, tables, on: memory, drop: drop)
            for table in tables {
                let probe = Operation.key(using: &random)
                for engine in [lmdb, memory] as [any StorageEngine] { _ = try Operation.dump(engine, table, probe) }
                #expect(try Operation.dump(lmdb, table, probe) == Operation.dump(memory, table, probe))
            }
        }
    }
}

/// One random step on a store.
private enum Operation {
    case put(Int, [UInt8], [UInt8]), delete(Int, [UInt8]), begin, keep, undo

    static func key(using random: inout SeededRandom) -> [UInt8] {
        (0..<Int.random(in: 1...3, using: &random)).map { _ in UInt8.random(in: 0...5, using: &random) }
    }

    static func random(using random: inout SeededRandom) -> Operation {
        switch Int.random(in: 0..<10, using: &random) {
        case 0...4:
            let size = [0, 1, 100, 2022, 5000][Int.random(in: 0..<5, using: &random)]
            let value = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: size)
            return .put(Int.random(in: 0...1, using: &random), key(using: &random), value)
        case 5, 6: return .delete(Int.random(in: 0...1, using: &random), key(using: &random))
        case 7: return .begin
        case 8: return .keep
        default: return .undo
        }
    }

    static func run(_ plan: [Operation], _ tables: [Table], on engine: any StorageEngine, drop: Bool) throws {
        let writer = try engine.beginWrite()
        defer { writer.end() }
        var depth = 0
        for step in plan {
            switch step {
            case .put(let table, let key, let value): try writer.put(tables[table], key.span.bytes, value.span.bytes)
            case .delete(let table, let key): _ = try writer.delete(tables[table], key.span.bytes)
            case .begin:
                try writer.beginPart()
                depth += 1
            case .keep where depth > 0:
                try writer.commitPart()
                depth -= 1
            case .undo where depth > 0:
                writer.abortPart()
                depth -= 1
            case .keep, .undo: break
            }
        }
        while depth > 0 {
            writer.abortPart()
            depth -= 1
        }
        if !drop { try writer.commit() }
    }

    /// Everything, forwards from the beginning and backwards from a probe.
    static func dump(_ engine: any StorageEngine, _ table: Table, _ probe: [UInt8]) throws -> [[UInt8]] {
        let reader = try engine.beginRead()
        defer { reader.end() }
        var found: [[UInt8]] = []
        let none: [UInt8] = []
        try reader.scan(table, from: none.span.bytes) { key, value in
            found.append(Array(key) + [255] + Array(value))
            return true
        }
        try reader.scan(table, from: probe.span.bytes) { key, _ in
            found.append(Array(key))
            return found.count % 7 != 0
        }
        try reader.scanBackwards(table, from: probe.span.bytes) { key, value in
            found.append(Array(key) + [254] + Array(value))
            return true
        }
        found.append([UInt8(try reader.size(table).rows)])
        return found
    }
}

final class Counter: Sendable {
    private let count = Atomic(0)
    func add() { count.add(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }
}
