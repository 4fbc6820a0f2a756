@testable import Federation
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Node

/// A thousand hostile connections on each of a node's five listeners at once, over real processes of the release build.
/// Counts decide; times are printed.
@Suite("SlowCrowdTests", .serialized, .enabled(if: getenv("EKC_SLOW") != nil))
struct SlowCrowdTests {
    private static let appeal = """
        {"organisation": "OSZN", "subject": "77",
         "history": [{"at": "2026-11-24T09:15:00.123Z", "author": "citizen", "text": "Когда придёт пособие?"}]}
        """

    private struct HandedIn: Sendable {
        var accepted = 0
        /// Answers other than 201.
        var refused: [String] = []
        /// Connections that gave way before their answer; the same key is sent again.
        var repeated = 0
        var milliseconds: [Double] = []

        mutating func add(_ other: HandedIn) {
            accepted += other.accepted
            refused += other.refused
            repeated += other.repeated
            milliseconds += other.milliseconds
        }

        func percentile(_ share: Double) -> Double {
            let sorted = milliseconds.sorted()
            return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
    }

    /// Each appeal over a connection of its own: a newcomer like those of the crowd.
    private func handIn(_ count: Int, to port: UInt16, token: String) -> HandedIn {
        let total = Monitor((HandedIn(), 4))
        for _ in 0..<4 {
            Threads.start("channel") {
                var own = HandedIn()
                for _ in 0..<count / 4 {
                    let begin = Clocks.monotonicMicroseconds()
                    let headers = ["Authorization: Bearer \(token)", "Idempotency-Key: \(UUID().uuidString)"]
                    var answer: HTTPClient.Answer?
                    while answer == nil, own.repeated < 1000 {
                        answer = try? HTTPClient(base: "http://127.0.0.1:\(port)")
                            .send("POST", "/api/v1/appeals", headers: headers, body: Array(Self.appeal.utf8))
                        if answer == nil { own.repeated += 1 }
                    }
                    own.milliseconds.append(Double(Clocks.monotonicMicroseconds() - begin) / 1000)
                    if answer?.status == 201 {
                        own.accepted += 1
                    } else {
                        own.refused.append(String(decoding: answer?.body ?? [], as: UTF8.self))
                    }
                    usleep(10_000)
                }
                total.change { state in
                    state.0.add(own)
                    state.1 -= 1
                }
            }
        }
        return total.wait(until: { $0.1 == 0 }, then: { $0.0 })
    }

