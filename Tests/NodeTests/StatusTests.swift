import FederationTestKit
import Testing

@testable import Federation
@testable import Node

/// What is said of nodes, from what is known of them.
@Suite("Federation status")
struct StatusTests {
    private static let now = Timestamp(milliseconds: 1_800_000_000_000)
    private static let day: Int64 = 86_400_000

    private static func ago(_ milliseconds: Int64) -> Timestamp { now.advanced(byMilliseconds: -milliseconds) }

    private static func id(_ text: String) -> NodeID { .known(text) }

    private static var well: NodeReport {
        var report = NodeReport(at: now, started: ago(day))
        report.topologyVersion = 3
        report.knowledge = 100
        report.certificateEnds = now.advanced(byMilliseconds: 25 * day + 1)
        report.authorityEnds = now.advanced(byMilliseconds: 1000 * day)
        report.quotaBytes = 64 << 30
        report.diskBytes = 100 << 30
        return report
    }

    private static func condition(
        _ name: String = "subject-77", link: String = "running", change: (inout NodeCondition) -> Void = { _ in }
    ) -> NodeCondition {
        var condition = NodeCondition(
            node: id(name), state: .live, tenancies: ["OSZN/77"],
            link: NodeCondition.Link(state: link, since: ago(600_000)), report: well, heard: ago(2_000))
        change(&condition)
        return condition
    }

    private static func problems(_ condition: NodeCondition) -> [NodeProblem] {
        condition.problems(at: now, topologyVersion: 3, published: 100)
    }

    @Test(
        "What is behind a node that is not there stands behind it; a pause is nobody's alarm")
    func behind() {
        let relay = StatusTests.condition("subject-78", link: "dark") { $0.heard = StatusTests.ago(30_000) }
        let leaf = StatusTests.condition("subject-54", link: "dark") {
            $0.link?.via = StatusTests.id("subject-78")
            $0.heard = StatusTests.ago(90_000)
        }
        let order = FederationStatus.worstFirst(
            [leaf, relay].map { ($0, StatusTests.problems($0)) })
        #expect(order.map(\.condition.node.text) == ["subject-78", "subject-54"])
        for (state, why) in [("paused", "works on the line"), ("dark", "peer-closed: link-paused")] {
            let paused = StatusTests.condition(link: state) { $0.link?.why = why }
            #expect(paused.darkSince == nil && StatusTests.problems(paused).map(\.isUrgent) == [false])
        }
        let damaged = StatusTests.condition(link: "dark") { $0.link?.why = "peer-closed: store-damaged" }
        #expect(StatusTests.problems(damaged).first?.what.contains("its store is damaged") == true)
    }

