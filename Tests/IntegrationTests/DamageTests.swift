import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation
@testable import Node

/// Real processes over stores that are not what was written.
@Suite("Damage: a node stops taking work, says why, and comes back from its backup", .serialized)
struct DamageTests {
    private func client(_ pair: ProcessFederation) -> HTTPClient {
        HTTPClient(socket: pair.place("subject-77").adminSocket)
    }

    private func status(_ pair: ProcessFederation) throws -> AdminAPI.Status {
        try client(pair).exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
    }

    /// Refused with 503 `store-damaged`, and what it says.
    private func refusal(_ pair: ProcessFederation, _ method: String = "POST", _ path: String = "/api/v1/probes") throws
        -> Problem?
    {
        let order = AdminAPI.ProbeOrder(destination: "centre", count: 1, size: 100, group: 1)
        let answer = try client(pair).send(method, path, body: method == "POST" ? Output.encode(order) : nil)
        guard answer.status == 503 else { return nil }
        return try JSONDecoder().decode(Problem.self, from: Data(answer.body))
    }

    @Test("A flipped bit is found beside the open node after kill -9, outlives starts, and a restore ends it")
    func found() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        try pair.start("subject-77")
        try pair.probe(20, group: 4)
        let backup = pair.folder.path + "/backup"
        #expect(try Binary.run(["backup", "create", place.path, backup]).exit == 0)
        #expect(try status(pair).state == "ready")
        pair.end("subject-77", SIGKILL)
        // A row of what waits for the centre.
        try Flips.flip(place.storeFolder + "/data.mdb", where: [UInt8](repeating: 0x70, count: 600))
        try pair.start("subject-77")
        #expect(try TestFederation.wait(milliseconds: 20_000) { try status(pair).state == "store-damaged" })
        let problem = try #require(try refusal(pair))
        #expect(problem.code == "store-damaged" && problem.detail.contains("outbox"), "\(problem)")
        #expect(problem.remedy.contains("ekc backup restore \(place.path) \(backup)"), "\(problem)")
        #expect(try refusal(pair, "GET", "/readyz")?.code == "store-damaged")
        // What is not damaged is read: who has a desk, what the streams say; what is damaged is not.
        #expect(try client(pair).send("GET", "/api/v1/operators").status == 200)
        #expect(try refusal(pair, "GET", "/api/v1/outbox")?.code == "store-damaged")
        // Work is refused before the log has it.
        #expect(
            TestFederation.wait(milliseconds: 5_000) {
                pair.log.contains("\"event\":\"store-damaged\"") && pair.log.contains("table outbox")
            }, "\(pair.log.suffix(2000))")
        // No start forgets it, and none asks LMDB to write.
        for signal in [SIGTERM, SIGKILL, SIGKILL, SIGKILL] {
            pair.end("subject-77", signal)
            try pair.start("subject-77")
            #expect(try status(pair).state == "store-damaged")
            #expect(try refusal(pair)?.code == "store-damaged")
            #expect(try pair.links("subject-77").allSatisfy { $0.state == "paused" })
        }
        pair.end("subject-77", SIGTERM)
        #expect(try Binary.run(["node", "init", place.path, "--new-incarnation", "--reason", "why not"]).exit == 1)
        let restored = try Binary.run(["backup", "restore", place.path, backup, "--reason", "a bit has flipped"])
        #expect(restored.exit == 0, "\(restored.output)")
        try pair.start("subject-77")
        #expect(try status(pair).state == "ready")
        // Until it has heard that the centre has no newer metadata its messages wait, whatever ends it; its own work does not.
        pair.end("subject-77", SIGKILL)
        try pair.start("subject-77")
        #expect(try status(pair).controlOnlyUntil?.neighbours == ["centre"])
        let words = try Binary.run(["node", "status", place.path])
        #expect(words.output.contains("put back: its messages wait until 1 of centre have no newer"), "\(words.output)")
        try pair.probe(1, group: 1)
        pair.end("subject-77", SIGTERM)
        // Once more with the port that it has got: both go by one topology then, to the byte.
        try pair.start("centre")
        pair.end("centre", SIGTERM)
        try pair.start("centre")
        try pair.start("subject-77")
        #expect(try TestFederation.wait(milliseconds: 20_000) { try status(pair).controlOnlyUntil == nil })
        pair.end("subject-77", SIGKILL)
        try pair.start("subject-77")
        #expect(try status(pair).controlOnlyUntil == nil)
        #expect(try Binary.run(["store", "verify", place.path]).exit == 0)
    }

    @Test(
        "What an administrator finds beside a running node ends its links: nothing is carried, nothing is acknowledged")
    func byHand() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        try pair.start("centre")
        try pair.start("subject-77")
        try pair.probe(20, group: 4)
        func send(_ count: Int) throws {
            let order = AdminAPI.ProbeOrder(destination: "subject-77", count: count, size: 100, group: 1)
            _ = try NodeCommands.client(pair.place("centre").path)
                .exchange(AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: Output.encode(order))
        }
        func waiting() throws -> UInt64 {
            try NodeCommands.client(pair.place("centre").path).exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
                .outbox["subject-77"] ?? 0
        }
        try send(3)
        #expect(try TestFederation.wait(milliseconds: 20_000) { try waiting() == 0 && pair.applied() == 20 })
        usleep(1_500_000)  // what is lazy is written
        // What was sent is kept for a refill.
        try Flips.flip(place.storeFolder + "/data.mdb", where: [UInt8](repeating: 0x70, count: 600))
        #expect(try Binary.run(["store", "verify", place.path]).exit == 1)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try status(pair).state == "store-damaged" })
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try pair.links("centre").allSatisfy { $0.state == "dark" } }
        )
        try send(5)
        usleep(1_500_000)
        #expect(try waiting() == 5)
        #expect(try status(pair).probes == 0 && pair.applied() == 20)
    }

    @Test("A store that is sound is verified after kill -9, and not after TERM")
    func sound() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        try pair.start("subject-77")
        try pair.probe(20, group: 4)
        pair.end("subject-77", SIGTERM)
        try pair.start("subject-77")
        usleep(1_500_000)
        #expect(!pair.log.contains("store-verify"))
        pair.end("subject-77", SIGKILL)
        try pair.start("subject-77")
        try pair.probe(1, group: 1)
        #expect(TestFederation.wait(milliseconds: 20_000) { pair.log.contains("\"event\":\"store-sound\"") })
        #expect(try refusal(pair, "GET", "/readyz") == nil)
        pair.end("subject-77", SIGTERM)
        #expect(RunningMark(directory: pair.place("subject-77").storeFolder).unended == 0)
    }

    @Test("A look that a clean stop has cut off is owed by the next start")
    func owed() throws {
        let folder = try TemporaryFolder()
        func open() throws -> Store {
            try Store.open(
                directory: folder.path, tables: [], newIncarnation: Incarnation(bits: ID128(high: 1, low: 1)))
        }
        let mark = RunningMark(directory: folder.path)
        try open().close()
        #expect(mark.unended == 0)
        try Files.write(Array("1".utf8), to: folder.path + "/running")
        var store = try open()
        #expect(store.mustBeVerified)
        store.close()
        #expect(mark.unended == 1)
        store = try open()
        #expect(store.mustBeVerified)
        try store.verified()
        store.close()
        #expect(mark.unended == 0)
        #expect(try !open().mustBeVerified)
    }

    @Test("A file that is cut short is no crash: the node says what is wrong, and a restore ends it")
    func cutShort() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        try pair.start("subject-77")
        try pair.probe(40, group: 4)
        let backup = pair.folder.path + "/backup"
        #expect(try Binary.run(["backup", "create", place.path, backup]).exit == 0)
        pair.end("subject-77", SIGTERM)
        #expect(truncate(place.storeFolder + "/data.mdb", 5 * 4096) == 0)
        try pair.start("subject-77")
        #expect(try status(pair).state == "store-damaged")
        #expect(try refusal(pair)?.detail.contains("cut short") == true)
        #expect(try refusal(pair, "GET", "/readyz")?.code == "store-damaged")
        pair.end("subject-77", SIGTERM)
        #expect(try Binary.run(["backup", "restore", place.path, backup, "--reason", "it was cut"]).exit == 0)
        try pair.start("subject-77")
        #expect(try status(pair).state == "ready")
    }

    @Test("A row that does not decode, met by the running node, ends its work")
    func met() throws {
        let folder = try TemporaryFolder()
        let told = Monitor(0)
        let store = try Store.open(
            directory: folder.path, tables: [], newIncarnation: Incarnation(bits: ID128(high: 1, low: 1)),
            damaged: { _ in told.change { $0 += 1 } })
        try store.write { transaction in try transaction.put(.meta, Array("counter".utf8), [1, 2, 3]) }
        func code(_ body: () throws -> Void) -> StoreError.Code? {
            do { try body() } catch { return (error as? StoreError)?.code }
            return nil
        }
        // By a reader, and by the writer.
        let key = Array("counter".utf8)
        #expect(
            code { _ = try store.read { transaction throws(StoreError) in try transaction.number(key) } } == .damaged)
        #expect(code { try store.write(.essential) { _ in } } == .damaged)
        #expect(told.changeQuietly { $0 } == 1)
        store.close()
        #expect(Files.exists(folder.path + "/damaged") && Files.exists(folder.path + "/running"))
        unlink(folder.path + "/damaged")
        let again = try Store.open(
            directory: folder.path, tables: [], newIncarnation: Incarnation(bits: ID128(high: 1, low: 1)))
        defer { again.close() }
        #expect(code { try again.write { transaction in _ = try transaction.nextNumber(key) } } == .damaged)
        #expect(again.health.damage != nil)
        #expect(code { try again.write(.essential) { _ in } } == .damaged)
    }

    @Test(
        "A look that dies, hangs, or says nothing is judged by how it ended",
        arguments: [
            ("kill -SEGV $$", "dies by signal 11"), ("kill -BUS $$", "dies by signal 7"),
            ("kill -ABRT $$", "dies by signal 6"),
            ("exec sleep 600", "comes to no end"), ("echo 10 of 20; exec sleep 600", "comes to no end"),
        ])
    func judged(script: String, detail: String) throws {
        let folder = try TemporaryFolder()
        try Files.write(Array("#!/bin/sh\n\(script)\n".utf8), to: folder.path + "/ekc", mode: 0o755)
        guard case .damaged(let damage) = StoreLook.run(folder.path, executable: folder.path + "/ekc", silence: 300)
        else {
            Issue.record("not damaged")
            return
        }
        #expect(damage.detail.hasSuffix(detail) && damage.unreadable == nil)
    }

    @Test(
        "A look that could not be had is not damage",
        arguments: ["exit 1", "kill -KILL $$", "echo '{}'; exit 0", "exit 0"])
    func notDone(script: String) throws {
        let folder = try TemporaryFolder()
        try Files.write(Array("#!/bin/sh\n\(script)\n".utf8), to: folder.path + "/ekc", mode: 0o755)
        guard case .notDone = StoreLook.run(folder.path, executable: folder.path + "/ekc", silence: 5000) else {
            Issue.record("judged")
            return
        }
    }

    @Test("A node that died again and again is looked at before it is opened")
    func lookFirst() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let mark = pair.place("subject-77").storeFolder + "/running"
        try pair.start("subject-77")
        try pair.probe(20, group: 4)
        pair.end("subject-77", SIGTERM)
        try Files.write(Array("3".utf8), to: mark)
        try pair.start("subject-77")
        #expect(pair.log.contains("read through first"))
        try pair.probe(1, group: 1)
        pair.end("subject-77", SIGTERM)
        try Flips.flip(pair.place("subject-77").storeFolder + "/data.mdb", where: [UInt8](repeating: 0x70, count: 600))
        try Files.write(Array("3".utf8), to: mark)
        try pair.start("subject-77")
        #expect(try refusal(pair)?.detail.contains("table outbox") == true)
    }

    @Test("On a full disk intake stops before a commit can fail, and what was accepted is there")
    func fullDisk() throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        var settings = try place.settings()
        settings.reserveBytes = 1 << 20
        try TrustFile.write(settings, to: place.settingsFile)
        // No file of this process may have more than 3 MiB: a write beyond that fails.
        let limited = ["bash", "-c", "trap '' XFSZ; ulimit -f 3072; exec \"$@\"", "bash"]
        try pair.start("subject-77", under: limited)
        var accepted: UInt64 = 0
        var code: String?
        let order = Output.encode(AdminAPI.ProbeOrder(destination: "centre", count: 1, size: 20_000, group: 1))
        while code == nil, accepted < 1000 {
            let answer = try client(pair).send("POST", "/api/v1/probes", body: order)
            if answer.status == 200 {
                accepted += 1
            } else {
                code = try JSONDecoder().decode(Problem.self, from: Data(answer.body)).code
            }
        }
        #expect(code == "store-full" && accepted > 10)
        // What empties the store goes on, on the reserve.
        for number in 0..<20 {
            #expect(
                try Binary.run(
                    ["link", number % 2 == 0 ? "pause" : "resume", place.path, "centre"]
                        + (number % 2 == 0 ? ["--reason", "x"] : [])
                ).exit == 0)
        }
        #expect(try status(pair).state == "ready" && status(pair).outbox["centre"] == accepted)
        pair.end("subject-77", SIGKILL)
        try pair.start("subject-77")
        #expect(try status(pair).outbox["centre"] == accepted)
        try pair.probe(1, group: 1)
        #expect(TestFederation.wait(milliseconds: 20_000) { pair.log.contains("\"event\":\"store-sound\"") })
        print("full disk: \(accepted) accepted, then store-full")
    }

    @Test(
        "After a failed sync the process ends, and has acknowledged nothing that is not there",
        .enabled(if: DiskTrace.isPossible, "strace cannot trace here"),
        arguments: ["fdatasync:error=EIO:when=25+", "pwrite64:error=EIO:when=90+", "fdatasync:error=ENOSPC:when=25+"])
    func failedSync(fault: String) throws {
        let pair = try ProcessFederation(binary: Binary.path)
        let place = pair.place("subject-77")
        let call = fault.prefix { $0 != ":" }
        try pair.start(
            "subject-77",
            under: ["strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=\(call)", "-e", "inject=\(fault)"])
        var through: UInt64 = 0
        var refused = 0
        let order = Output.encode(AdminAPI.ProbeOrder(destination: "centre", count: 1, size: 500, group: 1))
        for _ in 0..<200 where refused == 0 {
            do {
                through = try client(pair).exchange(AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: order)
                    .through
            } catch { refused += 1 }
        }
        #expect(refused == 1 && through > 0)
        #expect(try pair.ended("subject-77", milliseconds: 10_000) == SIGABRT)
        #expect(pair.log.contains("\"event\":\"commit-failed\""))
        try pair.start("subject-77")
        let kept = try DemoProcess(place).readStore().keptFor["centre"] ?? 0
        #expect(kept >= through, "told \(through), there are \(kept)")
        #expect(TestFederation.wait(milliseconds: 20_000) { pair.log.contains("\"event\":\"store-sound\"") })
        print("\(fault): \(through) accepted, \(kept) there, ended by SIGABRT")
    }
}

extension ProcessFederation {
    func links(_ name: String) throws -> [AdminAPI.Links.Link] {
        try NodeCommands.client(place(name).path).exchange(AdminAPI.Links.self, "GET", "/api/v1/links").links
    }
}
