import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation
@testable import Node

/// `node check` and `link test`, as an engineer runs them.
@Suite("Looking into a node", .serialized)
struct NodeCheckTests {
    private func check(_ directory: String) throws -> (exit: Int32, report: CheckCommands.Report) {
        let (exit, output) = try Binary.run(["node", "check", directory, "--json"])
        return (exit, try JSONDecoder().decode(CheckCommands.Report.self, from: Data(output.utf8)))
    }

    private func failed(_ report: CheckCommands.Report) -> [String] {
        report.steps.filter { $0.outcome == .failed }.map { $0.name + ($0.peer.map { " " + $0 } ?? "") }
    }

    @Test("A node that is well has nothing in its way, running or not; each neighbour is looked at")
    func well() throws {
        let federation = try RealFederation()
        try federation.startAll()
        try federation.waitUntilWell()
        let running = try check(federation.path("subject-77"))
        #expect(running.exit == 0 && running.report.isRunning, "\(running.report)")
        #expect(running.report.steps.filter { $0.name == "echo" }.compactMap(\.peer) == ["centre", "subject-78"])
        federation.stop("subject-77")
        let stopped = try check(federation.path("subject-77"))
        #expect(stopped.exit == 0 && !stopped.report.isRunning, "\(stopped.report)")
        for name in ["settings", "disk", "store", "topology", "certificate", "pin", "clock", "port"] {
            #expect(stopped.report.steps.contains { $0.name == name && $0.peer == nil }, "\(name)")
        }
        #expect(stopped.report.steps.contains { $0.name == "accepted" && $0.peer == "centre" && $0.outcome == .good })
        let words = try Binary.run(["node", "check", federation.path("subject-77")]).output
        #expect(words.hasPrefix("subject-77, not running: nothing is in its way\n  good "), "\(words)")
    }

    @Test("Each thing that is in its way is named, with what helps")
    func broken() throws {
        let federation = try RealFederation()
        try federation.start("centre")
        let place = federation.place("cc-fss")
        func expect(
            _ names: [String], _ says: String, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let (exit, report) = try check(place.path)
            #expect(exit == 1 && failed(report) == names, "\(report)", sourceLocation: sourceLocation)
            let first = report.steps.first { $0.outcome == .failed }
            #expect(first?.detail.contains(says) == true, "\(report)", sourceLocation: sourceLocation)
            #expect(first?.remedy?.isEmpty == false, sourceLocation: sourceLocation)
        }
        try federation.start("cc-fss")
        federation.stop("cc-fss")
        #expect(try check(place.path).exit == 0)

        let settings = try place.settings()
        let (taken, port) = try TakenPort.listener()
        var changed = settings
        changed.metricsPort = port
        try TrustFile.write(changed, to: place.settingsFile)
        try expect(["port metrics"], "port-in-use")
        close(taken)
        changed.metricsPort = 0
        changed.segment = "oszn"
        try TrustFile.write(changed, to: place.settingsFile)
        try expect(["topology"], "wrong-segment")
        try TrustFile.write(settings, to: place.settingsFile)

        let pins = try place.trust.load().inForce.pins
        var others = pins
        let own = try #require(others.nodes.firstIndex { $0.node == "cc-fss" })
        others.nodes[own].linkPin = String(repeating: "ab", count: 32)
        let otherPins = others
        try TestTrust.change(place, pins: { _ in otherPins })
        try expect(["pin"], "another key")
        try TestTrust.change(place, pins: { _ in pins })

        chmod(place.path + "/keys", 0o755)
        try expect(["certificate"], "key-folder-open")
        chmod(place.path + "/keys", 0o700)

        let timestamp = place.trust.path + "/metadata/timestamp.json"
        let text = try Files.read(timestamp, maximum: 1 << 20)
        try Files.write(Array(text.dropLast(3)), to: timestamp)
        try expect(["topology"], "trust-damaged")
        try Files.write(text, to: timestamp)
        federation.stop("centre")
        try expect(["tcp centre"], "refused")
        try Files.write(Array("{}".utf8), to: place.settingsFile)
        try expect(["settings"], "file-malformed")
    }

    @Test("A node that hangs is neither running nor not running, and is not waited for once for each neighbour")
    func hangs() throws {
        let federation = try RealFederation()
        for name in ["centre", "subject-77"] { try federation.start(name) }
        federation.signal("subject-77", SIGSTOP)
        defer { federation.signal("subject-77", SIGCONT) }
        let (exit, report) = try check(federation.path("subject-77"))
        #expect(exit == 1 && failed(report) == ["node"], "\(report)")
        #expect(report.steps.first?.detail.contains("does not answer") == true)
        #expect(report.steps.contains { $0.name == "disk" } && report.steps.allSatisfy { $0.peer == nil })
        let words = try Binary.run(["node", "check", federation.path("subject-77")]).output
        #expect(words.hasPrefix("subject-77, does not answer: 1 things are in its way\n"), "\(words)")
    }

    @Test("link test: an echo when it runs, the step that fails when it does not, a refusal when there is no such link")
    func linkTest() throws {
        let federation = try RealFederation()
        try federation.start("centre")
        try federation.start("cc-fss")
        func test(_ from: String, _ to: String) throws -> (exit: Int32, output: String) {
            try Binary.run(["link", "test", federation.path(from), to], errors: federation.folder.path + "/said")
        }
        let isUp = try TestFederation.wait(milliseconds: 10_000) { try test("cc-fss", "centre").exit == 0 }
        #expect(isUp)
        for (from, to) in [("cc-fss", "centre"), ("centre", "cc-fss")] {
            let (exit, output) = try test(from, to)
            #expect(exit == 0 && output.hasPrefix("\(to): running, there and back in "), "\(output)")
        }
        federation.kill("centre")
        let isDark = try TestFederation.wait(milliseconds: 10_000) {
            try test("cc-fss", "centre").output.hasPrefix("centre: dark\n")
        }
        let (exit, output) = try test("cc-fss", "centre")
        #expect(
            isDark && exit == 1 && output.contains("failed    tcp centre") && output.contains("remedy: "), "\(output)")
        #expect(try test("cc-fss", "subject-78").exit == 1)
        let said = String(decoding: try Files.read(federation.folder.path + "/said", maximum: 4096), as: UTF8.self)
        #expect(said.contains("not-linked") && said.contains("remedy: "), "\(said)")
    }
}
