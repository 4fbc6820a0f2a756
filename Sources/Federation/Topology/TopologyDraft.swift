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

    var version: UInt64 = 0
    var federation = ""
    var segments: [Placed<Segment>] = []
    var nodes: [Placed<Node>] = []
    var tenancies: [Placed<Tenancy>] = []
    var homes: [Placed<Home>] = []
    var special: [Placed<Special>] = []
    var links: [Placed<Link>] = []
    var rights: [Placed<Right>] = []
    var participants: [Placed<Participant>] = []
    var faults: [Fault] = []
    /// Of which pairs nothing can be said, because an entry that may cover them has a fault.
    var doubts: [Doubt] = []
    /// Where the lists begin that could be read.
    private(set) var lists: [String: Int] = [:]

    static let profiles = ["tls13", "gost"]
    static let lines = ["1", "2", "2.1"]

    /// The fields of each kind of entry; those with a question mark may be absent. `schema.json` says the same.
    static let fields: [String: [String]] = [
        "topology": [
            "format", "version", "federation", "segments", "nodes", "tenancies", "homes", "special", "links", "rights",
            "participants?",
        ],
        "segments": ["id", "profile", "comment?"],
        "nodes": ["id", "segment", "subject?", "seat?", "name?", "state", "addresses", "assumed?"],
        "tenancies": ["id", "organisation", "node", "lines", "open", "dueMinutes", "fallback?", "assumed?"],
        "homes": ["organisation", "subjects", "tenancy", "from", "to?", "assumed?"],
        "special": ["organisation", "subjects", "tenancy", "assumed?"],
        "links": ["dials", "listens"],
        "rights": ["from", "to", "kinds"],
        "participants": ["id", "name?", "from?", "to?", "successor?"],
    ]

    /// Entries of each list: what is worked out for every pair of them stays small. `schema.json` says the same.
    static let most: [String: Int] = [
        "segments": 64, "nodes": 1024, "tenancies": 8192, "homes": 16384, "special": 4096, "links": 8192,
        "rights": 4096,
        "participants": 256,
    ]

    init(_ root: JSONText.Node) {
        var reader = EntryReader(root, "topology")
        if let format = reader.integer("format", 1...1_000_000), format != 2 {
            reader.fault(
                "format", format < 2 ? "format-old" : "format-unknown", "format \(format)",
                format < 2
                    ? "ekc topology upgrade writes it as format 2, with rights for what it allowed"
                    : "this software reads format 2")
        }
        version = UInt64(reader.integer("version", 1...(1 << 53)) ?? 0)
        if let name = reader.text("federation") {
            federation = name
            if !TopologyDraft.isDomain(name) {
                reader.fault(
                    "federation", "bad-name", "\"\(name)\" is no federation name", "use a DNS name in lower case")
            }
        }
        participants = read("participants", &reader, TopologyDraft.participant)
        if lists["participants"] == nil {
            participants = Topology.firstParticipants.map { id in
                Placed(value: Participant(id: id), offset: root.offset, name: id, fields: [:], faulty: [])
            }
        }
        segments = read("segments", &reader, TopologyDraft.segment)
        nodes = read("nodes", &reader, TopologyDraft.node)
        tenancies = read("tenancies", &reader, TopologyDraft.tenancy)
        homes = read("homes", &reader, TopologyDraft.home)
        special = read("special", &reader, TopologyDraft.special)
        links = read("links", &reader, TopologyDraft.link)
        rights = read("rights", &reader, TopologyDraft.right)
        faults += reader.finish()
    }

    private mutating func read<Entry>(
        _ list: String, _ root: inout EntryReader, _ read: (inout EntryReader) -> Entry
    ) -> [Placed<Entry>] {
        guard let items = root.list(list) else { return [] }
        let most = TopologyDraft.most[list] ?? 0
        guard items.count <= most else {
            root.fault(
                list, "too-many-entries", "\(items.count) entries, at most \(most)",
                "leave out what is retired; a federation of this size needs other software")
            return []
        }
        lists[list] = root.places[list]
        return items.map { item in
            var reader = EntryReader(item, list)
            reader.organisations = participants.compactMap(\.name)
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
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let (digits, name) = (text[text.index(after: colon)...], text[..<colon])
        // One way to write each: UInt16 would take +7410 and 07410 too.
        guard let port = UInt16(digits), String(port) == digits else { return nil }
        let host: String
        if name.hasPrefix("["), name.hasSuffix("]") {
            host = String(name.dropFirst().dropLast())
            guard (2...45).contains(host.utf8.count), host.utf8.allSatisfy(Self.isOfIPv6) else { return nil }
        } else {
            host = String(name)
            guard (1...253).contains(host.utf8.count), host.utf8.allSatisfy(Self.isOfName) else { return nil }
        }
        // Port 0 means "any that is free": for demo and tests, on loopback only.
        guard port > 0 || host == "127.0.0.1" else { return nil }
        self.init(host: host, port: port)
    }

    private static func isOfIPv6(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "."): true
        case UInt8(ascii: "A")...UInt8(ascii: "F"): true
        default: false
        }
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
        default: false
        }
    }
}
