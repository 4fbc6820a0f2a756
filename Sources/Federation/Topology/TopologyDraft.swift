/// A topology as it stands in the file: each entry with its place, nothing checked across entries yet.
struct TopologyDraft {
    struct Placed<Entry> {
        var value: Entry
        var offset: Int
        /// Where a field's value stands.
        var fields: [String: Int]

        func place(_ field: String) -> Int { fields[field] ?? offset }
    }

    struct Fault {
        var offset: Int
        var code: String
        var message: String
        var remedy: String
    }

    static let maximumBytes = 16 << 20

    var version: UInt64 = 0
    var federation = ""
    var segments: [Placed<Topology.Segment>] = []
    var nodes: [Placed<Topology.Node>] = []
    var tenancies: [Placed<Topology.Tenancy>] = []
    var homes: [Placed<Topology.Home>] = []
    var special: [Placed<Topology.Special>] = []
    var links: [Placed<Topology.Link>] = []
    var faults: [Fault] = []

    /// The fields of each kind of entry; those with a question mark may be absent. `schema.json` says the same.
    static let fields: [String: [String]] = [
        "topology": ["format", "version", "federation", "segments", "nodes", "tenancies", "homes", "special", "links"],
        "segments": ["id", "profile", "comment?"],
        "nodes": ["id", "segment", "subject?", "seat?", "name?", "state", "addresses", "assumed?"],
        "tenancies": ["id", "organisation", "node", "lines", "open", "dueMinutes", "fallback?", "assumed?"],
        "homes": ["organisation", "subjects", "tenancy", "from", "to?", "assumed?"],
        "special": ["organisation", "subjects", "tenancy", "assumed?"],
        "links": ["dials", "listens"],
    ]

    init(_ root: JSONText.Node) {
        var reader = EntryReader(root, "topology")
        if let format = reader.integer("format", 1...1_000_000), format != 1 {
            reader.fault("format", "format-unknown", "format \(format)", "this software reads format 1")
        }
        version = UInt64(reader.integer("version", 1...(1 << 53)) ?? 0)
        federation = reader.text("federation") ?? ""
        if !TopologyDraft.isDomain(federation) {
            reader.fault(
                "federation", "bad-name", "\"\(federation)\" is no federation name", "use a DNS name in lower case")
        }
        let lists = Dictionary(
            uniqueKeysWithValues: ["segments", "nodes", "tenancies", "homes", "special", "links"].map { name in
                (name, (reader.list(name) ?? []).map { EntryReader($0, name) })
            })
        faults = reader.finish()
        segments = read(lists["segments"], TopologyDraft.segment)
        nodes = read(lists["nodes"], TopologyDraft.node)
        tenancies = read(lists["tenancies"], TopologyDraft.tenancy)
        homes = read(lists["homes"], TopologyDraft.home)
        special = read(lists["special"], TopologyDraft.special)
        links = read(lists["links"], TopologyDraft.link)
    }

    private mutating func read<Entry>(
        _ entries: [EntryReader]?, _ read: (inout EntryReader) -> Entry?
    ) -> [Placed<Entry>] {
        var found: [Placed<Entry>] = []
        for var entry in entries ?? [] {
            let value = read(&entry)
            faults += entry.finish()
            if let value { found.append(Placed(value: value, offset: entry.offset, fields: entry.places)) }
        }
        return found
    }

    static func isDomain(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 128
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { NodeID(String($0)) != nil }
    }

    private static func segment(_ entry: inout EntryReader) -> Topology.Segment? {
        let id = entry.text("id")
        if let id, NodeID(id) == nil {
            entry.fault("id", "bad-name", "\"\(id)\" is no segment name", "use [a-z0-9-]{1,32}")
        }
        let profile = entry.text("profile", oneOf: ["tls13", "gost"])
        guard let id, let profile else { return nil }
        return Topology.Segment(id: id, profile: profile)
    }

    private static func node(_ entry: inout EntryReader) -> Topology.Node? {
        let id = entry.nodeID("id")
        let segment = entry.text("segment")
        let subject = entry.optionalText("subject")
        if let subject, !isSubject(subject) {
            entry.fault("subject", "bad-subject", "\"\(subject)\" is no subject code", "use two digits as text")
        }
        let state = entry.text("state", oneOf: Topology.NodeState.allCases.map(\.rawValue)).flatMap(
            Topology.NodeState.init)
        var addresses: [Topology.Address] = []
        for item in entry.list("addresses") ?? [] {
            if case .string(let text) = item.value, let address = Topology.Address(text) {
                addresses.append(address)
            } else {
                entry.fault(
                    at: item.offset, "bad-address", "not host:port", "use a host or an IP address, a colon and a port")
            }
        }
        guard let id, let segment, let state else { return nil }
        return Topology.Node(id: id, segment: segment, subject: subject, state: state, addresses: addresses)
    }

    private static func tenancy(_ entry: inout EntryReader) -> Topology.Tenancy? {
        let id = entry.text("id")
        let organisation = entry.text("organisation")
        let node = entry.nodeID("node")
        let lines = entry.texts("lines", oneOf: ["1", "2", "2.1"])
        let open = entry.bool("open")
        let due = entry.integer("dueMinutes", 1...100_000)
        let fallback = entry.optionalText("fallback")
        guard let id, let organisation, let node, let lines, let open, let due else { return nil }
        return Topology.Tenancy(
            id: id, organisation: organisation, node: node, lines: lines, open: open, dueMinutes: Int(due),
            fallback: fallback)
    }

    private static func home(_ entry: inout EntryReader) -> Topology.Home? {
        let organisation = entry.text("organisation")
        let subjects = entry.subjects("subjects")
        let tenancy = entry.text("tenancy")
        let from = entry.date("from")
        let to = entry.optionalDate("to")
        guard let organisation, let subjects, let tenancy, let from else { return nil }
        return Topology.Home(organisation: organisation, subjects: subjects, tenancy: tenancy, from: from, to: to)
    }

    private static func special(_ entry: inout EntryReader) -> Topology.Special? {
        let organisation = entry.text("organisation")
        let all = entry.isText("subjects", "all")
        let subjects = all ? [] : entry.subjects("subjects")
        let tenancy = entry.text("tenancy")
        guard let organisation, let subjects, let tenancy else { return nil }
        return Topology.Special(organisation: organisation, subjects: all ? nil : subjects, tenancy: tenancy)
    }

    private static func link(_ entry: inout EntryReader) -> Topology.Link? {
        let dials = entry.nodeID("dials")
        let listens = entry.nodeID("listens")
        guard let dials, let listens else { return nil }
        return Topology.Link(dials: dials, listens: listens)
    }

    static func isSubject(_ text: String) -> Bool {
        text.utf8.count == 2 && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
}

extension Topology.Address {
    /// `host:port`, or `[address]:port` for IPv6.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, host.utf8.count <= 253,
            host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") })
        else { return nil }
        // Port 0 means "any that is free": for demo and tests, on loopback only.
        guard port > 0 || host == "127.0.0.1" else { return nil }
        self.init(host: host, port: port)
    }
}
