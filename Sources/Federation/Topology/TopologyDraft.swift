/// A topology as it stands in the file: each entry with its place and what could be read of it, nothing checked across
/// entries yet.
struct TopologyDraft {
    struct Placed<Entry> {
        var value: Entry
        var offset: Int
        /// What stands as its name, be it good or bad.
        var name: String?
        /// Where a field's value stands.
        var fields: [String: Int]
        /// The fields that have a fault of their own, which has been told.
        var faulty: Set<String>

        func place(_ field: String) -> Int { fields[field] ?? offset }
    }

    struct Fault {
        var offset: Int
        var code: String
        var message: String
        var remedy: String
        /// Other places that show the same fault.
        var also: [Int] = []
    }

    static let maximumBytes = 16 << 20
    static let organisations = Topology.participants

    var version: UInt64 = 0
    var federation = ""
    var segments: [Placed<Segment>] = []
    var nodes: [Placed<Node>] = []
    var tenancies: [Placed<Tenancy>] = []
    var homes: [Placed<Home>] = []
    var special: [Placed<Special>] = []
    var links: [Placed<Link>] = []
    var faults: [Fault] = []
    /// Of which pairs nothing can be said, because an entry that may cover them has a fault.
    var doubts: [Doubt] = []
    /// Where the lists begin that could be read.
    private(set) var lists: [String: Int] = [:]

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
        if let name = reader.text("federation") {
            federation = name
            if !TopologyDraft.isDomain(name) {
                reader.fault(
                    "federation", "bad-name", "\"\(name)\" is no federation name", "use a DNS name in lower case")
            }
        }
        segments = read("segments", &reader, TopologyDraft.segment)
        nodes = read("nodes", &reader, TopologyDraft.node)
        tenancies = read("tenancies", &reader, TopologyDraft.tenancy)
        homes = read("homes", &reader, TopologyDraft.home)
        special = read("special", &reader, TopologyDraft.special)
        links = read("links", &reader, TopologyDraft.link)
        faults += reader.finish()
    }

    private mutating func read<Entry>(
        _ list: String, _ root: inout EntryReader, _ read: (inout EntryReader) -> Entry
    ) -> [Placed<Entry>] {
        guard let items = root.list(list) else { return [] }
        lists[list] = root.places[list]
        return items.map { item in
            var reader = EntryReader(item, list)
            let value = read(&reader)
            faults += reader.finish()
            return Placed(
                value: value, offset: reader.offset, name: reader.name, fields: reader.places, faulty: reader.faulty)
        }
    }

    static func isDomain(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 128
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { NodeID(String($0)) != nil }
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
