import CLMDB
import FederationTestKit
import Glibc
import Testing

@testable import Federation

@Suite("Store: counts and digests of tables")
struct DigestTests {
    static let tables = [Table.meta, Table("a"), Table("b")]

    /// Puts and deletes rows, in parts that are kept or undone.
    private func work(_ engine: LMDBEngine, _ random: inout SeededRandom, rounds: Int) throws {
        for _ in 0..<rounds {
            let writer = try engine.beginWrite()
            defer { writer.end() }
            var depth = 0
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                let table = DigestTests.tables[Int.random(in: 0...2, using: &random)]
                let key = (0..<Int.random(in: 1...3, using: &random)).map { _ in UInt8.random(in: 0...9, using: &random)
                }
                switch Int.random(in: 0..<10, using: &random) {
                case 0...4:
                    let size = [0, 1, 90, 1500, 2100, 9000][Int.random(in: 0..<6, using: &random)]
                    let value = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: size)
                    try writer.put(table, key.span.bytes, value.span.bytes)
                case 5, 6: _ = try writer.delete(table, key.span.bytes)
                case 7:
                    try writer.beginPart()
                    depth += 1
                case 8 where depth > 0:
                    try writer.commitPart()
                    depth -= 1
                case 9 where depth > 0:
                    writer.abortPart()
                    depth -= 1
                default: break
                }
            }
            while depth > 0 {
                writer.abortPart()
                depth -= 1
            }
            if Bool.random(using: &random) { try writer.commit() }
        }
    }

    @Test(
        "After any work, parts undone and transactions dropped, a look at every page finds what is noted",
        arguments: 1...6)
    func kept(seed: Int) throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: UInt64(seed))
        for _ in 0..<4 {
            let engine = try LMDBEngine(directory: folder.path, tables: DigestTests.tables)
            for _ in 0..<5 {
                try work(engine, &random, rounds: 10)
                let report = try StoreVerifier.verify(directory: folder.path)
                #expect(report.damage == [] && report.hasDigests, "\(report)")
                #expect(report.tables.map(\.name) == ["a", "b", "meta"])
                let counted = try Store.read(engine) { transaction throws(StoreError) in
                    try ["a", "b", "meta"].map { name throws(StoreError) in UInt64(try transaction.count(Table(name))) }
                }
                #expect(report.tables.map(\.rows) == counted)
            }
            engine.close()
        }
    }

    /// What a release that does not keep digests does: it counts its start, and writes.
    private func olderRelease(
        _ folder: TemporaryFolder, startsCounted: Bool = true, deletesDigests: Bool = false, _ rows: [[UInt8]]
    ) throws {
        var environment: OpaquePointer?
        var transaction: OpaquePointer?
        var database: MDB_dbi = 0
        try #require(mdb_env_create(&environment) == 0)
        defer { mdb_env_close(environment) }
        mdb_env_set_mapsize(environment, 1 << 40)
        mdb_env_set_maxdbs(environment, 64)
        try #require(mdb_env_open(environment, folder.path, UInt32(MDB_NOTLS), 0o600) == 0)
        try #require(mdb_txn_begin(environment, nil, 0, &transaction) == 0)
        func put(_ table: String, _ key: [UInt8], _ value: [UInt8]) throws {
            try #require(mdb_dbi_open(transaction, table, UInt32(MDB_CREATE), &database) == 0)
            var (key, value) = (key, value)
            key.withUnsafeMutableBytes { key in
                value.withUnsafeMutableBytes { value in
                    var one = MDB_val(mv_size: key.count, mv_data: key.baseAddress)
                    var other = MDB_val(mv_size: value.count, mv_data: value.baseAddress)
                    #expect(mdb_put(transaction, database, &one, &other, 0) == 0)
                }
            }
        }
        if startsCounted { try put("meta", Array("start".utf8), [0, 0, 0, 0, 0, 0, 0, UInt8(rows.count)]) }
        for row in rows { try put("a", row, [7]) }
        if deletesDigests {
            try #require(mdb_dbi_open(transaction, nil, 0, &database) == 0)
            var key = DigestRecord.key
            key.withUnsafeMutableBytes { key in
                var one = MDB_val(mv_size: key.count, mv_data: key.baseAddress)
                #expect(mdb_del(transaction, database, &one, nil) == 0)
            }
        }
        try #require(mdb_txn_commit(transaction) == 0)
    }

    private func put(_ engine: LMDBEngine, _ key: [UInt8]) throws {
        let writer = try engine.beginWrite()
        defer { writer.end() }
        try writer.put(Table("a"), key.span.bytes, key.span.bytes)
        try writer.commit()
    }

    @Test(
        "A store of a release without digests gets them when it is opened; one that it has written since is counted anew"
    )
    func olderReleases() throws {
        let folder = try TemporaryFolder()
        func open() throws -> LMDBEngine { try LMDBEngine(directory: folder.path, tables: DigestTests.tables) }
        func report() throws -> StoreReport { try StoreVerifier.verify(directory: folder.path) }
        try open().close()
        try olderRelease(folder, deletesDigests: true, [[1], [2], [3]])
        #expect(try report().hasDigests == false && report().damage == [])
        var engine = try open()
        #expect(try report().hasDigests && report().damage == [])
        try put(engine, [4])
        engine.close()
        try olderRelease(folder, [[5], [6]])
        #expect(try report().hasDigests == false && report().damage == [])
        engine = try open()
        #expect(try report().hasDigests && report().damage == [] && report().tables[0].rows == 6)
        engine.close()
    }

    @Test("What was written by nobody who counts his start is no older release: it is damage, and named")
    func notExplained() throws {
        let folder = try TemporaryFolder()
        func open() throws -> LMDBEngine { try LMDBEngine(directory: folder.path, tables: DigestTests.tables) }
        let engine = try open()
        try put(engine, [4])
        engine.close()
        try olderRelease(folder, startsCounted: false, [[5]])
        #expect { try open() } throws: { ($0 as? StoreError)?.code == .damaged }
        #expect(try StoreVerifier.verify(directory: folder.path).damage.map(\.table) == ["a"])
    }

    @Test("A process that opens some of the tables leaves the digests of the others as they are")
    func someTables() throws {
        let folder = try TemporaryFolder()
        var engine = try LMDBEngine(directory: folder.path, tables: DigestTests.tables)
        try put(engine, [1])
        engine.close()
        engine = try LMDBEngine(directory: folder.path, tables: [.meta, Table("c")])
        let writer = try engine.beginWrite()
        try writer.put(.meta, [UInt8(1)].span.bytes, [UInt8(2)].span.bytes)
        try writer.commit()
        engine.close()
        let report = try StoreVerifier.verify(directory: folder.path)
        #expect(report.damage == [] && report.hasDigests)
        #expect(report.tables.map(\.rows) == [1, 0, 0, 1])
    }

    @Test("A look that would hold on to too much gives up, and says so")
    func tooSlow() throws {
        let folder = try TemporaryFolder()
        let engine = try LMDBEngine(directory: folder.path, tables: DigestTests.tables)
        defer { engine.close() }
        try put(engine, [1])
        #expect {
            try StoreVerifier.verify(directory: folder.path, growth: -1)
        } throws: { ($0 as? StoreError)?.code == .tooSlow }
        let told = Monitor(0)
        _ = try StoreVerifier.verify(directory: folder.path) { seen, count in
            told.change { $0 = Int(seen * 100 / count) }
        }
        #expect((1...100).contains(told.changeQuietly { $0 }))
    }

    @Test("The digest is the sum of XXH3-64 over key and value, as the reference gives it")
    func vectors() {
        // From xxhash's own sanity checks and `xxhsum -H3`.
        func hash(_ key: [UInt8], _ value: [UInt8]) -> UInt64 {
            key.withUnsafeBytes { key in value.withUnsafeBytes { TableDigest.of(key, $0) } }
        }
        #expect(hash([], []) == 0x2D06_8005_38D3_94C2)
        #expect(hash(Array("a".utf8), Array("bc".utf8)) == 0x78AF_5F94_892F_3950)
        #expect(hash(Array("ab".utf8), Array("c".utf8)) == 0x78AF_5F94_892F_3950)
        let long = [UInt8](repeating: 7, count: 5000)
        #expect(hash(Array(long[..<10]), Array(long[10...])) == hash(Array(long[..<900]), Array(long[900...])))
    }
}
