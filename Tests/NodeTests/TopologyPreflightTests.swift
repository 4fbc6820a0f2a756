import ContactCentre
import FederationTestKit
import Testing

@testable import Federation
@testable import Node

/// What a newer topology would meet, from what nodes hold and have said.
@Suite("Topology pre-flight")
struct TopologyPreflightTests {
    private static let now = Timestamp(milliseconds: 1_800_000_000_000)
    private static let day: Int64 = 86_400_000

    private static func id(_ text: String) -> NodeID { .known(text) }

    /// The centre, subject-77, and subject-78 behind it; a competence centre; a subject that is planned.
    private static func text(_ version: Int) -> String {
        func home(_ subject: String, _ tenancy: String) -> String {
            #"{"organisation": "OSZN", "subjects": ["\#(subject)"], "tenancy": "\#(tenancy)", "from": "2022-01-01"}"#
        }
        func tenancy(_ name: String, _ organisation: String, _ node: String) -> String {
            #"{"id": "\#(name)", "organisation": "\#(organisation)", "node": "\#(node)", "lines": ["2"], "open": true, "#
                + #""dueMinutes": 240, "fallback": "Позже."}"#
        }
        return """
            {"format": 2, "version": \(version), "federation": "ekc.test",
             "segments": [{"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"}],
             "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:1"]},
                       {"id": "subject-77", "segment": "oszn", "state": "live", "addresses": ["127.0.0.1:2"]},
                       {"id": "subject-78", "segment": "oszn", "state": "live", "addresses": []},
                       {"id": "cc-fss", "segment": "oszn", "state": "live", "addresses": []},
                       {"id": "subject-66", "segment": "oszn", "state": "planned", "addresses": []}],
             "rights": [
               {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
               {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
             "tenancies": [\(tenancy("OSZN/77", "OSZN", "subject-77")), \(tenancy("OSZN/78", "OSZN", "subject-78")),
                           \(tenancy("OSZN/66", "OSZN", "subject-66"))],
             "homes": [\(home("50", "OSZN/77")), \(home("77", "OSZN/77")), \(home("78", "OSZN/78"))],
             "special": [],
             "links": [{"dials": "subject-77", "listens": "centre"}, {"dials": "subject-78", "listens": "subject-77"},
                       {"dials": "cc-fss", "listens": "centre"}, {"dials": "subject-66", "listens": "centre"}]}
            """
    }

    /// - Parameter live: is in the live one, and stays.
    private static func diff(_ edits: [(String, String)], live: [(String, String)] = []) throws -> TopologyDiff {
        func edited(_ text: String, _ edits: [(String, String)]) throws -> Topology {
            var text = text
            for (from, to) in edits {
                #expect(text.contains(from), "\(from)")
                text = text.replacing(from, with: to)
            }
            return try Topology.read(Array(text.utf8))
        }
        return TopologyDiff(
            from: try edited(text(1), live), to: try edited(text(2), live + edits), today: "2026-11-25")
    }

    private static func home(_ subject: String, _ tenancy: String) -> String {
        #""subjects": ["\#(subject)"], "tenancy": "\#(tenancy)""#
    }

    private static func move(_ subject: String, to tenancy: String) -> [(String, String)] {
        [(home(subject, "OSZN/77"), home(subject, tenancy))]
    }

    private static let nothing = AdminAPI.UnderWay(
        node: "centre", isCentre: true, mail: [], outbox: [:], appeals: [:], open: [], cannotVerify: [:], objections: []
    )

    private static func underWay(_ change: (inout AdminAPI.UnderWay) -> Void) -> AdminAPI.UnderWay {
        var underWay = nothing
        change(&underWay)
        return underWay
    }

    private static func open(_ subject: String, _ count: Int) -> AdminAPI.UnderWay.Open {
        AdminAPI.UnderWay.Open(
            tenancy: "OSZN/77", organisation: "OSZN", subject: subject, isSpecial: false, count: count)
    }