    private func descriptors(_ pid: pid_t) -> Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []).count
    }

    /// KiB that the process has had in memory at most.
    private func memory(_ pid: pid_t) throws -> Int {
        let status = String(decoding: try Files.read("/proc/\(pid)/status", maximum: 1 << 16), as: UTF8.self)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(
            line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) })
    }

    /// Seconds of processor time, so far.
    private func processorTime(_ pid: pid_t) throws -> Double {
        let text = String(decoding: try Files.read("/proc/\(pid)/stat", maximum: 4096), as: UTF8.self)
        // The name of the program, in brackets, may hold blanks.
        let fields = text.drop { $0 != ")" }.split(separator: " ")
        return (Double(fields[12]) ?? 0) / 100 + (Double(fields[13]) ?? 0) / 100
    }

    /// With homes: of two nodes.
    private static func topology() throws -> (UInt16) -> String {
        let file = ArchitecturePaths.root + "/topology/two-nodes.json"
        let text = String(decoding: try Files.read(file, maximum: 1 << 20), as: UTF8.self)
        return { text.replacing(":7410", with: ":\($0)") }
    }

    /// A centre that runs, with a channel whose token is `tsite`.
    private func centreWithChannel() throws -> ProcessFederation {
        let pair = try ProcessFederation(topology: SlowCrowdTests.topology())
        try pair.start("centre")
        let digest = Digest.blake2b256(Array("tsite".utf8)).withBytes { Hex.encode($0) }
        let made = try NodeCommands.client(pair.place("centre").path).send(
            "POST", "/api/v1/channels",
            body: Array(#"{"name": "site", "kind": "form", "tokenDigest": "\#(digest)"}"#.utf8))
        #expect(made.status == 200)
        return pair
    }

    @Test("1,000 half-open, trickling and garbage connections on each listener: every appeal is accepted")
    func crowd() throws {
        OpenFiles.raiseLimit()
        let pair = try centreWithChannel()
        let ready = try #require(pair.ready["centre"])
        let pid = try #require(pair.pids["centre"])
        let (channels, link) = (try #require(ready.channels), try #require(ready.link))
        let operators = try #require(ready.operators)
        _ = handIn(200, to: channels, token: "tsite")
        let before = (descriptors: descriptors(pid), memory: try memory(pid), log: pair.log.utf8.count)

        let request = Array("POST /api/v1/appeals HTTP/1.1\r\nHost: localhost\r\nX-Slow: xxxxxxxxxxxxxxxxx".utf8)
        let crowds = [
            ("link", Crowd(.tcp(host: "127.0.0.1", port: link), slowly: [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])),
            ("operators", Crowd(.tcp(host: "127.0.0.1", port: operators), slowly: request)),
            ("public", Crowd(.tcp(host: "127.0.0.1", port: channels), slowly: request)),
            ("metrics", Crowd(.tcp(host: "127.0.0.1", port: try #require(ready.metrics)), slowly: request)),
            ("admin", Crowd(.unix(path: ready.admin), slowly: request)),
        ]
        defer { for (_, crowd) in crowds { crowd.stop() } }
        for (_, crowd) in crowds { crowd.rest() }
        let peak = Monitor((descriptors: 0, isOver: false))
        Threads.start("watch") {
            while !peak.changeQuietly({ $0.isOver }) {
                let now = descriptors(pid)
                peak.changeQuietly { $0.descriptors = max($0.descriptors, now) }
                usleep(20_000)
            }
        }
        let begin = Clocks.monotonicMicroseconds()
        var (idle, beside) = (HandedIn(), HandedIn())
        var (lasted, spent) = (0.0, (node: 0.0, crowds: 0.0))
        // In turns: the machine may have other work, which is to be in both.
        for _ in 0..<6 {
            for (_, crowd) in crowds { crowd.rest() }
            idle.add(handIn(300, to: channels, token: "tsite"))
            for (_, crowd) in crowds { crowd.come() }
            let before = (Clocks.monotonicMicroseconds(), try processorTime(pid), try processorTime(getpid()))
            beside.add(handIn(300, to: channels, token: "tsite"))
            lasted += Double(Clocks.monotonicMicroseconds() - before.0) / 1_000_000
            spent.node += try processorTime(pid) - before.1
            spent.crowds += try processorTime(getpid()) - before.2
        }
        print(
            "crowd: p99 of an appeal is \(beside.percentile(0.99) / max(0.001, idle.percentile(0.99))) times that without; "
                + "goal: 2")
        print("crowd: of a core: the node \(spent.node / lasted), crowds and channels \(spent.crowds / lasted)")
        // A link comes up among them and carries; people and administrators are answered.
        try pair.start("subject-77")
        try pair.probe(64, group: 16)
        let client = HTTPClient(base: "http://127.0.0.1:\(operators)")
        #expect(try client.send("GET", "/readyz").status == 200)
        #expect(
            TestFederation.wait(milliseconds: 30_000) {
                (try? NodeCommands.client(pair.place("centre").path)
                    .exchange(AdminAPI.Status.self, "GET", "/api/v1/node"))?.probes == 64
            })
        let counts = crowds.map { ($0.0, $0.1.count) }
        for (_, crowd) in crowds { crowd.stop() }
        let seconds = Double(Clocks.monotonicMicroseconds() - begin) / 1_000_000
        peak.change { $0.isOver = true }

        for (name, handed) in [("idle", idle), ("beside", beside)] {
            print(
                "crowd: \(name): \(handed.accepted) accepted, \(handed.repeated) sent again, ms p50",
                handed.percentile(0.5), "p99", handed.percentile(0.99), "max", handed.percentile(1))
            #expect(handed.refused.isEmpty, "\(handed.refused.prefix(3))")
        }
        #expect(idle.accepted == 1800 && beside.accepted == 1800 && idle.repeated == 0)
        #expect(beside.repeated <= 10, "who has a request keeps its place")

        let limits = HTTPLimits()
        let seats = 4 * limits.newcomers + LinkLoop.maximumHandshakes
        let used = peak.changeQuietly { $0.descriptors } - before.descriptors
        for (name, count) in counts {
            print(
                "crowd: \(name): \(count.begun) begun, \(count.ended) closed by the node, \(count.open) open at the end"
            )
            #expect(count.begun >= Crowd.size && count.ended > 0)
        }
        #expect(used <= seats + 64, "\(used) descriptors")
        let grown = try memory(pid) - before.memory
        #expect(grown < 64 << 10, "\(grown) KiB")
        let lines = pair.log.utf8.dropFirst(before.log).split(separator: 0x0A).map { String(Substring($0)) }
        print(
            "crowd: \(Int(seconds)) s, at most \(used) descriptors more, \(grown) KiB more, \(lines.count) lines of log"
        )
        // A reason of strangers has a line at once and one a minute; the link that came up has its own.
        #expect(lines.count <= 14 * (Int(seconds) / 60 + 2), "\(lines.joined(separator: "\n"))")
        let told = lines.compactMap { line -> Int? in
            struct Line: Decodable { var event: String, count: Int? }
            let line = try? JSONDecoder().decode(Line.self, from: Data(line.utf8))
            return line?.event == "too-many-waiting" ? line?.count ?? 1 : nil
        }
        #expect(told.count >= 4)
    }

    @Test("1,000 clients that ask and take no answer, on two listeners: every appeal is accepted")
    func asking() throws {
        OpenFiles.raiseLimit()
        let pair = try centreWithChannel()
        let ready = try #require(pair.ready["centre"])
        let pid = try #require(pair.pids["centre"])
        let channels = try #require(ready.channels)
        let idle = handIn(300, to: channels, token: "tsite")
        let before = descriptors(pid)
        let crowds = [channels, try #require(ready.metrics)].map { port in
            Crowd(.tcp(host: "127.0.0.1", port: port), slowly: nil)
        }
        defer { for crowd in crowds { crowd.stop() } }
        for crowd in crowds { crowd.come() }
        let beside = handIn(300, to: channels, token: "tsite")
        let used = descriptors(pid) - before
        #expect(beside.accepted == 300 && beside.refused.isEmpty, "\(beside.refused.prefix(3))")
        // They give way to each other, not to who takes what was asked for.
        #expect(beside.repeated <= 10 && crowds.allSatisfy { $0.count.ended > 0 })
        let limits = HTTPLimits()
        #expect(used <= 2 * (limits.newcomers + limits.idle + limits.untaken) + 64, "\(used) descriptors")
        print(
            "crowd: asking: ms p50 \(beside.percentile(0.5)) p99 \(beside.percentile(0.99)), idle p99",
            "\(idle.percentile(0.99)); \(used) descriptors more")
    }
}
