/// Reads the fields of one object of a topology file and collects what is wrong with them.
package struct EntryReader {
    let offset: Int
    /// Where each field's value stands.
    private(set) var places: [String: Int] = [:]
    private var values: [String: JSONText.Value] = [:]
    private var faults: [TopologyDraft.Fault] = []
    /// Those that take part.
    var organisations: [String] = []
    /// The fields that have a fault of their own: nothing is to be built on them.
    private(set) var faulty: Set<String> = []

    init(_ node: JSONText.Node, _ kind: String) {
        offset = node.offset
        guard case .object(let members) = node.value else {
            fault(at: node.offset, "wrong-type", "an object was expected", "write { … }")
            return
        }
        let fields = TopologyDraft.fields[kind] ?? []
        let names = fields.map { $0.hasSuffix("?") ? String($0.dropLast()) : $0 }
        for member in members where names.contains(member.name) { take(member, as: member.name) }
        let strangers = members.filter { !names.contains($0.name) }
        for member in strangers { takeStranger(member, kind, names, isOnly: strangers.count == 1) }
        for name in fields where !name.hasSuffix("?") && values[name] == nil && !faulty.contains(name) {
            fault(name, "missing-field", "\"\(name)\" is missing", "add it")
        }
    }

    private mutating func take(_ member: JSONText.Member, as name: String) {
        places[name] = member.node.offset
        values[name] = member.node.value
    }

    /// A misspelt field is read as the one that was meant, and so is the only stranger where one field is missing: that
    /// is one fault. Any other may stand for each field that may be absent and is.
    private mutating func takeStranger(_ member: JSONText.Member, _ kind: String, _ names: [String], isOnly: Bool) {
        let absent = names.filter { values[$0] == nil }
        let missing = absent.filter { TopologyDraft.fields[kind]?.contains($0) ?? false }
        let meant =
            Spelling.meant(by: member.name, among: absent)
            ?? (isOnly && missing.count == 1 ? missing[0] : nil)
        let remedy = meant.map { "write \"\($0)\"" } ?? "use \(names.joined(separator: ", "))"
        fault(at: member.offset, "unknown-field", "\"\(member.name)\" is no field of \(kind)", remedy)
        if let meant {
            take(member, as: meant)
        } else {
            faulty.formUnion(absent.filter { !missing.contains($0) })
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
        faulty.insert(field)
        fault(at: places[field] ?? offset, code, message, remedy)
    }

    /// What stands as the entry's name, be it good or bad.
    var name: String? {
        if case .string(let text) = values["id"] { text } else { nil }
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

    /// What is for people and means nothing to the software: of the right kind all the same, as `schema.json` says.
    mutating func remarks(texts: [String] = []) {
        for name in texts { _ = text(name) }
        _ = bool("assumed")
    }

    mutating func subject(_ name: String) -> String? {
        let subject = text(name)
        if let subject, !Topology.isSubject(subject) {
            fault(name, "bad-subject", "\"\(subject)\" is no subject code", "use two digits as text")
        }
        return subject
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

    /// - Returns: nil when one of them is wrong: what is left says nothing of the whole.
    private mutating func texts(
        _ name: String, where holds: (String) -> Bool, _ code: String, _ message: String, _ remedy: String
    ) -> [String]? {
        guard let nodes = list(name) else { return nil }
        var texts: [String] = []
        for node in nodes {
            if case .string(let text) = node.value, holds(text) {
                texts.append(text)
            } else {
                faulty.insert(name)
                fault(at: node.offset, code, message, remedy)
            }
        }
        if nodes.isEmpty {
            fault(name, "nothing-named", "\"\(name)\" is empty", "name at least one")
        }
        return faulty.contains(name) ? nil : texts
    }

    mutating func lines() -> [String]? {
        texts(
            "lines", where: TopologyDraft.lines.contains, "unknown-value", "not a line", "use \"1\", \"2\" or \"2.1\"")
    }

    mutating func subjects() -> [String]? {
        texts(
            "subjects", where: Topology.isSubject, "bad-subject", "not a subject code", "use two digits as text")
    }

    /// Segments, by their names.
    mutating func names(_ name: String) -> [String]? {
        texts(name, where: { NodeID($0) != nil }, "bad-name", "no segment name", "use [a-z0-9-]{1,32}")
    }

    /// Kinds of messages.
    mutating func kinds(_ name: String) -> [String]? {
        let allowed = MessageKind.named.filter { !$0.isExchangeOwn }.map(\.description)
        return texts(
            name, where: allowed.contains, "unknown-value", "no kind of message that a right can name",
            "use \(allowed.joined(separator: ", "))")
    }

    mutating func addresses() -> [Topology.Address]? {
        guard let nodes = list("addresses") else { return nil }
        var addresses: [Topology.Address] = []
        for node in nodes {
            if case .string(let text) = node.value, let address = Topology.Address(text) {
                addresses.append(address)
            } else {
                faulty.insert("addresses")
                fault(
                    at: node.offset, "bad-address", "not host:port", "use a host or an IP address, a colon and a port")
            }
        }
        return faulty.contains("addresses") ? nil : addresses
    }

    mutating func organisation() -> String? {
        guard let text = text("organisation") else { return nil }
        guard Topology.isOrganisation(text) else {
            fault("organisation", "bad-name", "\"\(text)\" is no organisation's code", "use [A-Z]{2,16}")
            return nil
        }
        guard organisations.contains(text) else {
            fault(
                "organisation", "unknown-organisation", "\"\(text)\" is no participant",
                "use \(organisations.joined(separator: ", ")), or add it to participants")
            return nil
        }
        return text
    }

    mutating func code(_ name: String) -> String? {
        guard let text = text(name) else { return nil }
        guard Topology.isOrganisation(text) else {
            fault(name, "bad-name", "\"\(text)\" is no organisation's code", "use [A-Z]{2,16}")
            return nil
        }
        return text
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
