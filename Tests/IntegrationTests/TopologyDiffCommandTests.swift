import FederationTestKit
import FoundationEssentials
import Glibc
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

    /// What is in force at a folder, and another version of it in a file.
    private func next(_ place: NodeFolder, _ edits: [(String, String)]) throws -> String {
        let state = try place.trust.load().inForce
        var text = String(decoding: try #require(state.files[SignedFederation.topologyPath]), as: UTF8.self)
            .replacing(#""version": 1"#, with: #""version": 2"#)
        for (from, to) in edits {
            #expect(text.contains(from), "\(from)")
            text = text.replacing(from, with: to)
        }
        let file = place.path + "/../next.json"
        try Files.write(Array(text.utf8), to: file)
        return file
    }

    private static let tenancy =
        #"{"id": "OSZN/77", "organisation": "OSZN", "node": "subject-77", "lines": ["2"], "open": true, "dueMinutes": 240}"#
    private static let home = #""tenancy": "OSZN/77", "from""#

    @Test(
        "Of a home that moves it is said what is open there; one that goes with open appeals is warned of and refused")
    func homes() throws {
        let nodes = try TwoNodes()
        try nodes.people()
        #expect(try nodes.submit().status == 201)
        _ = try nodes.ask(desk: "centre", "POST", "/api/v1/queue/claim", token: "tanna", "{}")
        let id = try nodes.ask(desk: "centre", "GET", "/api/v1/appeals", token: "tanna")
            .decoded(OperatorAPI.Listing.self).appeals[0].id
        let escalated = try nodes.ask(
            desk: "centre", "POST", "/api/v1/appeals/\(id)/escalate", token: "tanna",
            #"{"claim": 1, "reason": "PERSONAL"}"#)
        #expect(escalated.status == 200)
        let (centre, subject) = (nodes.place("centre"), nodes.place("subject-77"))
        let isSaid = try TestFederation.wait(milliseconds: 30_000) {
            try NodeCommands.client(centre.path).exchange(FederationStatus.self, "GET", "/api/v1/federation").nodes
                .first { $0.node == "subject-77" }?.queues.first?.waiting == 1
        }
        #expect(isSaid)
        let other: String = Self.tenancy.replacing("OSZN/77", with: "OSZN/99")
        let move = [(Self.tenancy, Self.tenancy + ", " + other), (Self.home, Self.home.replacing("77", with: "99"))]
        let moved = try next(centre, move)
        func diff(_ place: NodeFolder, _ options: String...) throws -> (exit: Int32, lines: [String]) {
            let (exit, output) = try Binary.run(["topology", "diff", place.path, moved] + options)
            return (exit, output.split(separator: "\n").map(String.init))
        }
        let (exit, lines) = try diff(centre, "--dry-run")
        #expect(exit == 0 && lines.first == "topology 1 → 2: 5 things", "\(lines)")
        #expect(
            lines.dropFirst().prefix(2) == [
                "  at once OSZN 77 is at home at OSZN/99 on subject-77, not at OSZN/77 on subject-77",
                "  1 appeal of OSZN 77 is open at OSZN/77, as centre knows: it follows",
            ], "\(lines)")
        #expect(lines[3].hasPrefix("  1 appeal in all waits at OSZN/77 on subject-77 (said "), "\(lines)")
        // The home knows of its own.
        #expect(try diff(subject).lines.contains { $0.contains("open at OSZN/77, as subject-77 knows: it follows") })

        let gone = try next(
            centre, [(Self.tenancy, other), (Self.home, Self.home.replacing("77", with: "99"))])
        let stranded = try Binary.run(["topology", "diff", centre.path, gone])
        #expect(stranded.exit == 2, "\(stranded.output)")
        #expect(
            stranded.output.contains("! 1 open appeal of OSZN/77 would be left with nobody\n"), "\(stranded.output)")
        let proposal = nodes.folder.path + "/proposal.json"
        let proposed = try Binary.run(
            ["topology", "propose", centre.path, proposal, "--reason", "a test", "--topology", gone])
        #expect(proposed.exit == 0 && Files.exists(proposal))
        #expect(
            proposed.output.contains(
                "\npublish would be refused now: tenancy-has-appeals: open appeals would be left with nobody: OSZN/77: 1; "
            ),
            "\(proposed.output)")
        // Elsewhere than at the centre nothing is published: nothing is said of it.
        let elsewhere = try Binary.run(
            [
                "topology", "propose", subject.path, nodes.folder.path + "/p2.json", "--reason", "a test", "--topology",
                gone,
            ])
        #expect(elsewhere.exit == 0 && !elsewhere.output.contains("refused now"), "\(elsewhere.output)")
        // Of a centre that is down what is under way is not known, and not asked.
        nodes.stop("centre")
        let alone = try Binary.run(
            [
                "topology", "propose", centre.path, nodes.folder.path + "/p3.json", "--reason", "a test", "--topology",
                gone,
            ])
        #expect(alone.exit == 0 && !alone.output.contains("refused now"), "\(alone.output)")
        let notKnown = "what is under way is not known: unreachable: nobody listens at \(centre.adminSocket); "
        #expect(alone.output.contains(notKnown), "\(alone.output)")
        _ = try next(centre, move)
        // Its topology is known all the same; after a crash too, when its socket is still there.
        func silent() throws {
            let (exit, lines) = try diff(centre)
            #expect(exit == 0 && lines.contains { $0.hasPrefix("  " + notKnown) }, "\(lines)")
            #expect(lines.contains("  OSZN/99 is new, on subject-77"), "\(lines)")
            #expect(try diff(centre, "--dry-run").exit == 1)
        }
        try silent()
        let listener = try Binary.start(
            ["-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", centre.adminSocket],
            of: "/usr/bin/python3")
        #expect(listener.finish().exit == 0 && Files.exists(centre.adminSocket))
        try silent()
        // Of a file there is no node that could be asked.
        let file = nodes.folder.path + "/live.json"
        let state = try centre.trust.load().inForce
        try Files.write(try #require(state.files[SignedFederation.topologyPath]), to: file)
        #expect(try !Binary.run(["topology", "diff", file, moved]).output.contains("not known"))
        #expect(try Binary.run(["topology", "diff", file, moved, "--dry-run"]).exit == 1)
    }

    @Test("What publish refuses, propose has said: under the same code, or as a warning for what is under way")
    func objections() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: { preconditionFailure("only its folders are used") })
        let place = federation.place("centre")
        let centre = try RunningNode(place)
        defer { centre.stop() }
        _ = try NodeCommands.client(place.path)
            .exchange(
                AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes",
                body: Output.encode(AdminAPI.ProbeOrder(destination: "subject-78", count: 1, size: 100, group: 1)))
        let errors = federation.folder.path + "/errors"
        func propose(_ file: String, _ out: String) throws -> (exit: Int32, output: String, errors: String) {
            let done = try Binary.run(
                [
                    "topology", "propose", place.path, federation.folder.path + "/" + out, "--reason", "a test",
                    "--topology", file,
                ],
                errors: errors)
            return (done.exit, done.output, String(decoding: try Files.read(errors, maximum: 1 << 16), as: UTF8.self))
        }
        func publish(_ file: String) throws -> String? {
            let proposal = try TestTrust.ceremony().proposal(
                try Files.read(file, maximum: 1 << 20), after: place.trust.load().inForce, reason: "a test",
                now: Clocks.wall())
            let body = AdminAPI.NewPublication(proposal: String(decoding: proposal.bytes, as: UTF8.self))
            do throws(FederationError) {
                _ = try NodeCommands.client(place.path).exchange(
                    AdminAPI.Published.self, "POST", "/api/v1/topology/publish", body: Output.encode(body))
                return nil
            } catch { return error.code }
        }
        let retired = try next(
            place,
            [
                (
                    #""subject-78", "segment": "oszn", "state": "live""#,
                    #""subject-78", "segment": "oszn", "state": "retired""#
                )
            ])
        let warned = try propose(retired, "p1.json")
        #expect(warned.exit == 0, "\(warned.errors)")
        #expect(
            warned.output.contains(
                "\npublish would be refused now: node-has-mail: subject-78 cannot be reached any more, and 1 envelope waits for it (bulk); "
            ), "\(warned.output)")
        #expect(try publish(retired) == "node-has-mail")

        // Homes, then one of them at a node that is not there yet.
        func homes(_ node: String) -> [(String, String)] {
            [
                (
                    #""tenancies": [], "homes": []"#,
                    #""tenancies": [{"id": "OSZN/77", "organisation": "OSZN", "node": "\#(node)", "lines": ["2"], "open": true, "#
                        + #""dueMinutes": 240, "fallback": "Позже."}], "#
                        + #""homes": [{"organisation": "OSZN", "subjects": ["77"], "tenancy": "OSZN/77", "from": "2022-01-01"}]"#
                )
            ]
        }
        let first = try next(place, homes("subject-77"))
        #expect(try propose(first, "p2.json").exit == 0)
        #expect(try publish(first) == nil)
        let taken = try next(
            place,
            [
                (#""version": 2"#, #""version": 3"#),
                (#""node": "subject-77", "lines""#, #""node": "subject-66", "lines""#),
                (
                    #"{"id": "subject-77", "segment""#,
                    #"{"id": "subject-66", "segment": "oszn", "state": "planned", "addresses": []}, {"id": "subject-77", "segment""#
                ),
                (#""links": ["#, #""links": [{"dials": "subject-66", "listens": "centre"}, "#),
            ])
        let refused = try propose(taken, "p3.json")
        #expect(
            refused.exit == 1 && refused.errors.contains("home-taken-away: subject-66 is planned, and"),
            "\(refused.errors)")
        #expect(!Files.exists(federation.folder.path + "/p3.json"))
        #expect(try publish(taken) == "home-taken-away")

        // Who is denied cannot hear of it.
        let denial = try TestTrust.ceremony().denial(
            of: try #require(NodeID("subject-77")), after: place.trust.load().inForce, reason: "stolen",
            now: Clocks.wall())
        _ = try NodeCommands.client(place.path).exchange(
            AdminAPI.Published.self, "POST", "/api/v1/topology/publish",
            body: Output.encode(AdminAPI.NewPublication(proposal: String(decoding: denial.bytes, as: UTF8.self))))
        let said = try Binary.run(["topology", "diff", place.path, taken])
        #expect(
            said.exit == 2 && said.output.contains("\n  subject-77 will not have it (denied: stolen)\n"),
            "\(said.output)")
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
        // A neighbour's neighbour has something for it too.
        _ = try NodeCommands.client(federation.path("subject-78"))
            .exchange(
                AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes",
                body: Output.encode(AdminAPI.ProbeOrder(destination: "cc-fss", count: 2, size: 100, group: 2)))
        let isSaid = try TestFederation.wait(milliseconds: 30_000) {
            try federation.status().nodes.first { $0.node == "subject-78" }?.outboxFor?["cc-fss"] == 2
                && federation.status().nodes.first { $0.node == "centre" }?.outboxFor?["cc-fss"] == 9
        }
        #expect(isSaid)
        let isDark = try TestFederation.wait(milliseconds: 30_000) {
            try federation.status().nodes.contains { $0.node == "cc-fss" && $0.darkSeconds != nil }
        }
        #expect(isDark)
        // One that hangs is not waited for.
        federation.signal("centre", SIGSTOP)
        let begin = Clocks.monotonicMicroseconds()
        let hung = try Binary.run(["topology", "diff", federation.path("centre"), file])
        #expect(Clocks.monotonicMicroseconds() - begin < 15_000_000)
        federation.signal("centre", SIGCONT)
        #expect(
            hung.output.contains("what is under way is not known: no-answer: ") && hung.output.contains("! cc-fss is"))
        let (exit, output) = try Binary.run([
            "topology", "diff", federation.path("centre"), file, "--dry-run", "--json",
        ])
        #expect(exit == 2)
        let report = try JSONDecoder().decode(Report.self, from: Data(output.utf8))
        let codes = report.findings.map(\.code)
        #expect(codes.prefix(3) == ["mail-for-nobody", "node-leaves", "mail-cut-off"], "\(output)")
        let cutOff = try #require(report.findings.first { $0.code == "mail-cut-off" }?.text)
        // Its relay has passed them on: they wait at the centre too, and at their origin until there is a receipt.
        #expect(
            cutOff.hasPrefix("2 messages wait for cc-fss, which could not be reached any more, at subject-78 (said "),
            "\(cutOff)")
        #expect(
            report.findings.contains {
                $0.text == "9 messages (bulk) wait at centre for cc-fss, which could not be reached"
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
