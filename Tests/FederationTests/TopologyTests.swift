import FederationTestKit
import FoundationEssentials
import Testing

@testable import Federation

@Suite("Topology: every fault at once, with its place")
struct TopologyTests {
    static func file(_ name: String) throws -> [UInt8] {
        try Files.read(ArchitectureTests.root + "/topology/" + name, maximum: 1 << 20)
    }

    /// What the demo ran once, by line.
    private static func sample() throws -> [UInt8] {
        try Files.read(ArchitectureTests.root + "/Tests/FederationTests/Samples/six-nodes.json", maximum: 1 << 20)
    }

    /// A good topology with one entry a line, so that a fault's line is known.
    static let good = [
        "{ \"format\": 2, \"version\": 7, \"federation\": \"ekc.test\",",
        "\"segments\": [ {\"id\": \"centre\", \"profile\": \"tls13\"},",
        "{\"id\": \"oszn\", \"profile\": \"tls13\"} ],",
        "\"nodes\": [ {\"id\": \"centre\", \"segment\": \"centre\", \"state\": \"live\", \"addresses\": [\"10.0.0.1:7410\"]},",
        "{\"id\": \"subject-77\", \"segment\": \"oszn\", \"subject\": \"77\", \"state\": \"live\", \"addresses\": []},",
        "{\"id\": \"subject-78\", \"segment\": \"oszn\", \"subject\": \"78\", \"state\": \"planned\", \"addresses\": []} ],",
        "\"tenancies\": [ {\"id\": \"OSZN/77\", \"organisation\": \"OSZN\", \"node\": \"subject-77\", \"lines\": [\"2\"], \"open\": true, \"dueMinutes\": 240},",
        "{\"id\": \"MSE/77\", \"organisation\": \"MSE\", \"node\": \"subject-77\", \"lines\": [\"2\", \"2.1\"], \"open\": true, \"dueMinutes\": 240} ],",
        "\"homes\": [ {\"organisation\": \"OSZN\", \"subjects\": [\"77\", \"78\"], \"tenancy\": \"OSZN/77\", \"from\": \"2022-01-01\"},",
        "{\"organisation\": \"MSE\", \"subjects\": [\"77\", \"78\"], \"tenancy\": \"MSE/77\", \"from\": \"2022-01-01\"} ],",
        "\"special\": [ {\"organisation\": \"MSE\", \"subjects\": \"all\", \"tenancy\": \"MSE/77\"} ],",
        "\"links\": [ {\"dials\": \"subject-77\", \"listens\": \"centre\"},",
        "{\"dials\": \"subject-78\", \"listens\": \"centre\"} ],",
        "\"rights\": [ {\"from\": [\"centre\"], \"to\": [\"oszn\"], \"kinds\": [\"escalation\", \"status\", \"entry\"]},",
        "{\"from\": [\"oszn\"], \"to\": [\"centre\"], \"kinds\": [\"answer\", \"returned\", \"status\"]} ] }",
    ]

    static func home(from day: String) -> String {
        "{\"organisation\": \"OSZN\", \"subjects\": [\"77\", \"78\"], \"tenancy\": \"OSZN/77\", \"from\": \"\(day)\"}"
    }

    static func special(_ subjects: String) -> String {
        "{\"organisation\": \"MSE\", \"subjects\": \(subjects), \"tenancy\": \"MSE/77\"}"
    }

    static func faults(_ text: String) -> [TopologyFault] {
        do throws(TopologyFaults) {
            _ = try Topology.read(Array(text.utf8))
            return []
        } catch { return error.faults }
    }

    struct Planted: Sendable, CustomTestStringConvertible {
        var code: String
        var line: Int
        var from: String
        var to: String
        var testDescription: String { code + " at line \(line): " + to }
    }