    private static func report(
        _ mail: [String: UInt32]? = [:], change: (inout NodeReport) -> Void = { _ in }
    ) -> NodeReport {
        var report = NodeReport(at: now, started: now.advanced(byMilliseconds: -day))
        report.topologyVersion = 1
        report.mail = mail?.map { NodeReport.Mail(name: NodeReport.name(of: $0), waiting: $1) }
        report.waiting = UInt64(mail?.values.reduce(0, +) ?? 5)
        change(&report)
        return report
    }

    private static func status(_ change: (inout [NodeID: NodeReport]) -> Void = { _ in }) throws -> FederationStatus {
        let topology = try Topology.read(Array(text(1).utf8))
        var reports = Dictionary(
            uniqueKeysWithValues: ["subject-77", "subject-78", "cc-fss"].map { (id($0), report()) })
        change(&reports)
        return FederationStatus(
            FederationObservation(
                now: now, topology: topology, here: id("centre"), own: report(),
                links: ["subject-77", "cc-fss"].map {
                    LinkStanding(
                        peer: id($0), state: .running, since: now.advanced(byMilliseconds: -day), dials: false)
                },
                reports: reports.mapValues {
                    ReportBook.Entry(report: $0, heard: now.advanced(byMilliseconds: -3_000))
                }, mail: [:]))
    }

    private static func said(
        _ diff: TopologyDiff, _ underWay: AdminAPI.UnderWay? = nil, _ status: FederationStatus? = nil, code: String
    ) -> [String] {
        TopologyPreflight(diff: diff, underWay: underWay, status: status).findings.filter { $0.code == code }
            .map { ($0.isLoss ? "! " : "  ") + $0.text }
    }

    // MARK: Homes

