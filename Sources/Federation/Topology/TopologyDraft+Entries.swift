/// The entries as far as they could be read: a field that is missing or wrong is nil, and has its fault already.
/// `whole` is what the topology is made of.
extension TopologyDraft {
    struct Segment: Hashable {
        var id: String?
        var profile: String?

        var whole: Topology.Segment? {
            guard let id, let profile else { return nil }
            return Topology.Segment(id: id, profile: profile)
        }
    }

    struct Node: Hashable {
        var id: NodeID?
        var segment: String?
        var subject: String?
        var state: Topology.NodeState?
        var addresses: [Topology.Address]?

        var whole: Topology.Node? {
            guard let id, let segment, let state, let addresses else { return nil }
            return Topology.Node(id: id, segment: segment, subject: subject, state: state, addresses: addresses)
        }
    }

    struct Tenancy: Hashable {
        var id: String?
        var organisation: String?
        var node: NodeID?
        var lines: [String]?
        var open: Bool?
        var due: Int64?
        var fallback: String?

        var whole: Topology.Tenancy? {
            guard let id, let organisation, let node, let lines, let open, let due else { return nil }
            return Topology.Tenancy(
                id: id, organisation: organisation, node: node, lines: lines, open: open, dueMinutes: Int(due),
                fallback: fallback)
        }
    }

    struct Home: Hashable {
        var organisation: String?
        var subjects: [String]?
        var tenancy: String?
        var from: String?
        var to: String?

        var whole: Topology.Home? {
            guard let organisation, let subjects, let tenancy, let from else { return nil }
            return Topology.Home(organisation: organisation, subjects: subjects, tenancy: tenancy, from: from, to: to)
        }
    }

    struct Special: Hashable {
        var organisation: String?
        var isAll: Bool
        var subjects: [String]?
        var tenancy: String?

        var whole: Topology.Special? {
            guard let organisation, let tenancy, isAll || subjects != nil else { return nil }
            return Topology.Special(organisation: organisation, subjects: subjects, tenancy: tenancy)
        }
    }

    struct Link: Hashable {
        var dials: NodeID?
        var listens: NodeID?

        var whole: Topology.Link? {
            guard let dials, let listens else { return nil }
            return Topology.Link(dials: dials, listens: listens)
        }
    }

    static func segment(_ entry: inout EntryReader) -> Segment {
        let id = entry.text("id")
        if let id, NodeID(id) == nil {
            entry.fault("id", "bad-name", "\"\(id)\" is no segment name", "use [a-z0-9-]{1,32}")
        }
        entry.remarks(texts: ["comment"])
        return Segment(id: id, profile: entry.text("profile", oneOf: profiles))
    }

    static func node(_ entry: inout EntryReader) -> Node {
        let id = entry.nodeID("id")
        if id == .everyone {
            entry.fault("id", "bad-name", "\"\(NodeID.everyone)\" means every node", "give the node another name")
        }
        let subject = entry.subject("subject")
        _ = entry.subject("seat")
        entry.remarks(texts: ["name"])
        let state = entry.text("state", oneOf: Topology.NodeState.allCases.map(\.rawValue))
        return Node(
            id: id, segment: entry.text("segment"), subject: subject, state: state.flatMap(Topology.NodeState.init),
            addresses: entry.addresses())
    }

    static func tenancy(_ entry: inout EntryReader) -> Tenancy {
        var tenancy = Tenancy(
            id: entry.text("id"), organisation: entry.organisation(), node: entry.nodeID("node"),
            lines: entry.lines(), open: entry.bool("open"), due: entry.integer("dueMinutes", 1...100_000),
            fallback: entry.optionalText("fallback"))
        entry.remarks()
        checkName(&tenancy, &entry)
        checkLines(&tenancy, &entry)
        return tenancy
    }

    private static func checkName(_ tenancy: inout Tenancy, _ entry: inout EntryReader) {
        guard let id = tenancy.id, let organisation = tenancy.organisation else { return }
        let name = id.split(separator: "/", omittingEmptySubsequences: false)
        guard name.count != 2 || name[0] != organisation || name[1].isEmpty else { return }
        entry.fault(
            "id", "bad-name", "\"\(id)\" is no tenancy of \(organisation)",
            "use \(organisation)/ and a subject or a centre")
        // Another participant's name: which of the two is meant cannot be known.
        if entry.organisations.contains(where: { $0 != organisation && $0 == name[0] }) { tenancy.organisation = nil }
    }

    private static func checkLines(_ tenancy: inout Tenancy, _ entry: inout EntryReader) {
        guard let lines = tenancy.lines, let organisation = tenancy.organisation else { return }
        if organisation == "OSZN", lines.contains("1") {
            entry.fault("lines", "line-not-allowed", "OSZN has no first line", "remove line 1")
            tenancy.lines = nil
        }
        if organisation != "MSE", lines.contains("2.1") {
            entry.fault("lines", "line-not-allowed", "line 2.1 is of MSE only", "use line 2")
            tenancy.lines = nil
        }
    }

    static func home(_ entry: inout EntryReader) -> Home {
        var home = Home(
            organisation: entry.organisation(), subjects: entry.subjects(), tenancy: entry.text("tenancy"),
            from: entry.date("from"), to: entry.optionalDate("to"))
        entry.remarks()
        if let from = home.from, let to = home.to, to <= from {
            entry.fault("to", "bad-date", "it ends on \(to), before it begins", "name a later day")
            home.to = nil
        }
        return home
    }

    static func special(_ entry: inout EntryReader) -> Special {
        let isAll = entry.isText("subjects", "all")
        entry.remarks()
        return Special(
            organisation: entry.organisation(), isAll: isAll, subjects: isAll ? nil : entry.subjects(),
            tenancy: entry.text("tenancy"))
    }

    static func link(_ entry: inout EntryReader) -> Link {
        Link(dials: entry.nodeID("dials"), listens: entry.nodeID("listens"))
    }
}
