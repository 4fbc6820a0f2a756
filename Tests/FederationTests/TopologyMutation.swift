import FederationTestKit

@testable import Federation

/// Changes of a topology as somebody's hand, or another program, might make them.
enum TopologyMutation {
    /// Values at the edges of what some field may be.
    private static let edges: [JSONText.Value] = [
        .null, .bool(true), .bool(false), .integer(0), .integer(1), .integer(-1), .integer(100_000), .integer(100_001),
        .integer(1 << 53), .array([]), .object([]), .string(""),
    ]

    private static let texts = [
        "a", "1", "2", "2.1", "3", "77", "7", "777", "all", "all-nodes", "tls13", "gost", "live", "retired", "LIVE",
        "OSZN", "MSE", "PFR", "oszn", "OSZN/", "/77", "OSZN/77", "OSZN/7/7", "MSE/77", "PFR/x", "FSS/centre", "ФСС/77",
        "2022-01-01", "2022-02-30", "2022-2-3", "20220101", "0000-01-01", "2024-02-29", "127.0.0.1:0", "10.0.0.1:0",
        "[::1]:7410", "a:65536", "a:+80", "a:080", "[]:1", "a b:1", "ekc..test", "EKC.test", "a.b", "Ключ", " ",
        String(repeating: "n", count: 32), String(repeating: "n", count: 33),
        String(repeating: "abcdefgh.", count: 14) + "ab", String(repeating: "abcdefgh.", count: 14) + "abc",
    ]

    private static let names = [
        "id", "Id", "segment", "subject", "seat", "name", "state", "addresses", "assumed", "profile", "comment",
        "lines",
        "open", "dueMinutes", "fallback", "from", "to", "tenancy", "organisation", "subjects", "dials", "listens", "x",
    ]

    private static func any(_ random: inout SeededRandom) -> JSONText.Value {
        if Bool.random(using: &random) { return edges.randomElement(using: &random) ?? .null }
        return .string(texts.randomElement(using: &random) ?? "")
    }

    /// One change somewhere in it.
    static func mutated(_ value: JSONText.Value, _ random: inout SeededRandom) -> JSONText.Value {
        switch value {
        case .object(var members) where !members.isEmpty && Int.random(in: 0..<5, using: &random) > 0:
            let index = Int.random(in: 0..<members.count, using: &random)
            members[index].node.value = mutated(members[index].node.value, &random)
            return .object(members)
        case .array(var nodes) where !nodes.isEmpty && Int.random(in: 0..<8, using: &random) > 0:
            let index = Int.random(in: 0..<nodes.count, using: &random)
            nodes[index].value = mutated(nodes[index].value, &random)
            return .array(nodes)
        case .object(let members): return .object(changed(members, &random))
        case .array(let nodes): return .array(changed(nodes, &random))
        case .string(let text) where Bool.random(using: &random): return .string(changed(text, &random))
        default: return any(&random)
        }
    }

    private static func changed(_ members: [JSONText.Member], _ random: inout SeededRandom) -> [JSONText.Member] {
        var members = members
        if !members.isEmpty, Bool.random(using: &random) {
            members.remove(at: Int.random(in: 0..<members.count, using: &random))
        } else if let name = names.randomElement(using: &random), !members.contains(where: { $0.name == name }) {
            let node = JSONText.Node(value: any(&random), offset: 0)
            members.append(JSONText.Member(name: name, offset: 0, node: node))
        }
        return members
    }

    private static func changed(_ nodes: [JSONText.Node], _ random: inout SeededRandom) -> [JSONText.Node] {
        var nodes = nodes
        switch Int.random(in: 0..<4, using: &random) {
        case 0: nodes = []
        case 1: nodes.append(JSONText.Node(value: any(&random), offset: 0))
        case 2: nodes += nodes.prefix(1)
        default: nodes = Array(nodes.dropLast())
        }
        return nodes
    }

    private static func changed(_ text: String, _ random: inout SeededRandom) -> String {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: text + (["x", "-", ".", "/", "0", "Z", " ", "ю"].randomElement(using: &random) ?? "")
        case 1: String(text.dropLast())
        case 2: text.uppercased()
        default: String(text.dropFirst())
        }
    }
}

extension JSONText.Value {
    /// As JSON.
    var text: String {
        switch self {
        case .null: "null"
        case .bool(let flag): flag ? "true" : "false"
        case .integer(let number): "\(number)"
        case .string(let text): Self.quoted(text)
        case .array(let nodes): "[" + nodes.map(\.value.text).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { Self.quoted($0.name) + ": " + $0.node.value.text }.joined(separator: ", ") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar -> String in
            switch scalar {
            case "\"", "\\": "\\" + String(scalar)
            case "\u{0}"..<" ": "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: String(scalar)
            }
        }
        return "\"" + escaped.joined() + "\""
    }
}
