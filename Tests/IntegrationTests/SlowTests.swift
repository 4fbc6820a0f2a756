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
        let pair = try ProcessFederation()
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

    @Test("The country of 2022, a process a node, loses nothing and doubles nothing")
    func country() throws {
        let (exit, output) = try Binary.run(
            ["demo", "--json", "--nodes", "103", "--appeals", "1000", "--entries", "500"])
        #expect(exit == 0, "\(output)")
        #expect(output.contains(#""nodes":103,"nodesConverged":103"#) && output.contains(#""submitted":1000"#))
        print("103 nodes: \(output)")
    }

    @Test("200 kill -9 at random moments lose nothing, double nothing, and are never node-rewound")
    func kills() throws {
        let pair = try ProcessFederation()
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
