import Federation
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Node

/// Counted from outside, over real processes of the release build: `make test-slow`.
@Suite("SlowTests", .serialized, .enabled(if: getenv("EKC_SLOW") != nil))
struct SlowTests {
    static var binary: String {
        #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/.build/release/ekc"
    }

    /// A centre and a subject as processes, with the centre's port fixed after its first start.
    final class Pair {
        let folder: TemporaryFolder
        private var pids: [String: pid_t] = [:]
        private var port: UInt16 = 0
        private let binary: String

        init(binary: String = SlowTests.binary) throws {
            self.binary = binary
            folder = try TemporaryFolder()
            var pins = Pins(federation: "ekc.test")
            for (name, segment) in [("centre", "centre"), ("subject-77", "oszn")] {
                let authority = try Authority.create(
                    folder.path + "/ca-" + segment, segment: segment, federation: "ekc.test")
                let place = NodeFolder(folder.path + "/" + name)
                let request = try place.create(
                    NodeSettings(node: name, segment: segment, federation: "ekc.test", anyPorts: true))
                let answer = try authority.issue(request, now: Clocks.wall())
                try place.install(answer)
                try pins.add(answer)
            }
            for name in ["centre", "subject-77"] { try TrustFile.write(pins, to: place(name).pinsFile) }
        }

        deinit { for name in pids.keys { end(name, SIGKILL) } }

        func place(_ name: String) -> NodeFolder { NodeFolder(folder.path + "/" + name) }

        func start(_ name: String, under tracer: [String] = []) throws {
            let topology = """
                { "format": 1, "version": 1, "federation": "ekc.test",
                  "segments": [ {"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"} ],
                  "nodes": [ {"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:\(port)"]},
                             {"id": "subject-77", "segment": "oszn", "state": "live", "addresses": []} ],
                  "tenancies": [], "homes": [], "special": [],
                  "links": [ {"dials": "subject-77", "listens": "centre"} ] }
                """
            try Files.write(Array(topology.utf8), to: place(name).topologyFile)
            let (pid, line) = try spawn(tracer + [binary, "node", "run", place(name).path, "--with-parent"])
            pids[name] = pid
            try #require(!line.isEmpty, "\(name) has ended before it was ready: \(log.suffix(2000))")
            let ready = try JSONDecoder().decode(NodeService.Ready.self, from: Data(line.utf8))
            if let link = ready.link { port = link }
        }

        private func spawn(_ words: [String]) throws -> (pid_t, String) {
            var ends: [CInt] = [0, 0]
            try #require(pipe(&ends) == 0)
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
            posix_spawn_file_actions_addclose(&actions, ends[0])
            posix_spawn_file_actions_addopen(
                &actions, STDERR_FILENO, folder.path + "/log", O_WRONLY | O_CREAT | O_APPEND, 0o640)
            var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
            defer { for argument in arguments { free(argument) } }
            var pid: pid_t = 0
            try #require(posix_spawnp(&pid, words[0], &actions, nil, &arguments, environ) == 0, "\(words[0])")
            close(ends[1])
            defer { close(ends[0]) }
            var line: [UInt8] = []
            var byte: UInt8 = 0
            while read(ends[0], &byte, 1) == 1, byte != 0x0A { line.append(byte) }
            return (pid, String(decoding: line, as: UTF8.self))
        }

        func end(_ name: String, _ signal: CInt) {
            guard let pid = pids.removeValue(forKey: name) else { return }
            kill(pid, signal)
            var status: CInt = 0
            waitpid(pid, &status, 0)
        }

        /// By which signal it has ended by itself; nil: it has not, or not by one.
        func ended(_ name: String, milliseconds: Int) throws -> CInt? {
            let pid = try #require(pids[name])
            var status: CInt = 0
            guard TestFederation.wait(milliseconds: milliseconds, until: { waitpid(pid, &status, WNOHANG) == pid })
            else {
                return nil
            }
            pids[name] = nil
            return status & 0x7F
        }