    static let planted: [Planted] = [
        Planted(code: "malformed", line: 2, from: "\"tls13\"},", to: "\"tls13\";}"),
        Planted(code: "malformed", line: 1, from: "\"version\": 7", to: "\"version\": 7.5"),
        Planted(code: "malformed", line: 1, from: "\"version\": 7", to: "\"version\": 7, \"version\": 8"),
        Planted(code: "format-unknown", line: 1, from: "\"format\": 2", to: "\"format\": 3"),
        Planted(
            code: "unknown-field", line: 3, from: "\"profile\": \"tls13\"}", to: "\"profile\": \"tls13\", \"x\": 1}"),
        Planted(code: "missing-field", line: 5, from: ", \"addresses\": []", to: ""),
        Planted(code: "unknown-value", line: 3, from: "tls13", to: "tls12"),
        Planted(code: "bad-name", line: 5, from: "\"subject-77\"", to: "\"Subject 77\""),
        Planted(code: "duplicate-node", line: 6, from: "subject-78", to: "subject-77"),
        Planted(code: "duplicate-segment", line: 3, from: "oszn", to: "centre"),
        Planted(code: "unknown-segment", line: 5, from: "oszn", to: "pfr"),
        Planted(code: "one-centre", line: 5, from: "oszn", to: "centre"),
        Planted(code: "bad-subject", line: 5, from: "\"77\"", to: "\"7\""),
        Planted(code: "bad-address", line: 4, from: "10.0.0.1:7410", to: "10.0.0.1"),
        Planted(code: "bad-address", line: 4, from: "10.0.0.1:7410", to: "10.0.0.1:0"),
        Planted(code: "address-missing", line: 4, from: "\"10.0.0.1:7410\"", to: ""),
        Planted(code: "address-twice", line: 5, from: "[]", to: "[\"10.0.0.1:7410\"]"),
        Planted(code: "unknown-node", line: 7, from: "subject-77", to: "subject-79"),
        Planted(code: "line-not-allowed", line: 7, from: "\"2\"", to: "\"1\", \"2\""),
        Planted(code: "line-not-allowed", line: 7, from: "\"2\"", to: "\"2.1\""),
        Planted(code: "two-homes", line: 10, from: "\"77\", \"78\"", to: "\"77\", \"78\", \"77\""),
        Planted(code: "no-home", line: 10, from: "\"77\", \"78\"", to: "\"77\""),
        Planted(code: "unknown-tenancy", line: 9, from: "OSZN/77", to: "OSZN/99"),
        Planted(code: "wrong-organisation", line: 9, from: "\"OSZN/77\"", to: "\"MSE/77\""),
        Planted(code: "bad-name", line: 9, from: "\"OSZN\"", to: "\"ФСС\""),
        Planted(code: "unknown-organisation", line: 9, from: "\"OSZN\"", to: "\"SFR\""),
        Planted(code: "bad-date", line: 9, from: "2022-01-01", to: "2022-02-30"),
        Planted(code: "bad-date", line: 9, from: "2022-01-01\"", to: "2022-01-01\", \"to\": \"2022-01-01\""),
        Planted(code: "home-gap", line: 9, from: "2022-01-01\"", to: "2022-01-01\", \"to\": \"2023-01-01\""),
        Planted(code: "home-gap", line: 9, from: "2022", to: "2099"),
        Planted(
            code: "home-gap", line: 9, from: "2022-01-01\"}",
            to: "2022-01-01\", \"to\": \"2023-01-01\"}, " + home(from: "2023-01-02")),
        Planted(
            code: "two-homes", line: 9, from: "2022-01-01\"}",
            to: "2022-01-01\", \"to\": \"2023-01-01\"}, " + home(from: "2022-12-31")),
        Planted(code: "home-not-allowed", line: 10, from: "MSE/77", to: "MSE/centre"),
        Planted(code: "nothing-named", line: 9, from: "\"77\", \"78\"", to: ""),
        Planted(code: "line-missing", line: 8, from: "\"2\", \"2.1\"", to: "\"1\""),
        Planted(code: "line-missing", line: 8, from: "\"2\", \"2.1\"", to: "\"2.1\""),
        Planted(code: "line-missing", line: 8, from: "\"2\", \"2.1\"", to: "\"2\""),
        Planted(code: "tenancy-at-centre", line: 7, from: "subject-77", to: "centre"),
        Planted(code: "two-special", line: 11, from: "\"all\"", to: "[\"77\", \"77\"]"),
        Planted(code: "two-special", line: 11, from: " ]", to: ", " + special("\"all\"") + " ]"),
        Planted(code: "two-special", line: 11, from: " ]", to: ", " + special("[\"78\"]") + " ]"),
        Planted(code: "subject-twice", line: 6, from: "\"78\"", to: "\"77\""),
        Planted(code: "node-retired", line: 5, from: "live", to: "retired"),
        Planted(code: "link-to-itself", line: 12, from: "\"listens\": \"centre\"", to: "\"listens\": \"subject-77\""),
        Planted(code: "unknown-node", line: 13, from: "\"listens\": \"centre\"", to: "\"listens\": \"nobody\""),
        Planted(code: "link-twice", line: 13, from: "subject-78", to: "subject-77"),
        Planted(code: "no-route", line: 5, from: "", to: ""),
        Planted(code: "format-old", line: 1, from: "\"format\": 2", to: "\"format\": 1"),
        Planted(code: "unknown-segment", line: 14, from: "\"to\": [\"oszn\"]", to: "\"to\": [\"oszn\", \"gamma\"]"),
        Planted(code: "unknown-value", line: 14, from: "\"entry\"", to: "\"entries\""),
        Planted(code: "unknown-value", line: 14, from: "\"entry\"", to: "\"receipt\""),
        Planted(code: "right-twice", line: 14, from: "\"entry\"", to: "\"entry\", \"status\""),
        Planted(code: "nothing-named", line: 15, from: "[\"oszn\"]", to: "[]"),
        Planted(code: "home-without-rights", line: 7, from: "", to: ""),
        Planted(code: "wrong-type", line: 7, from: "240", to: "\"240\""),
    ]

