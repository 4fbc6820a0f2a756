/// Reads the fields of one object of a topology file and collects what is wrong with them.
package struct EntryReader {
    let offset: Int
    /// Where each field's value stands.
    private(set) var places: [String: Int] = [:]
    private var values: [String: JSONText.Value] = [:]
    private var faults: [TopologyDraft.Fault] = []

    init(_ node: JSONText.Node, _ kind: String) {
        offset = node.offset
        guard case .object(let members) = node.value else {
            fault(at: node.offset, "wrong-type", "an object was expected", "write { … }")
            return
        }
        let known = TopologyDraft.fields[kind] ?? []
        for member in members {
            if known.contains(member.name) || known.contains(member.name + "?") {
                places[member.name] = member.node.offset
                values[member.name] = member.node.value
            } else {
                fault(
                    at: member.offset, "unknown-field", "\"\(member.name)\" is no field of \(kind)",
                    "use \(known.map { $0.replacingSuffix("?", "") }.joined(separator: ", "))")
            }
        }
        for name in known where !name.hasSuffix("?") && values[name] == nil {
            fault(at: node.offset, "missing-field", "\"\(name)\" is missing", "add it")
        }
    }

    mutating func finish() -> [TopologyDraft.Fault] {
        defer { faults = [] }
        return faults
    }

    mutating func fault(at offset: Int, _ code: String, _ message: String, _ remedy: String) {
        faults.append(TopologyDraft.Fault(offset: offset, code: code, message: message, remedy: remedy))
    }

    mutating func fault(_ field: String, _ code: String, _ message: String, _ remedy: String) {
        fault(at: places[field] ?? offset, code, message, remedy)
    }

    func isText(_ name: String, _ text: String) -> Bool {
        if case .string(text) = values[name] { true } else { false }
    }

    mutating func text(_ name: String, oneOf allowed: [String]? = nil) -> String? {
        guard let value = values[name] else { return nil }
        guard case .string(let text) = value else {
            fault(name, "wrong-type", "\"\(name)\" is not a text", "write it in quotes")
            return nil
        }
        if let allowed, !allowed.contains(text) {
            fault(name, "unknown-value", "\"\(text)\" is no \(name)", "use \(allowed.joined(separator: ", "))")
            return nil
        }
        return text
    }

    mutating func optionalText(_ name: String) -> String? { text(name) }

    mutating func nodeID(_ name: String) -> NodeID? {
        guard let text = text(name) else { return nil }
        guard let id = NodeID(text) else {
            fault(name, "bad-name", "\"\(text)\" is no node name", "use [a-z0-9-]{1,32}")
            return nil
        }
        return id
    }

    mutating func integer(_ name: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let value = values[name] else { return nil }
        guard case .integer(let number) = value, range.contains(number) else {
            fault(
                name, "wrong-type", "\"\(name)\" is not a number of the range",
                "use \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    mutating func bool(_ name: String) -> Bool? {
        guard let value = values[name] else { return nil }
        guard case .bool(let flag) = value else {
            fault(name, "wrong-type", "\"\(name)\" is neither true nor false", "use true or false")
            return nil
        }
        return flag
    }

    mutating func list(_ name: String) -> [JSONText.Node]? {
        guard let value = values[name] else { return nil }
        guard case .array(let nodes) = value else {
            fault(name, "wrong-type", "\"\(name)\" is not a list", "write [ … ]")
            return nil
        }
        return nodes
    }

    mutating func texts(_ name: String, oneOf allowed: [String]? = nil) -> [String]? {
        guard let nodes = list(name) else { return nil }
        var texts: [String] = []
        for node in nodes {
            if case .string(let text) = node.value, allowed?.contains(text) ?? true {
                texts.append(text)
            } else {
                fault(
                    at: node.offset, "unknown-value", "not a value of \(name)",
                    "use \(allowed?.joined(separator: ", ") ?? "texts")")
            }
        }
        return texts
    }

    mutating func subjects(_ name: String) -> [String]? {
        guard let texts = texts(name) else { return nil }
        for text in texts where !TopologyDraft.isSubject(text) {
            fault(name, "bad-subject", "\"\(text)\" is no subject code", "use two digits as text")
        }
        return texts
    }

    mutating func date(_ name: String) -> String? {
        guard let text = text(name) else { return nil }
        guard EntryReader.isDate(text) else {
            fault(name, "bad-date", "\"\(text)\" is no date", "use YYYY-MM-DD")
            return nil
        }
        return text
    }

    mutating func optionalDate(_ name: String) -> String? { values[name] == nil ? nil : date(name) }

    package static func isDate(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [4, 2, 2], let year = Int(parts[0]), let month = Int(parts[1]),
            let day = Int(parts[2]), text.utf8.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) }),
            (1...12).contains(month), year > 0
        else { return false }
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return (1...days[month - 1]).contains(day)
    }
}

extension String {
    fileprivate func replacingSuffix(_ suffix: String, _ other: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) + other : self
    }
}
