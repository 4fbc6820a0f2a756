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
    private static func wholeCountry() throws -> String {
        try file("topology/federation.json")
            .replacing(
                #""state": "planned", "addresses": []"#, with: #""state": "live", "addresses": ["127.0.0.1:0"]"#,
                maxReplacements: 1
            )
            .replacing(#""state": "planned""#, with: #""state": "live""#)
    }

    private static func diff(_ live: String, _ next: String) throws -> TopologyDiff {
        TopologyDiff(from: try read(live), to: try read(next), today: "2026-11-25")
    }

    private static func said(_ live: String, _ next: String) throws -> [String] {
        try diff(live, next).findings.map { ($0.isLoss ? "! " : "  ") + $0.text }
    }

    private static func next(_ text: String) -> String {
        text.replacing(#""version": 1"#, with: #""version": 2"#, maxReplacements: 1)
    }

    private static func line(_ part: String, of text: String) throws -> String {
        String(try #require(text.split(separator: "\n").first { $0.contains(part) }))
    }

    @Test("Three real changes are said as the guide shows them")
    func pictures() throws {
        let live = try Self.wholeCountry()
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
                "  between subject-54 and subject-77 the way goes straight now, it went over centre",
                "  a link goes: subject-54 → centre", "  a link comes: subject-54 → subject-77",
            ]),
        Edit(
            from: #""id": "PFR/77", "organisation": "PFR", "node": "subject-77", "lines": ["2"], "open": true"#,
            to: #""id": "PFR/77", "organisation": "PFR", "node": "subject-77", "lines": ["2"], "open": false"#,
            says: ["! PFR/77 closes"]),
        Edit(
            from: #""name": "Новосибирская область", "state": "live""#,
            to: #""name": "Новосибирская область", "state": "suspended""#,
            says: [
                "! subject-54 is suspended, live until now",
                "! subject-54 is suspended, and with it the second line of MSE 54, OSZN 54, PFR 54: what is handed over is "
                    + "refused and stays at the first line, what is open there waits until it is live again",
                "  subject-54 is hung up on before it takes it: it hears of it by hand",
            ]),
        Edit(
            from: #""kinds": ["escalation", "status", "entry", "probe"]"#,
            to: #""kinds": ["escalation", "status", "entry"]"#,
            says: ["fss", "mse", "oszn", "pfr", "rostrud"].map {
                "! segment centre to \($0): probe may not be sent any more; what is under way is held there"
            }),
        Edit(from: #""name": "Новосибирская область""#, to: #""name": "Новосибирск""#, says: []),
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
        #expect(
            try Self.said(Self.next(live), live) == ["! its version 1 is not higher than 2: no node takes it"])
        #expect(try Self.said(live, live).isEmpty)
    }

    private struct Case: Sendable {
        var code: String
        var edits: [(from: String, to: String)]
        /// What is said under the code, and nothing else under it.
        var says: [String]
        /// Codes of losses.
        var losses: Set<String>

        init(_ code: String, _ edits: [(from: String, to: String)], says: [String], losses: Set<String> = []) {
            (self.code, self.edits, self.says, self.losses) = (code, edits, says, losses)
        }
    }

    /// A node that is planned, with a tenancy of one organisation.
    private static func planned(_ organisation: String) -> [(from: String, to: String)] {
        [
            (
                #"{"id": "cc-fss", "segment": "fss""#,
                #"{"id": "subject-66", "segment": "oszn", "subject": "66", "state": "planned", "addresses": []}, "#
                    + #"{"id": "cc-fss", "segment": "fss""#
            ),
            (
                #"{"id": "PFR/54""#,
                #"{"id": "\#(organisation)/66", "organisation": "\#(organisation)", "node": "subject-66", "lines": ["2"], "#
                    + #""open": true, "dueMinutes": 240, "fallback": "Позже."}, {"id": "PFR/54""#
            ),
            (
                #"{"dials": "cc-fss", "listens": "centre"}"#,
                #"{"dials": "cc-fss", "listens": "centre"}, {"dials": "subject-66", "listens": "centre"}"#
            ),
        ]
    }

    private static let pensions =
        #"{"organisation": "PFR", "subjects": ["50"], "tenancy": "PFR/77", "from": "2022-01-01"}"#
    /// Pensions of 50 at another home for a time.
    private static func away(from: String = "2026-12-01", until: String) -> [(from: String, to: String)] {
        let other = pensions.replacing("PFR/77", with: "PFR/54").replacing("2022-01-01", with: from)
        let before = from == "2022-01-01" ? "" : pensions.dropLast() + #", "to": "\#(from)"}, "#
        return [
            (
                pensions,
                before + other.dropLast() + #", "to": "\#(until)"}, "#
                    + pensions.replacing("2022-01-01", with: until)
            )
        ]
    }

    private static let segment = #"{"id": "rostrud", "profile": "tls13"}"#
    private static let answering =
        #""node": "cc-fss", "lines": ["2"], "open": true, "dueMinutes": 240, "fallback": "Специалисты"#
    private static let words =
        #""fallback": "Специалисты второй линии пока не подключены. Зарегистрируйте вопрос, предложите обратиться в "#
        + #"территориальный орган лично и назовите его телефон.""#
    private static let closed =
        #"{"organisation": "PFR", "subjects": ["78"], "tenancy": "PFR/78", "from": "2022-01-01"}"#
    private static let everywhere = #""subjects": ["47", "50", "54", "77", "78"]"#

    private static let cases: [Case] = [
        Case(
            "tenancy-moves",
            [(#""organisation": "FSS", "node": "cc-fss""#, #""organisation": "FSS", "node": "cc-rostrud""#)],
            says: [
                "FSS/centre is on cc-rostrud, it was on cc-fss: its open appeals do not follow; name a new tenancy and a "
                    + "dated home instead"
            ], losses: ["tenancy-moves"]),
        Case(
            "special-moves", [(#"{"organisation": "FSS", "subjects": "all", "tenancy": "FSS/centre"},"#, "")],
            says: ["at once special questions of FSS for 47, 50, 54, 77 and 78 go to the home, they went to FSS/centre"]
        ),
        Case(
            "segment-changed",
            [(#""id": "cc-rostrud", "segment": "rostrud""#, #""id": "cc-rostrud", "segment": "fss""#)],
            says: ["cc-rostrud is in segment fss, it was in rostrud: it needs a certificate of that authority"],
            losses: ["segment-changed"]),
        Case(
            "centre-changed",
            [
                (#""id": "centre", "segment": "centre", "name""#, #""id": "middle", "segment": "centre", "name""#),
                (#""listens": "centre""#, #""listens": "middle""#),
            ],
            says: ["the centre is middle, it was centre: no proposal can change that"],
            losses: ["centre-changed", "node-removed"]),
        Case(
            "home-moves", [(pensions, pensions.replacing("PFR/77", with: "PFR/54"))],
            says: ["at once PFR 50 is at home at PFR/54 on subject-54, not at PFR/77 on subject-77"]),
        Case(
            "home-taken-away",
            planned("PFR") + [
                (
                    pensions,
                    pensions.dropLast() + #", "to": "2026-12-01"}, "#
                        + pensions.replacing("PFR/77", with: "PFR/66").replacing("2022-01-01", with: "2026-12-01")
                )
            ],
            says: ["subject-66 is planned: what is handed over for PFR 50 is refused and stays at the first line"],
            losses: ["home-taken-away"]),
        Case(
            "home-taken-away",
            planned("FSS") + [
                (
                    #"{"organisation": "FSS", "subjects": "all", "tenancy": "FSS/centre"}"#,
                    #"{"organisation": "FSS", "subjects": ["54"], "tenancy": "FSS/66"}, "#
                        + #"{"organisation": "FSS", "subjects": "all", "tenancy": "FSS/centre"}"#
                )
            ],
            says: [
                "subject-66 is planned: what is handed over for special questions of FSS for 54 is refused and stays at "
                    + "the first line"
            ], losses: ["home-taken-away"]),
        Case(
            "home-taken-away",
            planned("OSZN") + [
                (
                    #""id": "OSZN/54", "organisation": "OSZN", "node": "subject-54""#,
                    #""id": "OSZN/54", "organisation": "OSZN", "node": "subject-66""#
                )
            ],
            says: [
                "subject-66 is planned, and with it the second line of OSZN 54: what is handed over is refused and stays at "
                    + "the first line"
            ], losses: ["home-taken-away", "tenancy-moves"]),
        Case(
            "home-not-open", [(pensions, pensions.replacing("PFR/77", with: "PFR/78"))],
            says: ["PFR/78 is not open: nobody works there yet on PFR 50, and somebody did before"],
            losses: ["home-not-open"]),
        // From one that was not open either.
        Case(
            "home-not-open", [(closed, closed.replacing("PFR/78", with: "PFR/77"))], says: []),
        Case(
            "federation-changed", [(#""federation": "ekc.test""#, #""federation": "ekc.other""#)],
            says: ["it is of the federation ekc.other, not of ekc.test: no node takes it"],
            losses: ["federation-changed"]),
        Case(
            "segment-comes", [(segment, segment + #", {"id": "guests", "profile": "tls13"}"#)],
            says: ["segment guests is new, with profile tls13"]),
        Case(
            "profile-changed", [(segment, segment.replacing("tls13", with: "gost"))],
            says: [
                "segment rostrud has profile gost, it had tls13: a node whose program does not have it loses its links"
            ], losses: ["profile-changed"]),
        Case(
            "subject-changed", [(#""subject": "54", "#, "")],
            says: ["subject-54 is the node of no subject, it was of subject 54"]),
        Case(
            "tenancy-fallback", [(answering, answering.replacing("Специалисты", with: "Все специалисты"))],
            says: ["FSS/centre tells operators something else to say while its node is not live"]),
        Case(
            "tenancy-fallback", [(", " + words, "")],
            says: [
                "FSS/centre, MSE/47, MSE/50, MSE/54 and 12 more tell operators nothing any more to say while their nodes are "
                    + "not live"
            ]),
        Case(
            "home-moves", away(until: "2027-01-01"),
            says: [
                "from 2026-12-01 until 2027-01-01 PFR 50 is at home at PFR/54 on subject-54, not at PFR/77 on subject-77"
            ]),
        Case(
            "home-moves", away(from: "2022-01-01", until: "2027-01-01"),
            says: ["until 2027-01-01 PFR 50 is at home at PFR/54 on subject-54, not at PFR/77 on subject-77"]),
        // Nobody had a second line there.
        Case(
            "home-not-yet",
            planned("OSZN") + [
                (
                    pensions,
                    pensions
                        + [("OSZN", "OSZN/66"), ("PFR", "PFR/77"), ("MSE", "MSE/77")].map {
                            #", {"organisation": "\#($0)", "subjects": ["66"], "tenancy": "\#($1)", "from": "2022-01-01"}"#
                        }.joined()
                ), (everywhere, everywhere.dropLast() + #", "66"]"#),
            ],
            says: [
                "subject-66 is planned: what is handed over for OSZN 66 is refused and stays at the first line until it is "
                    + "live"
            ]),
        Case(
            "second-line-lost",
            [(#""name": "Центр компетенций ФСС", "seat": "78", "state": "live""#, #""state": "suspended""#)],
            says: [
                "cc-fss is suspended, and with it the second line of FSS 47, 50, 54, 77 and 78, special questions of FSS for "
                    + "47, 50, 54, 77 and 78: what is handed over is refused and stays at the first line, what is open there "
                    + "waits until it is live again"
            ], losses: ["second-line-lost", "node-leaves"]),
        Case(
            "way-changed",
            ["subject-47", "subject-50", "subject-54"].map {
                (
                    #"{"dials": "\#($0)", "listens": "centre"}"#,
                    #"{"dials": "\#($0)", "listens": "centre"}, {"dials": "\#($0)", "listens": "subject-77"}"#
                )
            },
            says: [
                "between subject-77 and subject-47, subject-50 and subject-54 the way goes straight now, it went over centre"
            ]),
        Case(
            "address-changed",
            [
                (
                    #"Москва", "state": "live", "addresses": ["127.0.0.1:0"]"#,
                    #"Москва", "state": "live", "addresses": ["10.0.0.1:7410"]"#
                )
            ],
            says: [
                "subject-77 is at 10.0.0.1:7410, it was at 127.0.0.1:0: nobody dials it, and it must be started again itself"
            ]),
    ]

    @Test("What is lost and what is not, and the words for it", arguments: 0..<cases.count)
    func words(_ number: Int) throws {
        let entry = Self.cases[number]
        let live = try Self.file("topology/demo.json").replacing(
            #""name": "Город федерального значения Москва", "state": "live", "addresses": []"#,
            with: #""name": "Город федерального значения Москва", "state": "live", "addresses": ["127.0.0.1:0"]"#)
        var next = Self.next(live)
        for edit in entry.edits {
            #expect(next.contains(edit.from), "\(edit.from)")
            next = next.replacing(edit.from, with: edit.to)
        }
        let findings = try Self.diff(live, next).findings
        #expect(findings.filter { $0.code == entry.code }.map(\.text) == entry.says, "\(findings)")
        #expect(Set(findings.filter(\.isLoss).map(\.code)) == entry.losses, "\(findings)")
    }

    @Test("A node that is a home only later is one too")
    func later() throws {
        let pensions = Self.pensions
        let live = try Self.file("topology/demo.json").replacing(
            pensions,
            with: pensions.dropLast() + #", "to": "2026-12-01"}, "#
                + pensions.replacing("PFR/77", with: "PFR/54").replacing("2022-01-01", with: "2026-12-01"))
        let next = Self.next(live).replacing(
            #""name": "Новосибирская область", "state": "live""#, with: #""state": "suspended""#)
        let said = try Self.said(live, next).filter {
            $0.contains("the second line of MSE 54, OSZN 54, PFR 50 and 54:")
        }
        #expect(said.count == 1)
    }

    @Test("A whole country goes over another node: a sentence for each way, not for each pair")
    func country() throws {
        let live = try Self.wholeCountry()
        var next = Self.next(live)
        let relay = try Self.line(#""id": "subject-77""#, of: next)
        next = next.replacing(
            relay, with: relay.replacing(#""addresses": []"#, with: #""addresses": ["10.77.0.1:7410"]"#))
        for line in next.split(separator: "\n")
        where line.contains(#""dials": "subject-"#) && !line.contains("subject-77") {
            next = next.replacing(
                line, with: line.replacing(#""listens": "centre""#, with: #""listens": "subject-77""#))
        }
        let ways = try Self.diff(live, next).findings.filter { $0.code == "way-changed" }.map(\.text)
        try #require(ways.count == 3, "\(ways)")
        #expect(ways[0].contains("more go to the centre over subject-77 now, they went straight"), "\(ways)")
        #expect(ways[1].hasPrefix("between subject-01 and subject-02, and between "), "\(ways)")
        #expect(ways[1].hasSuffix(" other pairs of nodes, the way goes over subject-77 now, it went over centre"))
        #expect(ways[2].hasPrefix("between subject-77 and subject-01,") && ways[2].contains("straight now"), "\(ways)")
        let names = try Self.diff(live, next).findings.filter { $0.code == "way-changed" }.map(\.names)
        #expect(names[0].count == 88 && names[1].count == 88 && names[2].count == 89, "\(names.map(\.count))")
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
        func cutOff(_ diff: TopologyDiff) -> [String] {
            ["a", "b", "c"].filter { diff.cutsOff(NodeID($0) ?? .everyone, from: NodeID("centre") ?? .everyone) }
        }
        let cut = try Self.diff(live, text(2, [bc, cc].joined(separator: ",")))
        #expect(cut.findings.first?.text == "a and b lose their way to the centre and 1 other node")
        #expect(cut.findings.first?.code == "cut-off" && cutOff(cut) == ["a", "b"])
        let back = try Self.diff(
            text(1, [bc, cc].joined(separator: ",")), text(2, [ac, bc, cc].joined(separator: ",")))
        #expect(back.findings.allSatisfy { !$0.isLoss } && cutOff(back) == [])
        // Behind a node that is live no more.
        let asleep = try Self.diff(live, text(2, [ac, bc, cc].joined(separator: ","), "suspended"))
        #expect(cutOff(asleep) == ["a", "b"])
    }

    @Test("A file of format 1 becomes one of format 2 that is good, wherever its format stands, and keeps its text")
    func upgrade() throws {
        let new = try "// The demo: everything on one machine.\n" + Self.file("topology/demo.json")
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
