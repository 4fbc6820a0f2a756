import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation
@testable import Node

/// The file of a store: gone, cut, unreadable for a moment, not what was written in one row.
@Suite("The store's file: what is wrong with it is named, and what is right is not condemned", .serialized)
struct StoreFileTests {
    /// What a command says on both its streams.
    private func run(
        _ arguments: [String], of path: String = Binary.path, limit: Int? = nil
    ) throws -> (exit: Int32, said: String) {
        let folder = try TemporaryFolder()
        let errors = folder.path + "/errors"
        let done = try Binary.start(arguments, of: path, errors: errors, limit: limit).finish()
        return (done.exit, done.output + String(decoding: try Files.read(errors, maximum: 1 << 20), as: UTF8.self))
    }

    private func status(_ pair: ProcessFederation, _ name: String = "subject-77") throws -> AdminAPI.Status {
        try HTTPClient(socket: pair.place(name).adminSocket).exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
    }

    @Test("An envelope that is not what was accepted does not leave its node, and is no rewind")
    func doesNotLeave() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        try pair.start("subject-77")
        try pair.probe(20, group: 4, size: 3000)
        pair.end("subject-77", SIGTERM)
        try Flips.flip(place.storeFolder + "/data.mdb", where: [UInt8](repeating: 0x70, count: 600))
        try pair.start("centre")
        try pair.start("subject-77")
        #expect(try TestFederation.wait(milliseconds: 20_000) { try status(pair).state == "store-damaged" })
        #expect(try pair.applied() < 20)
        // The state is there before the line is.
        #expect(TestFederation.wait(milliseconds: 5_000) { pair.log.contains("are not what was written") })
        #expect(!pair.log.contains("another digest"))
        #expect(try status(pair, "centre").state == "ready")
    }

    @Test("A store that is gone is not begun anew: its file, or the whole folder")
    func gone() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        try pair.start("subject-77")
        try pair.probe(1, group: 1)
        pair.end("subject-77", SIGTERM)
        #expect(rename(place.storeFolder + "/data.mdb", place.path + "/kept") == 0)
        #expect(try run(["store", "verify", place.path]).said.contains("there is no"))
        try pair.start("subject-77")
        #expect(try status(pair).state == "store-damaged" && status(pair).damage?.contains("is gone") == true)
        pair.end("subject-77", SIGTERM)
        #expect(rename(place.storeFolder, place.path + "/aside") == 0)
        let start = try run(["node", "run", place.path])
        #expect(start.exit == 1 && start.said.contains("store-unusable") && start.said.contains("has run before"))
        // On purpose.
        #expect(unlink(place.attemptsFile) == 0)
        try pair.start("subject-77")
        #expect(try status(pair).state == "ready")
    }

    @Test("A store at which nobody has looked for a week is read through")
    func weekly() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let file = pair.place("subject-77").storeFolder + "/verified"
        try pair.start("subject-77")
        #expect(TestFederation.wait(milliseconds: 10_000) { Files.exists(file) })
        pair.end("subject-77", SIGTERM)
        #expect(!pair.log.contains("store-verify"))
        let then = timespec(tv_sec: time(nil) - 8 * 86_400, tv_nsec: 0)
        #expect(utimensat(AT_FDCWD, file, [then, then], 0) == 0)
        try pair.start("subject-77")
        #expect(TestFederation.wait(milliseconds: 20_000) { pair.log.contains("\"event\":\"store-sound\"") })
        #expect(pair.log.contains("nobody has looked for a week"))
        var facts = stat()
        #expect(
            TestFederation.wait(milliseconds: 5_000) { stat(file, &facts) == 0 && facts.st_mtim.tv_sec > then.tv_sec })
    }

    @Test("Clean restarts of a damaged node are no crashes: what is not damaged is read after any number of them")
    func cleanRestarts() throws {
        let folder = try TemporaryFolder()
        func open() throws -> Store {
            try Store.open(
                directory: folder.path, tables: [], newIncarnation: Incarnation(bits: ID128(high: 1, low: 1)))
        }
        try open().close()
        StoreHealth(directory: folder.path)
            .found(StoreDamage(foundAt: Clocks.wall(), detail: "planted", unreadable: ["held"], isWhole: true))
        for _ in 0..<5 {
            let store = try open()
            #expect(store.incarnation.bits == ID128(high: 1, low: 1) && !store.mustBeVerified)
            #expect(
                try store.read { transaction throws(StoreError) in try transaction.number(MetaKey.start) } > 0)
            #expect(throws: StoreError.self) {
                try store.read { transaction throws(StoreError) in try transaction.count(.held) }
            }
            store.close()
        }
        #expect(RunningMark(directory: folder.path).unended == 0)
    }

    @Test("What was met is looked at whole once: then it is known what may be read")
    func looksWhole() {
        let health = StoreHealth(directory: nil)
        health.met(StoreError(.damaged, "a row", remedy: ""))
        #expect(health.damage?.unreadable == nil && health.damage?.isWhole != true)
        health.found(StoreDamage(foundAt: Clocks.wall(), detail: "a table", unreadable: ["outbox"], isWhole: true))
        #expect(health.damage?.unreadable == ["outbox"] && health.damage?.detail == "a table")
        health.met(StoreError(.damaged, "another row", remedy: ""))
        #expect(health.damage?.unreadable == nil)
    }

    @Test("A file that becomes shorter while it is open is named so, and nothing is written behind it")
    func cutWhileOpen() throws {
        let folder = try TemporaryFolder()
        let store = try Store.open(
            directory: folder.path, tables: [], newIncarnation: Incarnation(bits: ID128(high: 1, low: 1)))
        defer { store.close() }
        for number in 0..<5 as Range<UInt64> {
            try store.write { transaction in try transaction.setNumber(Array("n".utf8), number) }
        }
        var facts = stat()
        #expect(stat(folder.path + "/data.mdb", &facts) == 0)
        #expect(truncate(folder.path + "/data.mdb", facts.st_size - 4096) == 0)
        #expect {
            try store.write { transaction in try transaction.setNumber(Array("n".utf8), 9) }
        } throws: {
            ($0 as? StoreError)?.code == .damaged && ($0 as? StoreError)?.detail.contains("cut short") == true
        }
        #expect(store.health.damage != nil)
    }

    @Test("A look that could not read is no damage", arguments: ["descriptors", "no file", "EIO", "EINTR"])
    func notRead(fault: String) throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        try pair.start("subject-77")
        try pair.probe(1, group: 1)
        pair.end("subject-77", SIGTERM)
        let file = place.storeFolder + "/data.mdb"
        let inject = ["strace", "-f", "-q", "-o", "/dev/null", "-P", file, "-e", "trace=pread64", "-e"]
        switch fault {
        case "descriptors":
            let look = try run(["store", "verify", place.path], limit: 5)
            #expect(look.exit == 1 && !look.said.contains("store-damaged"), "\(look.said)")
        case "no file":
            #expect(rename(file, file + ".kept") == 0 && mkfifo(file, 0o600) == 0)
            #expect(try Binary.run(["store", "verify", place.path]).exit == 1)
            #expect(unlink(file) == 0 && rename(file + ".kept", file) == 0)
            unlink(place.storeFolder + "/damaged")
        default:
            guard DiskTrace.isPossible else { return }
            let look = try run(
                inject.dropFirst() + [
                    "inject=pread64:error=\(fault):when=1", Binary.path, "store", "verify", place.path,
                ],
                of: "/usr/bin/strace")
            #expect(look.exit == (fault == "EIO" ? 1 : 0), "\(look.said)")
        }
        #expect(!Files.exists(place.storeFolder + "/damaged"))
        try pair.start("subject-77")
        #expect(try status(pair).state == "ready")
    }

    @Test("The mark of a running process is written in place: no block is needed for it")
    func markInPlace() throws {
        let folder = try TemporaryFolder()
        let mark = RunningMark(directory: folder.path)
        try mark.set(1)
        func node() -> ino_t {
            var facts = stat()
            return stat(folder.path + "/running", &facts) == 0 ? facts.st_ino : 0
        }
        let before = node()
        for count in [2, 12, 3, 0] {
            try mark.set(count)
            #expect(mark.unended == count && node() == before)
        }
    }
}
