import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

/// Counts each message, by its id: a second effect would be seen.
private final class TallyApplication: Application {
    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        let key = Array("tally/\(envelope.header.stream.origin)/\(envelope.header.id.low)".utf8)
        try transaction.setNumber(key, try transaction.number(key) + 1)
    }

    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError) {
    }
}

@Suite("Backups", .serialized)
struct BackupTests {
    private func send(_ count: Int, from node: FederationNode, to destination: String, startingAt first: Int) throws {
        let target = try #require(NodeID(destination))
        let done = Monitor(0)
        let failed = Monitor<[String]>([])
        let jobs = (first..<first + count).map { number in
            WriteJob(.intake) { transaction in
                try node.outbox.send(
                    .escalation, id: ID128(high: 3, low: UInt64(number)), to: target,
                    body: EnvelopeBody(bytes: Array(repeating: 7, count: 300)), in: transaction)
            } completion: { result in
                if case .failure(let error) = result { failed.change { $0.append("\(error)") } }
                done.change { $0 += 1 }
            }
        }
        node.store.writer.submit(jobs)
        done.wait(until: { $0 == count }, then: { _ in })
        #expect(failed.changeQuietly { $0 }.isEmpty)
    }

    /// How many messages took effect, and how many of them not exactly once.
    private func tally(_ node: FederationNode) throws -> (count: Int, wrong: Int) {
        try node.store.read { transaction throws(StoreError) in
            var found = (count: 0, wrong: 0)
            let prefix = Array("tally/".utf8)
            try transaction.scan(.meta, from: prefix) { key, value in
                guard Array(key).starts(with: prefix) else { return false }
                found.count += 1
                if Array(value) != [0, 0, 0, 0, 0, 0, 0, 1] { found.wrong += 1 }
                return true
            }
            return found
        }
    }

    private func restore(_ federation: TestFederation, _ name: String, _ backup: Backup) throws {
        let node = try #require(NodeID(name))
        _ = try backup.restore(
            to: federation.place(name), node: node, tables: [], reason: "the disk is gone", actor: 0,
            now: Clocks.wall())
    }