    @Test("Nor is who stands behind a paused link anybody's alarm", arguments: ["paused", "dark"])
    func behindPaused(state: String) throws {
        let topology = try Topology.read(
            Array(
                StatusTests.text.replacing(
                    #"{"dials": "subject-78", "listens": "centre"}"#,
                    with: #"{"dials": "subject-78", "listens": "subject-77"}"#
                ).replacing(
                    #""subject-77", "segment": "oszn", "state": "live", "addresses": []"#,
                    with: #""subject-77", "segment": "oszn", "state": "live", "addresses": ["127.0.0.1:2"]"#
                ).utf8))
        let status = try StatusTests.status {
            $0.topology = topology
            $0.links.removeLast()
            $0.links[1].state = state == "paused" ? .paused : .dark
            $0.links[1].why = state == "paused" ? "works" : "peer-closed: link-paused"
            $0.reports[StatusTests.id("subject-78")]?.heard = StatusTests.ago(600_000)
        }
        let leaf = try #require(status.nodes.first { $0.node == "subject-78" })
        #expect(leaf.darkSeconds == nil && leaf.via == "subject-77")
        #expect(leaf.problems.map(\.code) == [.paused] && leaf.problems.map(\.isUrgent) == [false])
        if state == "paused" { #expect(leaf.problems[0].remedy == "ekc link resume DIR subject-77") }
    }

    @Test("A node that is well has no problem")
    func well() { #expect(StatusTests.problems(StatusTests.condition()).isEmpty) }

    struct Case: Sendable, CustomTestStringConvertible {
        var code: NodeProblem.Code
        var isUrgent: Bool
        var says: String
        var change: @Sendable (inout NodeCondition) -> Void
        var testDescription: String { "\(code.rawValue): \(says)" }
    }

    static let cases: [Case] = [
        Case(code: .dark, isUrgent: true, says: "dark for 10 min (peer-silent); 4 messages wait for it") {
            $0.link?.state = "dark"
            $0.link?.why = "peer-silent"
            $0.mail = NodeCondition.Mail(waiting: 4, oldest: ago(1_000))
            $0.heard = nil
        },
        Case(code: .dark, isUrgent: true, says: "dark for 2 h, behind relay") {
            $0.link = NodeCondition.Link(state: "dark", since: ago(1_000), via: id("relay"))
            $0.heard = ago(7_200_000)
        },
        Case(
            code: .metadataOnly, isUrgent: true,
            says: "nothing but signed metadata passes for 10 min (certificate-expired: that of subject-77)"
        ) {
            $0.link?.state = "metadata-only"
            $0.link?.why = "certificate-expired: that of subject-77"
        },
        Case(code: .controlOnly, isUrgent: true, says: "its messages wait until neighbours agree") {
            $0.report?.isControlOnly = true
        },
        Case(code: .refused, isUrgent: true, says: "accepts nothing") {
            $0.link?.state = "refused"
            $0.heard = nil
        },
        Case(code: .paused, isUrgent: false, says: "paused for 10 min (works)") {
            $0.link?.state = "paused"
            $0.link?.why = "works"
            $0.heard = nil
        },
        Case(code: .silent, isUrgent: false, says: "nothing of itself for 21 s") { $0.heard = ago(21_000) },
        Case(code: .clockSkew, isUrgent: false, says: "30 s ahead") { $0.link?.skew = 30_000 },
        Case(code: .clockSkew, isUrgent: true, says: "301 s behind") { $0.link?.skew = -301_000 },
        Case(code: .mailWaits, isUrgent: false, says: "4 messages wait for it, the oldest for 11 min") {
            $0.mail = NodeCondition.Mail(waiting: 4, oldest: ago(660_000))
        },
        Case(code: .mailWaits, isUrgent: false, says: "5 messages wait in its outbox") {
            $0.report?.waiting = 5
            $0.report?.oldest = ago(601_000)
        },
        Case(code: .roomClosed, isUrgent: false, says: "1 rooms") { $0.report?.closedRooms = 1 },
        Case(code: .nodeRewound, isUrgent: true, says: "behind what its peers") { $0.report?.isRewound = true },
        Case(code: .lost, isUrgent: true, says: "2 messages are gone") { $0.report?.lost = 2 },
        Case(code: .countsDisagree, isUrgent: true, says: "1 streams") { $0.report?.unbalanced = 1 },
        Case(code: .held, isUrgent: false, says: "1 messages are held there, 2 of its own elsewhere") {
            $0.report?.quarantined = 1
            $0.report?.heldElsewhere = 2
        },
        Case(code: .missing, isUrgent: false, says: "9 messages are being got back") { $0.report?.missing = 9 },
        Case(code: .storeFilling, isUrgent: false, says: "71 % full") { $0.report?.usedBytes = (64 << 30) / 100 * 71 },
        Case(code: .storeFilling, isUrgent: true, says: "still takes 100 MiB") { $0.report?.diskBytes = 100 << 20 },
        Case(code: .keyEnding, isUrgent: false, says: "ends in 9 days") {
            $0.report?.certificateEnds = now.advanced(byMilliseconds: 9 * day + 5)
        },
        Case(code: .keyEnding, isUrgent: true, says: "has ended") { $0.report?.certificateEnds = ago(1) },
        Case(code: .keyEnding, isUrgent: false, says: "authority ends in 179 days") {
            $0.report?.authorityEnds = now.advanced(byMilliseconds: 180 * day - 1)
        },
        Case(code: .overdue, isUrgent: false, says: "OSZN/77: 3") {
            $0.report?.queues = [.init(name: NodeReport.name(of: "OSZN/77"), waiting: 5, overdue: 3, oldest: ago(1))]
        },
        Case(code: .metadataStale, isUrgent: false, says: "no newer signed metadata for 24 h") {
            $0.report?.metadataAge = UInt64(day)
        },
        Case(code: .metadataStale, isUrgent: true, says: "no newer signed metadata for 14 d") {
            $0.report?.metadataAge = UInt64(14 * day)
        },
        Case(code: .denied, isUrgent: false, says: "has taken it out") { $0.isDenied = true },
        Case(code: .topologyBehind, isUrgent: false, says: "topology 2, here 3") { $0.report?.topologyVersion = 2 },
        Case(code: .knowledgeBehind, isUrgent: false, says: "90 of 100 entries, and no more for 61 s") {
            $0.report?.knowledge = 90
            $0.stuckSince = ago(61_000)
        },
    ]

    @Test("Each thing that is wrong is said, alone, with what helps", arguments: cases)
    func said(_ wrong: Case) throws {
        let found = StatusTests.problems(StatusTests.condition(change: wrong.change))
        let problem = try #require(found.first)
        #expect(found.count == 1, "\(found)")
        #expect(problem.code == wrong.code && problem.isUrgent == wrong.isUrgent)
        #expect(problem.what.contains(wrong.says), "\(problem.what)")
        #expect(!problem.remedy.isEmpty)
    }

    @Test("Every problem has a case here")
    func complete() { #expect(Set(StatusTests.cases.map(\.code)) == Set(NodeProblem.Code.allCases)) }

    @Test("A tenancy that the topology does not give to the node is shown nowhere, whatever the node says")
    func strangeQueue() {
        let condition = StatusTests.condition {
            $0.report?.queues = [.init(name: NodeReport.name(of: "PFR/50"), waiting: 9, overdue: 9, oldest: nil)]
        }
        #expect(StatusTests.problems(condition).isEmpty)
        let shown = FederationStatus.Node(condition, [], at: StatusTests.now)
        #expect(shown.queues.map(\.tenancy) == ["OSZN/77"] && shown.queues[0].waiting == 0)
    }

    private static let text = """
        {"format": 2, "version": 3, "federation": "ekc.test",
         "segments": [{"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"}],
         "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:1"]},
                   {"id": "subject-50", "segment": "oszn", "state": "live", "addresses": []},
                   {"id": "subject-66", "segment": "oszn", "state": "planned", "addresses": []},
                   {"id": "subject-77", "segment": "oszn", "state": "live", "addresses": []},
                   {"id": "subject-78", "segment": "oszn", "state": "live", "addresses": []}],
         "rights": [
           {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
           {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
         "tenancies": [], "homes": [], "special": [],
         "links": [{"dials": "subject-50", "listens": "centre"}, {"dials": "subject-66", "listens": "centre"},
                   {"dials": "subject-77", "listens": "centre"}, {"dials": "subject-78", "listens": "centre"}]}
        """

    private static func status(_ change: (inout FederationObservation) -> Void) throws -> FederationStatus {
        let topology = try Topology.read(Array(text.utf8))
        let peers = ["subject-50", "subject-77", "subject-78"].map(id)
        var observation = FederationObservation(
            now: now, topology: topology, here: id("centre"), own: well,
            links: peers.map { LinkStanding(peer: $0, state: .running, since: ago(day), dials: false) },
            reports: Dictionary(
                uniqueKeysWithValues: peers.map { ($0, ReportBook.Entry(report: well, heard: ago(3_000))) }), mail: [:])
        change(&observation)
        return FederationStatus(observation)
    }

    @Test("The worst is first: what is dark longest, then what only wants a look; what need not be there is last")
    func order() throws {
        let quiet = try StatusTests.status { _ in }
        #expect(quiet.nodes.map(\.node) == ["centre", "subject-50", "subject-77", "subject-78", "subject-66"])
        #expect(StatusScreen.problems(quiet, directory: "/d") == "nothing is wrong: 5 nodes")
        let status = try StatusTests.status {
            $0.links[1].state = .dark
            $0.links[1].since = StatusTests.ago(50_000)
            $0.links[2].state = .dark
            $0.links[2].since = StatusTests.ago(50_000)
            $0.links[2].why = "gone\u{1B}[2J"
            $0.reports[StatusTests.id("subject-77")]?.heard = StatusTests.ago(60_000)
            $0.reports[StatusTests.id("subject-78")]?.heard = StatusTests.ago(3_600_000)
            $0.reports[StatusTests.id("subject-50")]?.report.quarantined = 1
        }
        #expect(status.nodes.map(\.node) == ["subject-78", "subject-77", "subject-50", "centre", "subject-66"])
        #expect(status.nodes[0].darkSince == StatusTests.ago(3_600_000).rfc3339)
        let words = StatusScreen.problems(status, directory: "/d").split(separator: "\n")
        #expect(words[0].hasPrefix("subject-78  URGENT dark: dark for 60 min (gone[2J)"), "\(words[0])")
        #expect(words[1] == "    remedy: ekc link test /d subject-78")
        // A line a node behind the heading and the titles, and nothing that steers a terminal.
        let table = StatusScreen.table(status)
        #expect(table.split(separator: "\n").count == 2 + 5 && table.unicodeScalars.allSatisfy { $0.value != 0x1B })
    }

    @Test("Of a node that is dark the last that is known is shown, with its age; of one that was never heard nothing")
    func lastKnown() throws {
        let status = try StatusTests.status {
            $0.links[1].state = .dark
            $0.links[1].since = StatusTests.ago(5_000)
            $0.reports[StatusTests.id("subject-77")]?.heard = StatusTests.ago(9_000)
            $0.links[2].state = .dark
            $0.reports[StatusTests.id("subject-78")] = nil
        }
        let dark = try #require(status.nodes.first { $0.node == "subject-77" })
        #expect(dark.heardSeconds == 9 && dark.darkSeconds == 9 && dark.knowledge == 100)
        let unheard = try #require(status.nodes.first { $0.node == "subject-78" })
        #expect(unheard.heard == nil && unheard.knowledge == nil && unheard.queues.isEmpty && unheard.keys.isEmpty)
    }

    @Test("Ages are said in the largest unit of which there are two")
    func ages() {
        let said = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map { "\(Age(seconds: Int64($0)))" }
        #expect(said == ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"])
    }
}
