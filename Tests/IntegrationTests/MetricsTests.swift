import FederationTestKit
import Foundation
import Testing

@testable import Federation
@testable import Node

/// Figures and alarms, held against Prometheus' own tool and against the pages that say what to do.
@Suite("Metrics and alarms", .serialized)
struct MetricsTests {
    private static let rules = ArchitecturePaths.root + "/deploy/prometheus/ekc.rules.yml"

    /// In the path, or where `make setup` unpacks it. Without it nothing here is proved.
    private func promtool() throws -> String {
        let unpacked = ArchitecturePaths.root + "/.build/tools/usr/bin/promtool"
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let found = (path.split(separator: ":").map { $0 + "/promtool" } + [unpacked]).first { Files.exists($0) }
        return try #require(found, "promtool is missing: make setup unpacks it")
    }

    private func run(_ arguments: [String], input: String? = nil) throws -> (exit: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(filePath: try promtool())
        process.arguments = arguments
        process.currentDirectoryURL = URL(filePath: ArchitecturePaths.root + "/deploy/prometheus")
        let said = Pipe()
        process.standardOutput = said
        process.standardError = said
        let folder = try TemporaryFolder()
        try Files.write(Array((input ?? "").utf8), to: folder.path + "/input")
        process.standardInput = try FileHandle(forReadingFrom: URL(filePath: folder.path + "/input"))
        try process.run()
        let output = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    private func text(_ path: String) throws -> String {
        String(decoding: try Files.read(path, maximum: 1 << 20), as: UTF8.self)
    }

    private func matches(_ pattern: String, in text: String) throws -> Set<String> {
        let expression = try NSRegularExpression(pattern: pattern, options: .anchorsMatchLines)
        let found = expression.matches(in: text, range: NSRange(text.startIndex..., in: text))
        return Set(found.compactMap { Range($0.range(at: 1), in: text).map { String(text[$0]) } })
    }

    @Test("What a centre shows passes promtool, has every figure that an alarm looks at, and names nobody")
    func figures() throws {
        let federation = try RealFederation()
        try federation.startAll()
        try federation.waitUntilWell()
        let port = try #require(federation.ready["centre"]?.metrics)
        let client = HTTPClient(base: "http://127.0.0.1:\(port)")
        let areThere = try TestFederation.wait(milliseconds: 10_000) {
            String(decoding: try client.send("GET", "/metrics").body, as: UTF8.self).contains("ekc_link_round_trip")
        }
        #expect(areThere)
        let metrics = String(decoding: try client.send("GET", "/metrics").body, as: UTF8.self)
        let checked = try run(["check", "metrics"], input: metrics)
        #expect(checked.exit == 0 && checked.output.isEmpty, "\(checked.output)")
        // The tool is not one that says yes to everything.
        #expect(try run(["check", "metrics"], input: "ekc total 1 2 3\n").exit != 0)

        let shown = try matches("^# TYPE (ekc_[a-z_]+) ", in: metrics)
        let wanted = try matches("(ekc_[a-z_]+)", in: try text(MetricsTests.rules)).subtracting(["ekc_"])
        #expect(wanted.count > 15 && wanted.isSubset(of: shown), "\(wanted.subtracting(shown))")
        for name in RealFederation.names {
            #expect(metrics.contains("ekc_node_reachable{node=\"\(name)\"} 1\n"), "\(metrics)")
        }
        #expect(metrics.contains("ekc_queue_appeals{node=\"subject-77\",tenancy=\"OSZN/77\"} 0\n"))
        #expect(
            try matches("[{,]([a-z]+)=", in: metrics) == ["node", "peer", "tenancy", "key", "version", "wire", "store"])

        // Elsewhere a node shows itself and its links, and is healthy.
        let other = HTTPClient(base: "http://127.0.0.1:\(try #require(federation.ready["cc-fss"]?.metrics))")
        let own = String(decoding: try other.send("GET", "/metrics").body, as: UTF8.self)
        #expect(try matches("node=\"([a-z0-9-]+)\"", in: own) == ["cc-fss"])
        #expect(try other.send("GET", "/healthz").status == 200 && other.send("GET", "/readyz").status == 200)
        // As on the other listeners, another name for this machine is nobody's.
        #expect(try other.send("GET", "/metrics", headers: ["Host: rebound.example"]).status == 403)
        #expect(try other.send("GET", "/api/v1/node").status == 404)
    }

    @Test("The rules pass promtool, each alarm comes when it should, and has its page")
    func rules() throws {
        for arguments in [["check", "rules", "ekc.rules.yml"], ["test", "rules", "ekc.rules.test.yml"]] {
            let (exit, output) = try run(arguments)
            #expect(exit == 0 && output.contains("SUCCESS"), "\(output)")
        }
        let rules = try text(MetricsTests.rules)
        let alarms = try matches("alert: (Ekc[A-Za-z]+)$", in: rules)
        #expect(alarms.count == 21)
        #expect(
            Set(alarms.map { $0.lowercased() }) == (try matches("runbook_url: docs/alarms.md#([a-z]+)$", in: rules)))
        let pages = try text(ArchitecturePaths.root + "/docs/alarms.md")
        #expect(try matches("^## (Ekc[A-Za-z]+)$", in: pages) == alarms)
        // Each is told to come in the tests of the rules, not only to stay away.
        let tests = try text(ArchitecturePaths.root + "/deploy/prometheus/ekc.rules.test.yml")
        #expect(try matches("alertname: (Ekc[A-Za-z]+)\\n        exp_alerts:\\n          - ", in: tests) == alarms)
    }
}