    @Test("A node restored under load from a backup 10,000 envelopes old loses nothing and doubles nothing")
    func underLoad() throws {
        let federation = try TestFederation(["centre", "subject-77", "subject-78"], application: TallyApplication.init)
        defer { federation.stopAll() }
        try federation.start("centre")
        let from = try federation.start("subject-78")
        var home = try federation.start("subject-77")
        try send(500, from: from, to: "subject-77", startingAt: 0)
        #expect(try TestFederation.wait(milliseconds: 20_000) { try tally(home).count == 500 })
        // While more is coming.
        try send(200, from: from, to: "subject-77", startingAt: 500)
        let backup = Backup(federation.folder.path + "/backup")
        let manifest = try home.backUp(to: backup.folder)
        #expect(manifest.tables["meta"] ?? 0 > 0 && manifest.node == "subject-77")
        try send(10_000, from: from, to: "subject-77", startingAt: 700)
        #expect(try TestFederation.wait(milliseconds: 60_000) { try tally(home).count == 10_700 })
        // The disk goes, and traffic goes on.
        federation.stop("subject-77")
        #expect(unlink(federation.place("subject-77").storeFolder + "/data.mdb") == 0)
        try send(300, from: from, to: "subject-77", startingAt: 10_700)
        try restore(federation, "subject-77", backup)
        home = try federation.start("subject-77")
        try send(300, from: from, to: "subject-77", startingAt: 11_000)
        #expect(
            try TestFederation.wait(milliseconds: 90_000) { try tally(home).count == 11_300 }, "\(federation.log.all)")
        #expect(try tally(home).wrong == 0)
        let rows = try home.store.read { transaction throws(StoreError) in try Sessions.streams(in: transaction) }
        #expect(rows.allSatisfy { $0.row.missing == 0 && $0.row.lostCount == 0 })
        #expect(!federation.log.all.contains { $0.contains("conservation-broken") || $0.contains("gap-lost") })
    }

    @Test("What is inside a verified backup leaves the refill log, what came after stays")
    func watermark() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: TallyApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        func kept() throws -> Int {
            try subject.store.read { transaction throws(StoreError) in try transaction.count(.outbox) }
        }
        try send(200, from: subject, to: "centre", startingAt: 0)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try tally(centre).count == 200 && kept() >= 12 })
        _ = try centre.backUp(to: federation.folder.path + "/backup")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try kept() <= 1 })
        try send(100, from: subject, to: "centre", startingAt: 200)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try tally(centre).count == 300 })
        #expect(try kept() >= 6)
    }

    @Test("A backup that is not what it should be is refused by its code, and the store stays as it is")
    func refused() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: TallyApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let backup = Backup(federation.folder.path + "/backup")
        _ = try centre.backUp(to: backup.folder)
        let data = backup.storeFolder + "/data.mdb"
        let bytes = try Files.read(data, maximum: 1 << 30)
        let manifest = try Files.read(backup.manifestFile, maximum: 1 << 20)
        func code(_ name: String = "centre") -> String? {
            do throws(any Error) {
                try restore(federation, name, backup)
                return nil
            } catch { return (error as? FederationError)?.code ?? (error as? StoreError)?.code.rawValue }
        }
        #expect(throws: FederationError.self) { try centre.backUp(to: backup.folder) }
        #expect(code() == "store-in-use")
        federation.stop("centre")
        #expect(code("subject-77") == "backup-of-another")
        for broken in [
            Array(bytes.dropLast(100)), bytes + [0], [], bytes.prefix(5000) + [bytes[5000] ^ 1] + bytes.dropFirst(5001),
        ] {
            try Files.write(broken, to: data)
            #expect(code() == "backup-damaged")
        }
        try Files.write(bytes, to: data)
        var newer = try TrustFile.read(Backup.Manifest.self, backup.manifestFile)
        newer.storeFormat = 9
        try TrustFile.write(newer, to: backup.manifestFile)
        #expect(code() == "backup-newer")
        var altered = try JSONDecoder().decode(Backup.Manifest.self, from: Data(manifest))
        altered.tables["meta"] = 1
        try TrustFile.write(altered, to: backup.manifestFile)
        #expect(code() == "backup-damaged")
        try Files.write(Array("{".utf8), to: backup.manifestFile)
        #expect(code() == "file-malformed")
        #expect(Files.exists(federation.place("centre").storeFolder + "/data.mdb"))
        try Files.write(manifest, to: backup.manifestFile)
        #expect(code() == nil)
        _ = try federation.start("centre")
    }

    @Test("No two lives of a node number alike, even when one backup is put back twice and the store is gone between")
    func twice() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: TallyApplication.init)
        defer { federation.stopAll() }
        let backup = Backup(federation.folder.path + "/backup")
        _ = try federation.start("centre").backUp(to: backup.folder + "//")
        federation.stop("centre")
        func lives() throws -> UInt64 {
            let node = try federation.start("centre")
            defer { federation.stop("centre") }
            return try node.store.read { transaction throws(StoreError) in
                try transaction.number(MetaKey.incarnationCount)
            }
        }
        let place = federation.place("centre")
        try restore(federation, "centre", backup)
        #expect(try lives() == 1)
        #expect(unlink(place.storeFolder + "/data.mdb") == 0)
        try restore(federation, "centre", backup)
        #expect(try lives() == 2)
        // A folder that knows nothing yet, and a store that was put back by a release that noted nothing.
        #expect(unlink(place.livesFile) == 0)
        try restore(federation, "centre", backup)
        #expect(try lives() == 3)
        try Files.write(Array("{".utf8), to: place.livesFile)
        #expect { try restore(federation, "centre", backup) } throws: {
            ($0 as? FederationError)?.code == "file-malformed"
        }
    }

    @Test("What a restore that was killed has left is cleared by the next, and whole stores stay")
    func killedRestore() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: TallyApplication.init)
        defer { federation.stopAll() }
        let backup = Backup(federation.folder.path + "/backup")
        let centre = try federation.start("centre")
        #expect { _ = try centre.backUp(to: federation.place("centre").storeFolder + "/more/backup") } throws: {
            ($0 as? FederationError)?.code == "backup-in-store"
        }
        _ = try centre.backUp(to: backup.folder)
        federation.stop("centre")
        let store = federation.place("centre").storeFolder
        for (name, isFinished) in [("-aside-1", false), ("-aside-2", true)] {
            try Files.makeFolder(store + name + "/store", mode: 0o700)
            try Files.write([1], to: store + name + "/store/data.mdb")
            if !isFinished { try Files.write([], to: store + name + "/unfinished") }
        }
        try restore(federation, "centre", backup)
        #expect(!Files.exists(store + "-aside-1") && Files.exists(store + "-aside-2/store/data.mdb"))
        _ = try federation.start("centre")
    }

    @Test("A copy that would hold on to too much gives up, and leaves nothing behind")
    func tooSlow() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: TallyApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let backup = Backup(federation.folder.path + "/backup")
        #expect {
            _ = try backup.create(from: centre.store, tables: [], node: centre.id, now: Clocks.wall(), growth: -1)
        } throws: { ($0 as? FederationError)?.code == "backup-too-slow" }
        #expect(!Files.exists(backup.folder) && !Files.exists(backup.folder + ".partial"))
        _ = try centre.backUp(to: backup.folder)
    }
}
