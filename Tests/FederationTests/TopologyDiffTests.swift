import FederationTestKit
import Foundation
import Testing

@testable import Federation

/// What a newer topology changes, word by word.
@Suite("Topology diff")
struct TopologyDiffTests {
    private static func read(_ text: String) throws -> Topology { try Topology.read(Array(text.utf8)) }

    private static func file(_ name: String) throws -> String {
        String(
            decoding: try Files.read(ArchitectureTests.root + "/" + name, maximum: 16 << 20), as: UTF8.self)
    }

    /// The scheme of 2022, live.
    private static func country() throws -> String {
        try file("topology/federation.json")
            .replacing(
                #""state": "planned", "addresses": []"#, with: #""state": "live", "addresses": ["127.0.0.1:0"]"#,
                maxReplacements: 1
            )
            .replacing(#""state": "planned""#, with: #""state": "live""#)
    }

    private static func said(_ live: String, _ next: String) throws -> [String] {
        TopologyDiff(from: try read(live), to: try read(next)).findings.map { ($0.isLoss ? "! " : "  ") + $0.text }
    }

    private static func next(_ text: String) -> String {
        text.replacing(#""version": 1"#, with: #""version": 2"#, maxReplacements: 1)
    }

    private static func line(_ part: String, of text: String) throws -> String {
        String(try #require(text.split(separator: "\n").first { $0.contains(part) }))
    }

    @Test("Three real changes are said as the guide shows them")
    func pictures() throws {
        let live = try Self.country()
        let base = Self.next(live)
        let home = #"{"organisation": "PFR", "subjects": ["50"], "tenancy": "PFR/77", "from": "2022-01-01"}"#
        let tenancy = try Self.line(#""id": "PFR/77""#, of: base)
        let moved = base.replacing(
            home,
            with: home.dropLast() + #", "to": "2026-12-01"}, "#
                + #"{"organisation": "PFR", "subjects": ["50"], "tenancy": "PFR/50", "from": "2026-12-01"}"#
        ).replacing(
            tenancy,
            with: tenancy + "\n"
                + tenancy.replacing("PFR/77", with: "PFR/50").replacing("subject-77", with: "subject-50"))
        let link = try Self.line(#""dials": "subject-50""#, of: base)
        let relay = try Self.line(#""id": "subject-77""#, of: base)
        let over = base.replacing(
            link, with: link.replacing(#""listens": "centre""#, with: #""listens": "subject-77""#)
        )
        .replacing(relay, with: relay.replacing(#""addresses": []"#, with: #""addresses": ["10.77.0.1:7410"]"#))
        let node = try Self.line(#""id": "cc-pfr-10""#, of: base)
        let gone = try Self.line(#""dials": "cc-pfr-10""#, of: base)
        let retired = base.replacing(node, with: node.replacing(#""live""#, with: #""retired""#))
            .replacing(gone + "\n", with: "")
            .replacing(
                #"{"from": ["oszn", "mse"], "to": ["oszn"], "kinds": ["escalation", "probe"]}"#,
                with: #"{"from": ["oszn"], "to": ["oszn"], "kinds": ["escalation", "probe"]}, "#
                    + #"{"from": ["mse"], "to": ["oszn"], "kinds": ["escalation"]}"#)
        for (name, text) in [("home", moved), ("relay", over), ("retire", retired)] {
            let shown = try Self.file("docs/images/diff-\(name).txt").split(separator: "\n").dropFirst().map(
                String.init)
            #expect(try Self.said(live, text) == shown, "\(name)")
            let picture = try Self.file("docs/images/topology-diff.svg")
            for line in shown {
                let escaped = line.replacing("&", with: "&amp;").replacing("'", with: "&#x27;")
                #expect(picture.contains(escaped), "\(name): \(line)")
            }
        }
    }

    private struct Edit: Sendable {
        var from: String
        var to: String
        var says: [String]
    }

    private static let edits: [Edit] = [
        Edit(
            from: #"{"dials": "subject-54", "listens": "centre"}"#,
            to: #"{"dials": "subject-54", "listens": "subject-77"}"#,
            says: [
                "  subject-54 goes to the centre over subject-77 now, it went straight",
                "  a link goes: subject-54 → centre", "  a link comes: subject-54 → subject-77",
            ]),
        Edit(
            from: #""id": "PFR/77", "organisation": "PFR", "node": "subject-77", "lines": ["2"], "open": true"#,
            to: #""id": "PFR/77", "organisation": "PFR", "node": "subject-77", "lines": ["2"], "open": false"#,
            says: ["! PFR/77 closes"]),
        Edit(
            from: #""name": "Новосибирская область", "state": "live""#,
            to: #""name": "Новосибирская область", "state": "suspended""#,
            says: ["! subject-54 is suspended, live until now"]),
        Edit(
            from: #""kinds": ["escalation", "status", "entry", "probe"]"#,
            to: #""kinds": ["escalation", "status", "entry"]"#,
            says: ["fss", "mse", "oszn", "pfr", "rostrud"].map {
                "! segment centre to \($0): probe may not be sent any more; what is under way is held there"
            }),
        Edit(from: "// The demo:", to: "// The demonstration:", says: []),
    ]

    @Test("Each change is said, and nothing else", arguments: 0..<edits.count)
    func edit(_ number: Int) throws {
        let edit = Self.edits[number]
        let live = try Self.file("topology/demo.json").replacing(
            #""name": "Город федерального значения Москва", "state": "live", "addresses": []"#,
            with: #""name": "Город федерального значения Москва", "state": "live", "addresses": ["127.0.0.1:0"]"#)
        #expect(live.contains(edit.from))
        #expect(try Self.said(live, Self.next(live).replacing(edit.from, with: edit.to)) == edit.says)
        // The other way round says the opposite, and a version that is not higher is a loss.
        if !edit.says.isEmpty {
            let back = try Self.said(live, live.replacing(edit.from, with: edit.to))
            #expect(back.contains { $0.hasPrefix("! its version 1 is not higher than 1") })
        }
    }

    @Test("Who is cut off is named once, with the centre among what is lost")
    func cutOff() throws {
        func text(_ version: Int, _ links: String, _ state: String = "live") -> String {
            """
            {"format": 2, "version": \(version), "federation": "ekc.test",
            "segments": [{"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"}],
            "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:0"]},
            {"id": "a", "segment": "oszn", "state": "\(state)", "addresses": ["127.0.0.1:0"]},
            {"id": "b", "segment": "oszn", "state": "live", "addresses": []},
            {"id": "c", "segment": "oszn", "state": "live", "addresses": []}],
            "tenancies": [], "homes": [], "special": [], "links": [\(links)],
            "rights": [{"from": ["oszn"], "to": ["centre"], "kinds": ["topology"]}]}
            """
        }
        let (ac, bc, cc) = (
            #"{"dials": "a", "listens": "centre"}"#, #"{"dials": "b", "listens": "a"}"#,
            #"{"dials": "c", "listens": "centre"}"#
        )
        let live = text(1, [ac, bc, cc].joined(separator: ","))
        let cut = try TopologyDiff(from: Self.read(live), to: Self.read(text(2, [bc, cc].joined(separator: ","))))
        #expect(cut.findings.first?.text == "a and b lose their way to the centre and 1 other nodes")
        #expect(cut.findings.first?.code == "cut-off" && cut.cutOff.map(\.text).sorted() == ["a", "b"])
        let back = try TopologyDiff(
            from: Self.read(text(1, [bc, cc].joined(separator: ","))),
            to: Self.read(text(2, [ac, bc, cc].joined(separator: ","))))
        #expect(back.findings.allSatisfy { !$0.isLoss })
        // Behind a node that is live no more.
        let asleep = try TopologyDiff(
            from: Self.read(live), to: Self.read(text(2, [ac, bc, cc].joined(separator: ","), "suspended")))
        #expect(asleep.cutOff.map(\.text).sorted() == ["a", "b"])
    }

    @Test("A file of format 1 becomes one of format 2 that is good, wherever its format stands, and keeps its text")
    func upgrade() throws {
        let new = try Self.file("topology/demo.json")
        let begin = try #require(new.range(of: "\"rights\": [")).lowerBound
        let end = try #require(new.range(of: "\"links\": [")).lowerBound
        let old = (String(new[..<begin]) + String(new[end...])).replacing(#""format": 2, "#, with: "")
        for text in [
            old.replacing(#""version": 1,"#, with: #""format": 1, "version": 1,"#, maxReplacements: 1),
            String(old.dropLast(old.last == "\n" ? 3 : 2)) + #", "format": 1 }"#,
        ] {
            let upgraded = try TopologyUpgrade.upgraded(Array(text.utf8))
            let topology = try Topology.read(upgraded)
            #expect(topology.rights.kinds(of: Rights.Pair(from: "centre", to: "oszn")).contains(MessageKind.escalation))
            #expect(String(decoding: upgraded, as: UTF8.self).contains("// The demo: everything on one machine."))
            #expect(throws: FederationError.self) { try TopologyUpgrade.upgraded(upgraded) }
        }
    }
}