    @Test("A planted fault is found in its line, and nothing else is", arguments: planted)
    func finds(_ fault: Planted) {
        var lines = TopologyTests.good
        if fault.code == "no-route" {
            lines[11] = "\"links\": ["
        } else if fault.code == "home-without-rights" {
            lines[14] = lines[14].replacing("\"answer\", ", with: "")
        } else {
            #expect(lines[fault.line - 1].contains(fault.from))
            lines[fault.line - 1] = lines[fault.line - 1].replacing(fault.from, with: fault.to)
        }
        let found = TopologyTests.faults(lines.joined(separator: "\n"))
        #expect(found.map { "\($0.code) \($0.line)" } == ["\(fault.code) \(fault.line)"], "\(found)")
        #expect(found.allSatisfy { !$0.remedy.isEmpty })
    }

    @Test("More entries than a federation has are one fault, before anything is worked out for every pair of them")
    func many() {
        for (list, name) in [("nodes", "node"), ("segments", "segment")] {
            let most = TopologyDraft.most[list] ?? 0
            let entries = (0...most).map { number in
                list == "segments"
                    ? #"{"id": "s-\#(number)", "profile": "tls13"}"#
                    : #"{"id": "n-\#(number)", "segment": "centre", "state": "planned", "addresses": []}"#
            }
            var lines = TopologyTests.good
            let place = lines.firstIndex { $0.hasPrefix("\"\(list)\"") } ?? 0
            let end = lines[place...].firstIndex { $0.contains("]") && $0.hasSuffix("],") } ?? place
            lines.replaceSubrange(place...end, with: ["\"\(list)\": [\(entries.joined(separator: ", "))],"])
            let found = TopologyTests.faults(lines.joined(separator: "\n"))
            #expect(found.map(\.code) == ["too-many-entries"], "\(name): \(found.prefix(3))")
        }
    }

