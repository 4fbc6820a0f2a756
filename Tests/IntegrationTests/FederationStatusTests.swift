import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation
@testable import Node

/// Every node in one screen, with real processes: what is killed is the first line.
@Suite("Federation status, real processes", .serialized)
struct FederationStatusTests {
    private func problems(_ federation: RealFederation, json: Bool = false) throws -> (exit: Int32, lines: [String]) {
        let (exit, output) = try Binary.run(
            ["federation", "status", federation.path("centre"), "--problems"] + (json ? ["--json"] : []))
        return (exit, output.split(separator: "\n").map(String.init))
    }

    @Test("A node that is killed is the first line of --problems, with how long and what helps; back again, nothing is")
    func killed() throws {
        let federation = try RealFederation()
        try federation.startAll()
        try federation.waitUntilWell()
        #expect(try problems(federation).exit == 0)
        let isEchoed = try TestFederation.wait(milliseconds: 10_000) {
            try federation.status().nodes.first { $0.node == "cc-fss" }?.skewMilliseconds != nil
        }
        #expect(isEchoed)
        let well = try federation.status()
        let leaf = try #require(well.nodes.first { $0.node == "subject-78" })
        #expect(leaf.link == "running" && leaf.via == "subject-77" && leaf.keys.count == 2)
        let neighbour = try #require(well.nodes.first { $0.node == "cc-fss" })
        #expect(neighbour.via == nil && neighbour.skewMilliseconds.map { abs($0) < 1_000 } == true)
        #expect(neighbour.roundTripMicroseconds ?? 0 > 0 && neighbour.topologyVersion == 1)
        #expect(neighbour.keys.map(\.name) == ["link", "authority"] && neighbour.keys[0].days == 29)

        federation.kill("cc-fss")
        // One message more for it, so that what waits is seen.
        _ = try Binary.run(["link", "probe", federation.path("centre"), "cc-fss", "--no-wait"])
        let isFirst = try TestFederation.wait(milliseconds: 20_000) {
            try problems(federation).lines.first?.hasPrefix("cc-fss  URGENT dark: ") == true
        }
        let (exit, lines) = try problems(federation)
        #expect(isFirst && exit == 1, "\(lines)")
        #expect(lines.first?.contains("1 messages wait for it") == true, "\(lines)")
        #expect(lines.dropFirst().first == "    remedy: ekc link test \(federation.path("centre")) cc-fss")
        #expect(lines.count == 2, "\(lines)")
        let document = try #require(try problems(federation, json: true).lines.first)
        let shown = try JSONDecoder().decode(FederationStatus.self, from: Data(document.utf8))
        #expect(shown.nodes.map(\.node) == ["cc-fss"])
        let table = try Binary.run(["federation", "status", federation.path("centre")])
        let rows = table.output.split(separator: "\n")
        #expect(table.exit == 0 && rows.count == 2 + RealFederation.names.count && rows[2].hasPrefix("cc-fss "))

        // Of a relay that dies both it and the node behind it are dark, and the relay is named for both and stands first.
        federation.kill("subject-77")
        let bothDark = try TestFederation.wait(milliseconds: 40_000) {
            Set(try federation.status().nodes.prefix(3).filter { $0.link == "dark" }.map(\.node))
                == ["cc-fss", "subject-77", "subject-78"]
        }
        #expect(bothDark)
        let status = try federation.status()
        #expect(status.nodes.prefix(3).filter { $0.node != "cc-fss" }.map(\.node) == ["subject-77", "subject-78"])
        let behind = try #require(status.nodes.first { $0.node == "subject-78" }?.problems.first)
        #expect(behind.what.contains("behind subject-77"), "\(behind)")

        // A centre that was killed too still knows when it heard of them last.
        let heard = try #require(status.nodes.first { $0.node == "cc-fss" }?.heard)
        federation.kill("centre")
        try federation.start("centre")
        let again = try #require(try federation.status().nodes.first { $0.node == "cc-fss" })
        #expect(again.heard == heard && again.link == "dark" && again.keys.count == 2)
        for name in ["subject-77", "cc-fss"] { try federation.start(name) }
        federation.stop("subject-78")
        try federation.start("subject-78")
        try federation.waitUntilWell()
        #expect(try problems(federation).lines == ["nothing is wrong: 4 nodes"])
    }

    @Test("Who is not the centre says who is; a node that does not run says that")
    func notTheCentre() throws {
        let federation = try RealFederation()
        let said = federation.folder.path + "/said"
        #expect(try Binary.run(["federation", "status", federation.path("centre")], errors: said).exit == 1)
        let nobody = String(decoding: try Files.read(said, maximum: 4096), as: UTF8.self)
        let centre = federation.path("centre")
        #expect(nobody.contains("unreachable: nobody listens at \(centre)/admin.sock"), "\(nobody)")
        #expect(nobody.contains("remedy: start the node: ekc node run \(centre)"), "\(nobody)")
        try federation.start("centre")
        try federation.start("cc-fss")
        #expect(try Binary.run(["federation", "status", federation.path("cc-fss")], errors: said).exit == 1)
        let words = String(decoding: try Files.read(said, maximum: 4096), as: UTF8.self)
        #expect(words.contains("not-the-centre") && words.contains("centre hears"), "\(words)")
    }

    @Test("--watch draws again and again, also on a dumb terminal, and goes on while the centre is away")
    func watch() throws {
        let federation = try RealFederation()
        try federation.start("centre")
        let errors = federation.folder.path + "/said"
        let watching = try Binary.start(["federation", "status", federation.path("centre"), "--watch"], errors: errors)
        #expect(watching.line().contains("ekc.test at "))
        federation.kill("centre")
        var lines: [String] = []
        while lines.count < 60, !(lines.last?.contains("unreachable") ?? false) { lines.append(watching.line()) }
        #expect(lines.last?.contains("unreachable") == true)
        try federation.start("centre")
        while lines.count < 200, !(lines.last?.contains("ekc.test at ") ?? false) { lines.append(watching.line()) }
        #expect(lines.last?.contains("ekc.test at ") == true)
        #expect(lines.allSatisfy { !$0.contains("\u{1B}") })
        Glibc.kill(watching.pid, SIGINT)
        #expect(watching.finish().exit == 128 + SIGINT)
    }
}
