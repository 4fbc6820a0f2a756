import FederationTestKit
import Testing

@testable import Federation

/// `topology/schema.json` against the reader, in both directions: the fields as sets, the values by mutation, where a
/// foreign validator speaks for the schema. What stands across entries is for the reader alone, and is not compared.
@Suite("The schema of topology files")
struct TopologySchemaTests {
    private static let path = ArchitectureTests.root + "/topology/schema.json"

    private static func member(_ name: String, _ node: JSONText.Node) -> JSONText.Node? {
        guard case .object(let members) = node.value else { return nil }
        return members.first { $0.name == name }?.node
    }

    private static func at(_ place: String...) throws -> JSONText.Node {
        let schema = try JSONText.read(try TopologyTests.file("schema.json"), lenient: false, maximum: 1 << 20)
        return try place.reduce(schema) { node, name in try #require(member(name, node), "\(place)") }
    }

    private static func texts(_ node: JSONText.Node) throws -> [String] {
        guard case .array(let items) = node.value else { return [] }
        return items.compactMap { if case .string(let text) = $0.value { text } else { nil } }
    }

    @Test("It has the fields that the reader knows, with the same that may be absent, and no others are allowed")
    func fields() throws {
        func fields(_ node: JSONText.Node) throws -> Set<String> {
            guard case .object(let members) = try #require(Self.member("properties", node)).value else { return [] }
            guard case .bool(false) = try #require(Self.member("additionalProperties", node)).value else { return [] }
            let needed = try Self.texts(try #require(Self.member("required", node)))
            return Set(members.map { needed.contains($0.name) ? $0.name : $0.name + "?" })
        }
        for (kind, known) in TopologyDraft.fields {
            let entry = kind == "topology" ? try Self.at() : try Self.at("properties", kind, "items")
            #expect(try fields(entry) == Set(known), "\(kind)")
        }
    }

    @Test("It has as many entries of each list as the reader takes")
    func most() throws {
        for (list, most) in TopologyDraft.most {
            guard case .integer(let number) = try Self.at("properties", list, "maxItems").value else {
                throw FederationError("no-number", list, remedy: "")
            }
            #expect(number == Int64(most), "\(list)")
        }
    }

    @Test("It has the words that the reader knows")
    func words() throws {
        let kinds = try Self.at("properties", "rights", "items", "properties", "kinds", "items", "enum")
        #expect(
            try Set(Self.texts(kinds)) == Set(MessageKind.named.filter { !$0.isExchangeOwn }.map(\.description)))
        let nodes = ["properties", "nodes", "items", "properties", "state", "enum"]
        let found = try nodes.reduce(Self.at()) { try #require(Self.member($1, $0)) }
        #expect(try Self.texts(found) == Topology.NodeState.allCases.map(\.rawValue))
        let profiles = try Self.at("properties", "segments", "items", "properties", "profile", "enum")
        #expect(try Self.texts(profiles) == TopologyDraft.profiles)
        let lines = try Self.at("properties", "tenancies", "items", "properties", "lines", "items", "enum")
        #expect(try Self.texts(lines) == TopologyDraft.lines)
    }

    // MARK: Values

    private static let files = ["demo.json", "federation.json", "two-nodes.json"]

    /// A file without its comments and trailing commas.
    private static func plain(_ bytes: [UInt8]) throws -> JSONText.Value {
        try JSONText.read(bytes, lenient: true, maximum: 1 << 20).value
    }

    @Test("Every file that is kept here fits it")
    func samples() throws {
        let cases = try Self.files.map { file in
            ForeignValidator.Case(value: try Self.plain(try TopologyTests.file(file)).text)
        }
        #expect(try ForeignValidator.faults(cases, in: Self.path) == Self.files.map { _ in "[]" })
    }

    /// What the reader says of one entry or one value by itself.
    private static let structural: Set = [
        "malformed", "wrong-type", "unknown-field", "missing-field", "unknown-value", "bad-name", "bad-subject",
        "bad-address", "bad-date", "successor-without-end", "nothing-named", "format-unknown", "format-old",
        "line-not-allowed",
    ]

    private static func isRefused(_ text: String) -> Bool {
        TopologyTests.faults(text).contains { fault in
            // Two fields against each other.
            structural.contains(fault.code) && !fault.message.contains("before it begins")
        }
    }

    @Test("What it refuses the reader refuses, and the other way round")
    func mutations() throws {
        let own = Array(TopologyTests.good.joined(separator: "\n").utf8)
        let bases = try ([own] + ["two-nodes.json", "demo.json"].map(TopologyTests.file)).map(Self.plain)
        var random = SeededRandom(seed: 31)
        let texts = (0..<1600).map { number in
            // The demo's file is long: one in eight.
            var value = bases[number % 8 == 7 ? 2 : number % 2]
            for _ in 0...(number % 4 / 3) { value = TopologyMutation.mutated(value, &random) }
            return value.text
        }
        let said = try ForeignValidator.faults(texts.map { ForeignValidator.Case(value: $0) }, in: Self.path)
        var refused = 0
        for (text, said) in zip(texts, said) {
            #expect(
                Self.isRefused(text) == (said != "[]"),
                "schema: \(said); reader: \(TopologyTests.faults(text)); \(text.prefix(3000))")
            refused += said == "[]" ? 0 : 1
        }
        // Neither says the same to everything.
        #expect((600..<1450).contains(refused), "\(refused)")
    }

    @Test(
        "Addresses, names and days at their limits",
        arguments: [
            (
                "addresses",
                [
                    "10.0.0.1:7410", "a:1", "127.0.0.1:0", "[::1]:7410", "[fe80::1.2.3.4]:65535", "a_b.c-d:9999",
                    String(repeating: "a", count: 253) + ":1",
                ],
                [
                    "a:0", "10.0.0.1:0", "a:65536", "a:+7410", "a:07410", "a:", ":1", "a", "[]:1", "[::1]", "::1:7410",
                    "[a]b:1", "a b:1", "a/b:1", "[::1:1", "ю:1", String(repeating: "a", count: 254) + ":1",
                ]
            ),
            (
                "id", ["a", "-", "0", String(repeating: "z", count: 32)],
                ["", "A", "a.b", "a_b", "all-nodes", "ю", String(repeating: "z", count: 33)]
            ),
            (
                "from", ["2022-01-01", "2024-02-29", "0001-12-31", "9999-12-31"],
                [
                    "2023-02-29", "2022-13-01", "2022-00-10", "2022-1-01", "0000-01-01", "20220101", "2022-W01-1",
                    "2022-01-01T00:00:00Z", "",
                ]
            ),
            ("subject", ["00", "77", "99"], ["7", "777", "٧٧", "7a", ""]),
        ] as [(String, [String], [String])])
    func limits(field: String, good: [String], bad: [String]) throws {
        let texts = (good + bad).map { text in
            let quoted = JSONText.Value.string(text).text
            var lines = TopologyTests.good
            switch field {
            case "addresses": lines[3] = lines[3].replacing("\"10.0.0.1:7410\"", with: quoted)
            case "id": lines[5] = lines[5].replacing("\"subject-78\"", with: quoted)
            case "subject": lines[5] = lines[5].replacing("\"78\"", with: quoted)
            default: lines[8] = lines[8].replacing("\"2022-01-01\"", with: quoted)
            }
            return lines.joined(separator: "\n")
        }
        let said = try ForeignValidator.faults(texts.map { ForeignValidator.Case(value: $0) }, in: Self.path)
        for (index, text) in texts.enumerated() {
            let isBad = index >= good.count
            #expect(
                Self.isRefused(text) == isBad && (said[index] != "[]") == isBad,
                "\((good + bad)[index]): \(said[index])")
        }
    }
}