    @Test("Ten faults are ten lines, each with its line number")
    func ten() {
        var lines = TopologyTests.good
        #expect(TopologyTests.faults(lines.joined(separator: "\n")).isEmpty)
        lines[0] = lines[0].replacing("ekc.test", with: "EKC")
        lines[1] = lines[1].replacing("\"tls13\"", with: "\"plain\"")
        lines[2] = lines[2].replacing("}", with: ", \"colour\": 1}")
        lines[3] = lines[3].replacing(":7410", with: "")
        lines[4] = lines[4].replacing("\"77\"", with: "\"7x\"")
        lines[5] = lines[5].replacing("\"planned\"", with: "\"soon\"")
        lines[6] = lines[6].replacing("240", with: "0")
        lines[7] = lines[7].replacing("true", with: "1")
        lines[8] = lines[8].replacing("2022-01-01", with: "yesterday")
        lines[12] = lines[12].replacing("\"centre\"", with: "\"Centre!\"")
        let found = TopologyTests.faults(lines.joined(separator: "\n"))
        #expect(found.map(\.line) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 13], "\(found)")
        #expect(
            found.map(\.code) == [
                "bad-name", "unknown-value", "unknown-field", "bad-address", "bad-subject", "unknown-value",
                "wrong-type",
                "wrong-type", "bad-date", "bad-name",
            ])
    }

    @Test("Faults across entries stand beside faults within entries, each told once")
    func mixed() {
        var lines = TopologyTests.good
        lines[3] = lines[3].replacing("{\"id\": \"centre\"", with: "{\"Id\": \"centre\"")
        lines[5] = lines[5].replacing("\"oszn\"", with: "\"pfr\"")
        lines[6] = lines[6].replacing("\"subject-77\"", with: "\"nobody\"")
        lines[7] = lines[7].replacing("480", with: "0").replacing("\"dueMinutes\"", with: "\"due\"")
        lines[8] = lines[8].replacing("OSZN/77", with: "OSZN/99")
        lines[9] = lines[9].replacing("2022-01-01\"", with: "2022-01-01\", \"to\": \"2023-01-01\"")
        lines[10] = lines[10].replacing(" ]", with: ", " + TopologyTests.special("[\"78\"]") + " ]")
        lines[11] = lines[11].replacing("\"listens\": \"centre\"", with: "\"listens\": \"none\"")
        let found = TopologyTests.faults(lines.joined(separator: "\n"))
        #expect(
            found.map { "\($0.code) \($0.line)" } == [
                "unknown-field 4", "unknown-segment 6", "unknown-node 7", "unknown-field 8", "unknown-tenancy 9",
                "home-gap 10", "two-special 11", "unknown-node 12",
            ], "\(found)")
    }

    /// The demo's lines, and what becomes of them when one is changed.
    static func demo(_ change: (inout [String]) -> Void) throws -> [TopologyFault] {
        var lines = String(decoding: try sample(), as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false
        ).map(String.init)
        change(&lines)
        return faults(lines.joined(separator: "\n"))
    }

    /// The lines of the demo that are an entry each.
    static let entries = [4...8, 11...16, 19...27, 30...37, 40...42, 45...47, 50...54].flatMap { Array($0) }

    @Test(
        "An entry of the demo that is taken out is one fault at most; one that stands twice is one", arguments: entries)
    func entry(_ line: Int) throws {
        let without = try TopologyTests.demo { $0.remove(at: line - 1) }
        #expect(without.count <= 1, "\(without)")
        let twice = try TopologyTests.demo { $0.insert($0[line - 1], at: line) }
        #expect(twice.map(\.line) == [line + 1], "\(twice)")
    }

    @Test(
        "A text of the demo that is spoilt is one fault at most; a field's name that is spoilt is one",
        arguments: entries)
    func spoilt(_ line: Int) throws {
        var text = ""
        _ = try TopologyTests.demo { text = $0[line - 1] }
        for match in text.matches(of: /"[^"]*"/) {
            let isName = text[match.range.upperBound...].hasPrefix(":")
            for spoilt in ["\"x" + match.output.dropFirst(), match.output.dropLast() + "?\"", "\"\(line)\"", "7"] {
                guard !isName || spoilt != "7" else { continue }
                let found = try TopologyTests.demo { $0[line - 1] = text.replacingCharacters(match.range, spoilt) }
                #expect(found.count <= 1, "\(spoilt): \(found)")
                if isName { #expect(found.map(\.line) == [line], "\(spoilt): \(found)") }
            }
        }
    }

    @Test("A name that is nowhere is one fault, which names every place")
    func places() throws {
        let found = try TopologyTests.demo { $0[11] = $0[11].replacing("subject-77", with: "subject-7") }
        #expect(found.map { "\($0.code) \($0.line)" } == ["unknown-node 19"], "\(found)")
        #expect(found.first?.message.contains("see also line 21, 23, 50") ?? false, "\(found)")
        #expect(found.first?.remedy.contains("\"subject-7\"") ?? false, "\(found)")
    }

    @Test("Where most begin later, the earliest day is the fault")
    func beginnings() throws {
        let found = try TopologyTests.demo { $0[31] = $0[31].replacing("2022", with: "2002") }
        #expect(found.map { "\($0.code) \($0.line)" } == ["home-gap 32"], "\(found)")
    }

    @Test("What the centre tells homes, and what homes pass on to each other, needs a right")
    func passing() throws {
        func faults(_ changes: [(String, String)]) throws -> [String] {
            var text = String(decoding: try TopologyTests.file("demo.json"), as: UTF8.self)
            for (from, to) in changes {
                #expect(text.contains(from), "\(from)")
                text = text.replacing(from, with: to)
            }
            return TopologyTests.faults(text).map { "\($0.code): \($0.message)" }
        }
        let status = try faults([(#"["escalation", "status", "entry", "probe"]"#, #"["escalation", "entry", "probe"]"#)]
        )
        #expect(status.count == 1 && status[0].contains("status from centre to oszn"), "\(status)")
        // Line 2 of MSE hands over to line 2.1.
        let passed = #"{"from": ["oszn", "mse"], "to": ["oszn"], "kinds": ["escalation", "probe"]}"#
        let mse = try faults([(passed, passed.replacing(#", "mse""#, with: ""))])
        #expect(mse.count == 1 && mse[0].contains(": escalation from mse to oszn"), "\(mse)")
        // Nothing moves between homes of the demo, until something does.
        let still = (passed, passed.replacing(#""oszn", "mse""#, with: #""mse""#))
        #expect(try faults([still]).isEmpty)
        let home = #"{"organisation": "PFR", "subjects": ["50"], "tenancy": "PFR/77", "from": "2022-01-01""#
        let next = home.replacing("PFR/77", with: "PFR/78").replacing("2022", with: "2027") + "}"
        let move = (home + "}", home + #", "to": "2027-01-01"}, "# + next)
        let moved = try faults([still, move])
        #expect(moved.count == 1 && moved[0].contains(": escalation from oszn to oszn"), "\(moved)")
        #expect(try faults([move]).isEmpty)
    }

    @Test("Homes may follow each other, \"all\" is the rest, and a home that ends may be at a retired node")
    func allowed() throws {
        var lines = TopologyTests.good
        lines[8] = lines[8].replacing(
            "2022-01-01\"}", with: "2022-01-01\", \"to\": \"2023-01-01\"}, " + TopologyTests.home(from: "2023-01-01"))
        lines[10] = lines[10].replacing("[ ", with: "[ " + TopologyTests.special("[\"78\"]") + ", ")
        lines[14] = lines[14].replacing(
            " ] }", with: ", {\"from\": [\"oszn\"], \"to\": [\"oszn\"], \"kinds\": [\"escalation\"]} ] }")
        #expect(TopologyTests.faults(lines.joined(separator: "\n")).isEmpty)
        lines[5] = lines[5].replacing("planned", with: "retired")
        lines[6] += "{\"id\": \"OSZN/78\", \"organisation\": \"OSZN\", \"node\": \"subject-78\", \"lines\": [\"2\"], "
        lines[6] += "\"open\": true, \"dueMinutes\": 240},"
        let first = try #require(lines[8].firstRange(of: "\"tenancy\": \"OSZN/77\""))
        lines[8].replaceSubrange(first, with: "\"tenancy\": \"OSZN/78\"")
        #expect(TopologyTests.faults(lines.joined(separator: "\n")).isEmpty)
    }

    @Test("A home of line 2.1 alone takes no SPECIAL")
    func bare() throws {
        let found = try TopologyTests.demo { $0.remove(at: 40) }
        #expect(found.map { "\($0.code) \($0.line)" } == ["line-missing 34"], "\(found)")
    }

    @Test("What guides edit with jq is JSON as it stands", arguments: ["demo.json", "two-nodes.json"])
    func strict(file: String) throws {
        #expect(throws: Never.self) {
            try JSONText.read(try TopologyTests.file(file), lenient: false, maximum: 1 << 20)
        }
    }

    @Test("The files that are kept here are good", arguments: ["demo.json", "federation.json", "two-nodes.json"])
    func kept(_ name: String) throws {
        let faults = TopologyTests.faults(String(decoding: try TopologyTests.file(name), as: UTF8.self))
        #expect(faults.isEmpty, "\(faults)")
    }

    @Test("A file cut short at any byte, or with random bytes changed, never traps")
    func damaged() throws {
        let bytes = Array(try TopologyTests.file("demo.json").prefix(3000))
        for count in 0..<bytes.count { _ = try? Topology.read(Array(bytes[..<count])) }
        let whole = try TopologyTests.file("demo.json")
        var random = SeededRandom(seed: 3)
        for _ in 0..<1000 {
            var changed = whole
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? Topology.read(changed)
        }
    }

    @Test("A way is the concatenation of next hops, the same at every node")
    func ways() throws {
        let topology = try Topology.read(try TopologyTests.file("demo.json"))
        let centre = try #require(topology.centre)
        for node in topology.nodes where node.id != centre {
            #expect(topology.nextHop(from: node.id, to: centre) == centre)
            #expect(topology.nextHop(from: centre, to: node.id) == node.id)
        }
        let one = try #require(NodeID("subject-77"))
        let other = try #require(NodeID("cc-fss"))
        #expect(topology.nextHop(from: one, to: other) == centre)
        #expect(topology.nextHop(from: one, to: one) == nil)
    }

    @Test("A way leads over live nodes only; an end may be any")
    func relays() throws {
        let nodes = try ["a", "b", "c", "s"].map { try #require(NodeID($0)) }
        let (a, b, c, s) = (nodes[0], nodes[1], nodes[2], nodes[3])
        let links = [(s, a), (s, b), (a, c), (b, c)].map { Topology.Link(dials: $0, listens: $1) }
        #expect(Ways(nodes, links, relays: [a, b, c, s]).nextHop(from: s, to: c) == a)
        let without = Ways(nodes, links, relays: [b, c, s])
        #expect(without.nextHop(from: s, to: c) == b && without.nextHop(from: c, to: s) == b)
        #expect(without.nextHop(from: s, to: a) == a && without.nextHop(from: a, to: c) == c)
        #expect(Ways(nodes, links, relays: []).nextHop(from: s, to: c) == nil)
    }

    @Test(
        "The strict reader refuses what two readers could read differently",
        arguments: [
            "{\"a\":1,\"a\":2}", "[1.0]", "[1e3]", "[9007199254740993]", "[\"\\ud800\"]", "[\"\\ud800\\u0041\"]",
            "{\"a\":1,}",
            "[1,]", "[01]", "[-]", "nul", "\"\u{1}\"", "[1] x", "", "// a comment\n1",
            String(repeating: "[", count: 40),
        ])
    func strict(_ text: String) {
        #expect(throws: JSONText.Fault.self) { try JSONText.read(Array(text.utf8), lenient: false, maximum: 1000) }
    }

    @Test("Invalid UTF-8 is refused, and surrogate pairs are one character")
    func unicode() throws {
        #expect(throws: JSONText.Fault.self) { try JSONText.read([0x22, 0xFF, 0x22], lenient: true, maximum: 10) }
        let node = try JSONText.read(Array("\"\\ud83d\\ude00\"".utf8), lenient: false, maximum: 100)
        guard case .string("😀") = node.value else {
            Issue.record("\(node)")
            return
        }
    }
}

extension StringProtocol {
    fileprivate func replacingCharacters(_ range: Range<Index>, _ other: some StringProtocol) -> String {
        String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
    }
}
