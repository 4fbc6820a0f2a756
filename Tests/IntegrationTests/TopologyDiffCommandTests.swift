import FederationTestKit
import FoundationEssentials
import Testing

@testable import Federation
@testable import Node

/// The pre-flight against nodes that run.
@Suite("Topology diff against a federation that runs", .serialized)
struct TopologyDiffCommandTests {
    private struct Report: Decodable {
        struct Finding: Decodable {
            var code: String
            var isLoss: Bool
            var text: String
        }
        var findings: [Finding]
    }

    @Test("What waits for a node that goes is said, and who is dark is named without waiting for it")
    func running() throws {
        let federation = try RealFederation()
        try federation.startAll()
        try federation.waitUntilWell()
        federation.kill("cc-fss")
        let order = AdminAPI.ProbeOrder(destination: "cc-fss", count: 7, size: 100, group: 7)
        _ = try NodeCommands.client(federation.path("centre"))
            .exchange(AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: Output.encode(order))
        let state = try federation.place("centre").trust.load().inForce
        let live = String(decoding: try #require(state.files[SignedFederation.topologyPath]), as: UTF8.self)
        let next = live.replacing(#""version": 1"#, with: #""version": 2"#)
            .replacing(
                #""id": "cc-fss", "segment": "fss", "state": "live""#,
                with: #""id": "cc-fss", "segment": "fss", "state": "retired""#)
        let file = federation.folder.path + "/next.json"
        try Files.write(Array(next.utf8), to: file)
        let isDark = try TestFederation.wait(milliseconds: 30_000) {
            try federation.status().nodes.contains { $0.node == "cc-fss" && $0.darkSeconds != nil }
        }
        #expect(isDark)
        let (exit, output) = try Binary.run([
            "topology", "diff", federation.path("centre"), file, "--dry-run", "--json",
        ])
        #expect(exit == 1)
        let report = try JSONDecoder().decode(Report.self, from: Data(output.utf8))
        let codes = report.findings.map(\.code)
        #expect(codes.prefix(2).sorted() == ["mail-for-nobody", "node-leaves"], "\(output)")
        #expect(
            report.findings.contains {
                $0.text == "7 messages (bulk) wait at centre for cc-fss, which could not be reached"
            })
        #expect(report.findings.contains { $0.code == "node-dark" && $0.text.hasPrefix("cc-fss is dark") })
        #expect(report.findings.contains { $0.text == "3 of 4 nodes have said how they are" })
        // Of a file that is no topology its faults are said; a node that does not run cannot be asked.
        try Files.write(Array(next.dropLast(9).utf8), to: file)
        #expect(try Binary.run(["topology", "diff", federation.path("centre"), file]).exit == 1)
        try Files.write(Array(next.utf8), to: file)
        let errors = federation.folder.path + "/errors"
        #expect(
            try Binary.run(["topology", "diff", federation.path("cc-fss"), file, "--dry-run"], errors: errors).exit == 1
        )
        #expect(String(decoding: try Files.read(errors, maximum: 4096), as: UTF8.self).contains("unreachable"))
    }
}