    @Test(
        "Of a home that moves it is said what is open there, and what becomes of it",
        arguments: [
            ("OSZN/78", 3, "  3 appeals of OSZN 50 are open at OSZN/77, as centre knows: they follow"),
            ("OSZN/78", 1, "  1 appeal of OSZN 50 is open at OSZN/77, as centre knows: it follows"),
            ("OSZN/78", 0, "  no appeal of OSZN 50 is open at OSZN/77, as centre knows"),
            (
                "OSZN/66", 1,
                "  1 appeal of OSZN 50 is open at OSZN/77, as centre knows: it stays there, subject-66 is planned"
            ),
        ])
    func open(to: String, count: Int, says: String) throws {
        let diff = try Self.diff(Self.move("50", to: to))
        // Those of another subject are at the same tenancy, and stay.
        let open = [Self.open("77", 9)] + (count > 0 ? [Self.open("50", count)] : [])
        let underWay = Self.underWay { $0.open = open }
        #expect(Self.said(diff, underWay, code: "home-appeals") == [says])
        let lines = TopologyPreflight(diff: diff, underWay: underWay).findings.map(\.code)
        let place = try #require(lines.firstIndex(of: "home-moves"))
        #expect(lines[place + 1] == "home-appeals", "the one follows the other: \(lines)")
        // Who is neither the centre nor the old home knows nothing of it; nobody was asked.
        let stranger = Self.underWay { ($0.node, $0.isCentre) = ("cc-fss", false) }
        #expect(Self.said(diff, stranger, code: "home-appeals").isEmpty)
        #expect(Self.said(diff, code: "home-appeals").isEmpty)
        let own = Self.underWay { ($0.node, $0.isCentre, $0.open) = ("subject-77", false, open) }
        #expect(
            Self.said(diff, own, code: "home-appeals")
                == [says.replacing("as centre knows", with: "as subject-77 knows")])
    }

    @Test("Special questions go their own way, and are counted there")
    func special() throws {
        let entry = #"{"organisation": "OSZN", "subjects": ["50"], "tenancy": "OSZN/77"}"#
        let underWay = Self.underWay {
            $0.open = [Self.open("50", 2), Self.open("50", 4)]
            $0.open[1].isSpecial = true
        }
        let list = [(#""special": []"#, #""special": [\#(entry)]"#)]
        // The home moves, and what needs special knowledge stays where it is listed.
        let home = try Self.diff(
            [(Self.home("50", "OSZN/77") + #", "from""#, Self.home("50", "OSZN/78") + #", "from""#)], live: list)
        #expect(
            Self.said(home, underWay, code: "home-appeals")
                == ["  2 appeals of OSZN 50 are open at OSZN/77, as centre knows: they follow"])
        // The other way round; into the list, out of it, and without one.
        let says = ["  4 special appeals of OSZN 50 are open at OSZN/77, as centre knows: they follow"]
        let elsewhere = entry.replacing("OSZN/77", with: "OSZN/78")
        #expect(Self.said(try Self.diff([(entry, elsewhere)], live: list), underWay, code: "home-appeals") == says)
        let into = try Self.diff([(#""special": []"#, #""special": [\#(elsewhere)]"#)])
        #expect(Self.said(into, underWay, code: "home-appeals") == says)
        let all = try Self.diff(Self.move("50", to: "OSZN/78"))
        #expect(
            Self.said(all, underWay, code: "home-appeals")
                == ["  6 appeals of OSZN 50 are open at OSZN/77, as centre knows: they follow"])
    }

    @Test("Special questions that a successor takes over on a later day are said under that day, and are counted there")
    func successor() throws {
        let day = "2026-12-01"
        func tenancy(_ id: String, _ node: String) -> String {
            #"{"id": "\#(id)", "organisation": "\#(id.prefix(3))", "node": "\#(node)", "lines": ["2"], "open": true, "#
                + #""dueMinutes": 240}"#
        }
        func home(_ organisation: String, _ tenancy: String, _ days: String) -> String {
            #"{"organisation": "\#(organisation)", "subjects": ["50", "77", "78"], "tenancy": "\#(tenancy)", \#(days)}"#
        }
        func special(_ tenancy: String) -> String {
            #"{"organisation": "\#(tenancy.prefix(3))", "subjects": "all", "tenancy": "\#(tenancy)"}"#
        }
        let begin = #""from": "2022-01-01""#
        let (tenancies, homes, list) = (#""tenancies": ["#, #""homes": ["#, #""special": ["#)
        let live = [
            (tenancies, tenancies + tenancy("FSS/77", "subject-77") + "," + tenancy("FSS/c", "cc-fss") + ","),
            (homes, homes + home("FSS", "FSS/77", begin) + ","), (list, list + special("FSS/c")),
        ]
        let next = [
            (
                tenancies,
                #""participants": [{"id": "OSZN"}, {"id": "FSS", "to": "\#(day)", "successor": "SFR"}, "#
                    + #"{"id": "SFR", "from": "\#(day)"}], "# + tenancies
                    + ["SFR/77", "SFR/78"].map { tenancy($0, "subject-" + $0.suffix(2)) + "," }.joined()
            ),
            (
                home("FSS", "FSS/77", begin),
                home("FSS", "FSS/77", begin + #", "to": "\#(day)""#) + ","
                    + ["FSS", "SFR"].map { home($0, "SFR/77", #""from": "\#(day)""#) }.joined(separator: ",")
            ), (special("FSS/c"), special("FSS/c") + "," + special("SFR/78")),
        ]
        let underWay = Self.underWay {
            $0.open = [("FSS/77", false, 2), ("FSS/c", true, 4)].map {
                AdminAPI.UnderWay.Open(
                    tenancy: $0, organisation: "FSS", subject: "50", isSpecial: $1, count: $2)
            }
        }
        let diff = try Self.diff(next, live: live)
        #expect(
            Self.said(diff, code: "special-moves") == [
                "  from \(day) on special questions of FSS for 50, 77 and 78 go to SFR/78, they went to FSS/c",
                "  from \(day) on special questions of SFR for 50, 77 and 78 go to SFR/78, there were none",
            ])
        #expect(
            Self.said(diff, underWay, code: "home-appeals") == [
                "  2 appeals of FSS 50, 77 and 78 are open at FSS/77, as centre knows: they follow",
                "  4 special appeals of FSS 50, 77 and 78 are open at FSS/c, as centre knows: they follow",
            ])
        // It is where they go.
        for (day, tenancy) in [("2026-11-30", "FSS/c"), (day, "SFR/78")] {
            for topology in [diff.next, tenancy == "FSS/c" ? diff.live : diff.next] {
                let route = Router(topology).route(organisation: "FSS", subject: "50", reason: .special, on: day)
                #expect(route?.tenancy.id == tenancy)
            }
        }
        // Without a centre of its own they go home.
        let homeward = try Self.diff(Array(next.dropLast()), live: live)
        #expect(
            Self.said(homeward, underWay, code: "special-moves") == [
                "  from \(day) on special questions of FSS for 50, 77 and 78 go to the home, they went to FSS/c"
            ])
        #expect(Self.said(homeward, underWay, code: "home-appeals").last?.contains("4 special appeals of FSS") == true)
    }

    @Test("What the old home has said of its queue, with its age, once; of one that has said nothing that")
    func queue() throws {
        let diff = try Self.diff(Self.move("50", to: "OSZN/78") + Self.move("77", to: "OSZN/66"))
        func said(_ waiting: UInt32?) throws -> [String] {
            Self.said(
                diff, Self.nothing,
                try Self.status { reports in
                    guard let waiting else { return reports[Self.id("subject-77")] = nil }
                    reports[Self.id("subject-77")]?.queues = [
                        .init(name: NodeReport.name(of: "OSZN/77"), waiting: waiting, overdue: 0, oldest: nil)
                    ]
                }, code: "home-queue")
        }
        #expect(try said(5) == ["  5 appeals in all wait at OSZN/77 on subject-77 (said 3 s ago)"])
        #expect(try said(1) == ["  1 appeal in all waits at OSZN/77 on subject-77 (said 3 s ago)"])
        #expect(try said(nil) == ["  what waits at OSZN/77 is not known: subject-77 has said nothing yet"])
    }

    @Test(
        "What is under way at the node that is asked, in words for one and for many",
        arguments: [
            (
                1, "! 1 message (bulk) waits at centre for cc-fss, which could not be reached",
                "! 1 open appeal of OSZN/77 would be left with nobody"
            ),
            (
                7, "! 7 messages (bulk) wait at centre for cc-fss, which could not be reached",
                "! 7 open appeals of OSZN/77 would be left with nobody"
            ),
        ])
    func held(count: Int, mail: String, appeals: String) throws {
        let underWay = Self.underWay {
            $0.mail = [.init(destination: "cc-fss", lane: "bulk", count: UInt64(count))]
            $0.outbox = ["cc-fss": UInt64(count)]
            $0.appeals = ["OSZN/77": count]
            $0.cannotVerify = ["subject-78": "denied: a laptop was stolen\u{1B}[2J"]
        }
        let diff = try Self.diff([
            (
                #""id": "cc-fss", "segment": "oszn", "state": "live""#,
                #""id": "cc-fss", "segment": "oszn", "state": "retired""#
            )
        ])
        #expect(Self.said(diff, underWay, code: "mail-for-nobody") == [mail])
        #expect(Self.said(diff, underWay, code: "appeals-stranded") == [appeals])
        #expect(
            Self.said(diff, underWay, code: "cannot-verify")
                == [
                    "  subject-78 will not have it (denied: a laptop was stolen[2J)",
                    "  cc-fss is hung up on before it takes it: it hears of it by hand",
                ])
        // Not told twice.
        #expect(Self.said(diff, underWay, try Self.status(), code: "mail-cut-off").isEmpty)
    }

    @Test("What is open at a node that rests is counted, and waits; of each finding it is said whom it is about")
    func resting() throws {
        let diff = try Self.diff([
            (
                #""id": "subject-77", "segment": "oszn", "state": "live""#,
                #""id": "subject-77", "segment": "oszn", "state": "suspended""#
            )
        ])
        let underWay = Self.underWay { $0.open = [Self.open("50", 2), Self.open("77", 1)] }
        #expect(
            Self.said(diff, underWay, code: "appeals-rest")
                == ["  3 appeals are open at OSZN/77, as centre knows: they wait until its node is live again"])
        #expect(Self.said(diff, Self.nothing, code: "appeals-rest").isEmpty)
        let findings = TopologyPreflight(diff: diff, underWay: underWay, status: try Self.status()).findings
        let names = Dictionary(findings.map { ($0.code, $0.names) }, uniquingKeysWith: +)
        #expect(names["appeals-rest"] == ["OSZN/77"] && names["node-leaves"] == ["subject-77"], "\(names)")
        #expect(names["cut-off"] == ["subject-78"] && names["answered"]?.count == 4, "\(names)")
    }

    @Test("A move with a queue, and what nodes have said, is said as the guide shows it")
    func picture() throws {
        let scheme = try #require(DemoScheme.of(103))
        let live = try Topology.read(scheme.file(port: 0))
        let next = try Topology.read(scheme.file(port: 0, movedOn: "2026-12-01"))
        let underWay = Self.underWay {
            $0.open = [
                AdminAPI.UnderWay.Open(
                    tenancy: "PFR/77", organisation: "PFR", subject: "50", isSpecial: false, count: 12)
            ]
        }
        var entries = Dictionary(
            uniqueKeysWithValues: live.nodes.map(\.id).filter { $0 != Self.id("centre") }.map {
                ($0, ReportBook.Entry(report: Self.report(), heard: Self.now.advanced(byMilliseconds: -3_000)))
            })
        entries[Self.id("subject-77")]?.report.queues = [
            .init(name: NodeReport.name(of: "PFR/77"), waiting: 9, overdue: 0, oldest: nil)
        ]
        entries[Self.id("subject-36")]?.heard = Self.now.advanced(byMilliseconds: -2 * Self.day)
        let status = FederationStatus(
            FederationObservation(
                now: Self.now, topology: live, here: Self.id("centre"), own: Self.report(), links: [],
                reports: entries, mail: [:]))
        let diff = TopologyDiff(from: live, to: next, today: "2026-11-25")
        let said = TopologyDiffCommand.words(
            from: live, to: next, TopologyPreflight(diff: diff, underWay: underWay, status: status).findings)
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        func file(_ name: String) throws -> String {
            String(
                decoding: try Files.read(root + "/docs/images/" + name, maximum: 1 << 20),
                as: UTF8.self)
        }
        #expect(try file("diff-dry-run.txt").split(separator: "\n").map(String.init) == said)
        let picture = try file("topology-diff.svg")
        for line in said { #expect(picture.contains(line), "\(line)") }
    }

    // MARK: Mail

    private static let suspended = [
        (
            #""id": "cc-fss", "segment": "oszn", "state": "live""#,
            #""id": "cc-fss", "segment": "oszn", "state": "suspended""#
        )
    ]
    private static let unlinked = [(#"{"dials": "cc-fss", "listens": "centre"}, "#, "")]

    @Test("Only what waits for whom it could not reach any more is told, wherever it waits")
    func mail() throws {
        let status = try Self.status {
            $0[Self.id("subject-77")] = Self.report(["centre": 4, "cc-fss": 2, "subject-78": 50, "nobody": 8])
            $0[Self.id("subject-78")] = Self.report(["cc-fss": 1, "subject-77": 9])
            $0[Self.id("cc-fss")] = Self.report(["centre": 1, "subject-78": 2])
        }
        let here = Self.underWay { $0.outbox = ["subject-77": 1, "cc-fss": 6] }
        // The one that goes: at every node in one sentence.
        #expect(
            Self.said(try Self.diff(Self.suspended), here, status, code: "mail-cut-off") == [
                "! 9 messages wait for cc-fss, which could not be reached any more, at centre (6), "
                    + "subject-77 (2, said 3 s ago) and subject-78 (1, said 3 s ago)",
                "! 3 messages wait at cc-fss for centre and subject-78, which it could not reach any more (said 3 s ago)",
            ])
        // It stays live without a link: a sentence for each who has something for the other.
        #expect(
            Self.said(try Self.diff(Self.unlinked), here, status, code: "mail-cut-off") == [
                "! 3 messages wait at cc-fss for centre and subject-78, which it could not reach any more (said 3 s ago)",
                "! 6 messages wait at centre for cc-fss, which it could not reach any more",
                "! 2 messages wait at subject-77 for cc-fss, which it could not reach any more (said 3 s ago)",
                "! 1 message waits at subject-78 for cc-fss, which it could not reach any more (said 3 s ago)",
            ])
        // Nothing is lost to nobody.
        let moved = try Self.diff(Self.move("50", to: "OSZN/78"))
        #expect(Self.said(moved, here, status, code: "mail-cut-off").isEmpty)
        // Without the others' word only the node that was asked.
        #expect(
            Self.said(try Self.diff(Self.suspended), here, code: "mail-cut-off")
                == ["! 6 messages wait for cc-fss, which could not be reached any more, at centre"])
    }

    @Test("Of a release that does not say for whom, that is said, where it matters")
    func notSaid() throws {
        let status = try Self.status { $0[Self.id("subject-77")] = Self.report(nil) }
        #expect(
            Self.said(try Self.diff(Self.suspended), Self.nothing, status, code: "mail-not-known") == [
                "  for whom mail waits is not known at subject-77 (5, said 3 s ago): an earlier release does not say"
            ])
        #expect(Self.said(try Self.diff(Self.suspended), Self.nothing, status, code: "mail-cut-off").isEmpty)
        let moved = try Self.diff(Self.move("50", to: "OSZN/78"))
        #expect(Self.said(moved, Self.nothing, status, code: "mail-not-known").isEmpty)
    }

    // MARK: Who may not take it

    @Test("Who goes by an older topology or has verified nothing for long is named, with what that means")
    func behind() throws {
        let diff = try Self.diff(Self.move("50", to: "OSZN/78"))
        func said(_ code: String, _ reports: [String: (version: UInt64, hours: UInt64)]) throws -> [String] {
            let status = try Self.status {
                for (name, facts) in reports {
                    $0[Self.id(name)] = Self.report { report in
                        report.topologyVersion = facts.version
                        report.metadataAge = facts.hours * 3_600_000
                    }
                }
            }
            return Self.said(diff, Self.nothing, status, code: code)
        }
        #expect(try said("topology-behind", [:]).isEmpty)
        #expect(
            try said("topology-behind", ["cc-fss": (0, 0)]) == [
                "  cc-fss (said 3 s ago) goes by topology 0, 1 is in force: it may not take this one either"
            ])
        #expect(
            try said("topology-behind", ["cc-fss": (0, 0), "subject-77": (0, 0), "subject-78": (2, 0)]) == [
                "  cc-fss (said 3 s ago) and subject-77 (said 3 s ago) go by topology 0, 1 is in force: they may not take "
                    + "this one either"
            ])
        #expect(try said("metadata-stale", ["cc-fss": (1, 23)]).isEmpty)
        #expect(
            try said("metadata-stale", ["cc-fss": (1, 24), "subject-77": (1, 30), "subject-78": (1, 14 * 24)]) == [
                "  subject-78 (for 14 d) has verified no newer signed metadata: nothing new is admitted there, no node, right or key",
                "  cc-fss (for 24 h) and subject-77 (for 30 h) have verified no newer signed metadata: see why, before others go by this one",
            ])
    }

    @Test("How many have answered, and who is dark")
    func answered() throws {
        let diff = try Self.diff(Self.move("50", to: "OSZN/78"))
        let all = try Self.status()
        #expect(Self.said(diff, nil, all, code: "answered") == ["  4 of 4 nodes have said how they are"])
        let none = try Self.status { $0 = [:] }
        #expect(Self.said(diff, nil, none, code: "answered") == ["  1 of 4 nodes has said how it is"])
        #expect(Self.said(diff, nil, none, code: "node-dark").count == 3)
        // Who is live no more is hung up on: it does not get it by itself.
        let leaving = try Self.diff(Self.suspended)
        #expect(
            Self.said(leaving, nil, none, code: "cannot-verify")
                == ["  cc-fss is hung up on before it takes it: it hears of it by hand"])
        let dark = Self.said(leaving, nil, none, code: "node-dark")
        #expect(dark.filter { $0.contains("it will have it when it is back") }.count == 2)
        #expect(dark.contains("  cc-fss is dark: what has come there since is not known"), "\(dark)")
    }
}
