import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation

/// One small demo that is kept for all tests: what they change they change in a copy.
final class KeptDemo: Sendable {
    static let shared = Result { try KeptDemo() }

    private let folder: TemporaryFolder
    let place: String
    let ledger: DemoTests.Ledger

    private init() throws {
        folder = try TemporaryFolder()
        place = folder.path + "/demo"
        let (exit, output) = try Binary.run([
            "demo", "--json", "--appeals", "60", "--entries", "10", "--directory", place,
        ])
        try #require(exit == 0, "\(output)")
        ledger = try DemoTests.Ledger(output)
    }

    /// - Parameter place: the kept one itself unless told.
    func recount(_ place: String? = nil) throws -> (exit: Int32, ledger: DemoTests.Ledger, errors: String) {
        let errors = (place ?? folder.path) + "/errors"
        let (exit, output) = try Binary.run(
            ["demo", "--json", "--recount", "--directory", place ?? self.place], errors: errors)
        let said = String(decoding: try Files.read(errors, maximum: 1 << 20), as: UTF8.self)
        return (exit, try DemoTests.Ledger(output), said)
    }

    /// Everything is linked to, but what is to be changed: that is copied.
    func copy(of node: String?) throws -> TemporaryFolder {
        let copy = try TemporaryFolder()
        for name in try FileManager.default.contentsOfDirectory(atPath: place) {
            let (from, to) = (place + "/" + name, copy.path + "/" + name)
            if name == node {
                try FileManager.default.createDirectory(atPath: to, withIntermediateDirectories: true)
                try FileManager.default.copyItem(atPath: from + "/store", toPath: to + "/store")
            } else {
                try FileManager.default.createSymbolicLink(atPath: to, withDestinationPath: from)
            }
        }
        return copy
    }

    /// Keys and values of a table that a test chooses.
    func rows(
        _ table: Table, at node: String, in place: String? = nil,
        where isWanted: ([UInt8], String) -> Bool = { _, _ in true }
    ) throws -> [(key: [UInt8], value: [UInt8])] {
        let engine = try LMDBEngine(
            directory: (place ?? self.place) + "/\(node)/store", tables: Table.exchange + ContactCentreTables.all,
            readOnly: true)
        defer { engine.close() }
        return try Store.read(engine) { transaction throws(StoreError) in
            var rows: [(key: [UInt8], value: [UInt8])] = []
            try transaction.scan(table, from: []) { key, value in
                let (key, value) = (Array(key), Array(value))
                if isWanted(key, String(decoding: value, as: UTF8.self)) { rows.append((key, value)) }
                return true
            }
            return rows
        }
    }
}

/// One way to change a store behind its node's back.
struct Tampering: Sendable, CustomTestStringConvertible {
    /// A row that is put, or deleted when it has no value.
    struct Change: Sendable {
        var table: Table
        var key: [UInt8]
        var value: [UInt8]?
    }

    var testDescription: String
    var node: String
    var isLost = false
    var isDoubled = false
    var isBehind = false
    /// What the recount must say.
    var says: String
    /// The changes, and how many appeals are lost or effects doubled by them.
    var changes: @Sendable (KeptDemo) throws -> (changes: [Change], count: Int)

    /// - Returns: how many appeals are lost or effects doubled.
    func run(in place: String, _ kept: KeptDemo) throws -> Int {
        let (changes, count) = try changes(kept)
        let engine = try LMDBEngine(
            directory: place + "/\(node)/store", tables: Table.exchange + ContactCentreTables.all)
        defer { engine.close() }
        let job = WriteJob(.essential) { transaction in
            for change in changes {
                if let value = change.value {
                    try transaction.put(change.table, change.key, value)
                } else {
                    try transaction.delete(change.table, change.key)
                }
            }
        } completion: { _ in
        }
        _ = try GroupCommit.run([job], on: engine, quota: 0, now: Timestamp(milliseconds: 0))
        return count
    }

    private static func deletions(
        _ table: Table, at node: String, _ kept: KeptDemo, where isWanted: ([UInt8], String) -> Bool = { _, _ in true }
    ) throws -> [Change] {
        try kept.rows(table, at: node, where: isWanted).map { Change(table: table, key: $0.key) }
    }

    /// A copy of the first event of a kind, behind all others.
    private static func secondEvent(_ event: String, at node: String, _ kept: KeptDemo) throws -> [Change] {
        let found = try kept.rows(.events, at: node) { _, value in value.contains("\"event\":\"\(event)\"") }
        var key = ByteWriter(capacity: 8)
        key.append(UInt64(1) << 40)
        return [Change(table: .events, key: key.bytes, value: try #require(found.first).value)]
    }

    static let all: [Tampering] = [
        Tampering(
            testDescription: "one appeal of the first line deleted", node: "centre", isLost: true,
            says: "the centre has no row of it"
        ) { kept in
            (try deletions(.appeals, at: "centre", kept) { $1.contains("\"outcome\":\"first-line\"") }.suffix(1), 1)
        },
        Tampering(
            testDescription: "all appeals of a home deleted", node: "subject-78", isLost: true,
            says: "its home subject-78 has no row of it"
        ) { kept in
            let gone = try deletions(.appeals, at: "subject-78", kept)
            return (gone, gone.count)
        },
        Tampering(
            testDescription: "a home's appeals, queue, citizens and events deleted", node: "subject-77", isLost: true,
            says: "its home subject-77 has no row of it"
        ) { kept in
            let gone = try [Table.appeals, .queue, .citizens, .events].map { try deletions($0, at: "subject-77", kept) }
            return (gone.flatMap(\.self), gone[0].count)
        },
        Tampering(
            testDescription: "all events of the centre deleted", node: "centre", isLost: true,
            says: "its events end with received"
        ) { kept in (try deletions(.events, at: "centre", kept), 60) },
        Tampering(
            testDescription: "an escalation twice", node: "centre", isDoubled: true,
            says: "at centre: escalated a second time"
        ) { kept in (try secondEvent("escalated", at: "centre", kept), 1) },
        Tampering(
            testDescription: "an arrival twice", node: "subject-78", isDoubled: true,
            says: "at subject-78: queued a second time"
        ) { kept in (try secondEvent("queued", at: "subject-78", kept), 1) },
        Tampering(
            testDescription: "in a queue of the centre too", node: "centre", isDoubled: true,
            says: "at centre: in a queue where it does not wait"
        ) { kept in
            let entries = try kept.rows(.queue, at: "subject-78")
            return (entries.map { Change(table: .queue, key: $0.key, value: $0.value) }, entries.count)
        },
        Tampering(
            testDescription: "a citizen at another home too", node: "cc-mse", isDoubled: true,
            says: "citizen records at"
        ) { kept in
            let row = try #require(try kept.rows(.citizens, at: "subject-77").first)
            return ([Change(table: .citizens, key: row.key, value: row.value)], 1)
        },
        Tampering(
            testDescription: "half of the knowledge deleted", node: "subject-77", isBehind: true,
            says: "subject-77: knowledge through 10 of 10, 5 entries to read"
        ) { kept in
            (Array(try deletions(Knowledge.table, at: "subject-77", kept) { key, _ in key.first == 0x65 }.prefix(5)), 5)
        },
    ]
}