        func probe(_ count: Int, group: Int, size: Int = 1000) throws {
            let order = AdminAPI.ProbeOrder(destination: "centre", count: count, size: size, group: group)
            _ = try NodeCommands.client(place("subject-77").path)
                .exchange(AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: Output.encode(order))
        }

        func applied() throws -> UInt64 {
            try DemoProcess(place("centre")).readStore().applied
        }

        var log: String {
            (FileManager.default.contents(atPath: folder.path + "/log")).map { String(decoding: $0, as: UTF8.self) }
                ?? ""
        }
    }

    /// Sync calls and writes on the O_DSYNC descriptor in a trace, after a line.
    private func flushes(_ trace: String, after line: Int) throws -> Int {
        let text = String(decoding: try #require(FileManager.default.contents(atPath: trace)), as: UTF8.self)
        let lines = text.split(separator: "\n")
        let opened = try #require(
            lines.first { $0.contains("data.mdb") && $0.contains("O_DSYNC") && $0.contains(") = ") })
        let descriptor = try #require(opened.split(separator: " ").last)
        let counted = ["fdatasync(", "fsync(", "msync(", "sync_file_range(", "pwrite64(\(descriptor),"]
        return lines.dropFirst(line).count { line in counted.contains { line.contains($0) } }
    }

    @Test("Over 100 full groups of 64, at most 4.3 flushes a group, both ends together")
    func flushesPerGroup() throws {
        let pair = try Pair()
        func trace(_ name: String) -> String { pair.folder.path + "/\(name).trace" }
        for name in ["centre", "subject-77"] {
            try pair.start(
                name,
                under: [
                    "strace", "-f", "-q", "--seccomp-bpf", "-o", trace(name), "-e",
                    "trace=openat,fdatasync,fsync,msync,sync_file_range,pwrite64",
                ])
        }
        try pair.probe(64, group: 64)
        #expect(try TestFederation.wait(milliseconds: 20_000) { try pair.applied() == 64 })
        usleep(2_500_000)  // what is lazy is written
        func lines(_ name: String) throws -> Int {
            try #require(FileManager.default.contents(atPath: trace(name))).count { $0 == 0x0A }
        }
        let before = (try lines("centre"), try lines("subject-77"))
        try pair.probe(6400, group: 64)
        #expect(try TestFederation.wait(milliseconds: 60_000) { try pair.applied() == 6464 })
        let counted = (
            try flushes(trace("centre"), after: before.0), try flushes(trace("subject-77"), after: before.1)
        )
        let perGroup = Double(counted.0 + counted.1) / 100
        print("flushes a group of 64: \(perGroup) (centre \(counted.0), subject-77 \(counted.1), 100 groups)")
        #expect(perGroup <= 4.3)
        #expect(perGroup >= 2, "fewer cannot be durable: the count is wrong")
    }

    @Test("200 kill -9 at random moments lose nothing, double nothing, and are never node-rewound")
    func kills() throws {
        let pair = try Pair()
        var random = SeededRandom(seed: 7)
        try pair.start("centre")
        try pair.start("subject-77")
        var sent = 0
        for round in 0..<200 {
            let name = Bool.random(using: &random) ? "centre" : "subject-77"
            let count = Int.random(in: 1...120, using: &random)
            try pair.probe(count, group: 16, size: 300)
            sent += count
            usleep(UInt32.random(in: 0...40_000, using: &random))
            pair.end(name, SIGKILL)
            try pair.start(name)
            if round % 20 == 19 { print("kill \(round + 1): sent \(sent), applied \(try pair.applied())") }
        }
        #expect(try TestFederation.wait(milliseconds: 60_000) { try pair.applied() >= UInt64(sent) })
        usleep(500_000)
        #expect(try pair.applied() == UInt64(sent))
        #expect(!pair.log.contains("node-rewound"), "\(pair.log.suffix(2000))")
        print("200 kills: sent \(sent), applied \(try pair.applied())")
    }
}
