extension Topology {
    /// Reads a topology file: comments and trailing commas are allowed.
    /// - Throws: every fault at once, in the order of their places.
    package static func read(_ bytes: [UInt8]) throws(TopologyFaults) -> Topology {
        let root: JSONText.Node
        do throws(JSONText.Fault) {
            root = try JSONText.read(bytes, lenient: true, maximum: TopologyDraft.maximumBytes)
        } catch {
            let place = JSONText.place(of: error.offset, in: bytes)
            throw TopologyFaults(faults: [
                TopologyFault(
                    line: place.line, column: place.column, code: "malformed", message: error.message,
                    remedy: "mend the text; nothing after this place was looked at")
            ])
        }
        var draft = TopologyDraft(root)
        draft.checkNames()
        draft.checkTenancies()
        draft.checkHomes()
        draft.checkLinks()
        guard draft.faults.isEmpty else {
            throw TopologyFaults(
                faults: draft.faults.map { fault in
                    let place = JSONText.place(of: fault.offset, in: bytes)
                    return TopologyFault(
                        line: place.line, column: place.column, code: fault.code, message: fault.message,
                        remedy: fault.remedy)
                }.sorted { ($0.line, $0.column, $0.code) < ($1.line, $1.column, $1.code) })
        }
        return Topology(draft)
    }
}

/// What must fit across entries.
extension TopologyDraft {
    fileprivate mutating func add(_ offset: Int, _ code: String, _ message: String, _ remedy: String) {
        faults.append(Fault(offset: offset, code: code, message: message, remedy: remedy))
    }

    fileprivate mutating func checkNames() {
        unique(segments, "segment") { $0.id }
        unique(nodes, "node") { $0.id.text }
        unique(tenancies, "tenancy") { $0.id }
        let known = Set(segments.map(\.value.id))
        var addresses: [Topology.Address: NodeID] = [:]
        for node in nodes {
            if !known.contains(node.value.segment) {
                add(
                    node.place("segment"), "unknown-segment", "segment \"\(node.value.segment)\" is not in segments",
                    "add it, or name one of \(known.sorted().joined(separator: ", "))")
            }
            for address in node.value.addresses where address.port != 0 {
                if let other = addresses.updateValue(node.value.id, forKey: address) {
                    add(
                        node.place("addresses"), "address-twice", "\(address) is an address of \(other) already",
                        "give each node its own address")
                }
            }
        }
        for node in nodes where node.value.id == .everyone {
            add(
                node.place("id"), "bad-name", "\"\(NodeID.everyone)\" means every node", "give the node another name")
        }
        let centres = nodes.filter { $0.value.segment == "centre" }
        if centres.count != 1 {
            add(
                centres.last?.offset ?? 0, "one-centre", "\(centres.count) nodes are in segment centre",
                "there is exactly one")
        }
    }

    private mutating func unique<Entry>(_ entries: [Placed<Entry>], _ what: String, _ id: (Entry) -> String) {
        var seen: Set<String> = []
        for entry in entries where !seen.insert(id(entry.value)).inserted {
            add(
                entry.place("id"), "duplicate-\(what)", "\(what) \"\(id(entry.value))\" stands twice",
                "remove one of the two")
        }
    }

    private static let organisations = Topology.participants

    fileprivate mutating func checkTenancies() {
        let known = Set(nodes.map(\.value.id))
        for tenancy in tenancies {
            let value = tenancy.value
            if !known.contains(value.node) {
                add(
                    tenancy.place("node"), "unknown-node", "node \"\(value.node)\" is not in nodes",
                    "add it, or name one that is there")
            }
            checkOrganisation(value.organisation, tenancy.place("organisation"))
            let name = value.id.split(separator: "/", omittingEmptySubsequences: false)
            if name.count != 2 || name[0] != value.organisation || name[1].isEmpty {
                add(
                    tenancy.place("id"), "bad-name", "\"\(value.id)\" is no tenancy of \(value.organisation)",
                    "use \(value.organisation)/ and a subject or a centre")
            }
            if value.organisation == "OSZN", value.lines.contains("1") {
                add(tenancy.place("lines"), "line-not-allowed", "OSZN has no first line", "remove line 1")
            }
            if value.organisation != "MSE", value.lines.contains("2.1") {
                add(tenancy.place("lines"), "line-not-allowed", "line 2.1 is of MSE only", "use line 2")
            }
            if value.lines.isEmpty {
                add(tenancy.place("lines"), "line-missing", "a tenancy works in some line", "name its lines")
            }
        }
    }

    private mutating func checkOrganisation(_ organisation: String, _ place: Int) {
        guard !TopologyDraft.organisations.contains(organisation) else { return }
        add(
            place, "unknown-organisation", "\"\(organisation)\" is no participant",
            "use \(TopologyDraft.organisations.joined(separator: ", "))")
    }

    /// One home, at any date, for each pair of an organisation and a subject that the file covers: every organisation
    /// that has a home, with every subject that has one.
    fileprivate mutating func checkHomes() {
        let known = Dictionary(tenancies.map { ($0.value.id, $0.value) }, uniquingKeysWith: { first, _ in first })
        var spans: [String: [(home: Topology.Home, offset: Int)]] = [:]
        for home in homes {
            checkOrganisation(home.value.organisation, home.place("organisation"))
            checkTenancy(home.value.tenancy, of: home.value.organisation, known, home.place("tenancy"))
            if home.value.tenancy == "MSE/centre" {
                add(
                    home.place("tenancy"), "home-not-allowed", "MSE/centre takes no personal data",
                    "name the tenancy of line 2.1 in the subject")
            }
            if let to = home.value.to, to <= home.value.from {
                add(home.place("to"), "bad-date", "it ends on \(to), before it begins", "name a later day")
            }
            for subject in home.value.subjects {
                let pair = "\(home.value.organisation) \(subject)"
                for (other, _) in spans[pair] ?? [] where overlap(other, home.value) {
                    add(
                        home.place("subjects"), "two-homes", "\(pair) has a home at \(other.tenancy) already",
                        "leave one of the two, or end the other before this begins")
                }
                spans[pair, default: []].append((home.value, home.offset))
            }
        }
        let subjects = Set(homes.flatMap(\.value.subjects)).sorted()
        for organisation in Set(homes.map(\.value.organisation)).sorted() {
            let missing = subjects.filter { spans["\(organisation) \($0)"] == nil }
            guard !missing.isEmpty else { continue }
            let place = homes.first { $0.value.organisation == organisation }?.place("subjects") ?? 0
            add(
                place, "no-home", "\(organisation) has no home for \(missing.joined(separator: ", "))",
                "add the subjects to a home of \(organisation)")
        }
        for entry in special {
            checkOrganisation(entry.value.organisation, entry.place("organisation"))
            checkTenancy(entry.value.tenancy, of: entry.value.organisation, known, entry.place("tenancy"))
        }
    }

    private func overlap(_ one: Topology.Home, _ other: Topology.Home) -> Bool {
        (other.to.map { one.from < $0 } ?? true) && (one.to.map { other.from < $0 } ?? true)
    }

    private mutating func checkTenancy(
        _ id: String, of organisation: String, _ known: [String: Topology.Tenancy], _ place: Int
    ) {
        guard let tenancy = known[id] else {
            return add(
                place, "unknown-tenancy", "tenancy \"\(id)\" is not in tenancies", "add it, or name one that is there")
        }
        if tenancy.organisation != organisation {
            add(
                place, "wrong-organisation", "\"\(id)\" is of \(tenancy.organisation), not of \(organisation)",
                "name a tenancy of \(organisation)")
        }
    }

    fileprivate mutating func checkLinks() {
        let known = Dictionary(nodes.map { ($0.value.id, $0.value) }, uniquingKeysWith: { first, _ in first })
        var seen: Set<Set<NodeID>> = []
        for link in links {
            for (field, end) in [("dials", link.value.dials), ("listens", link.value.listens)] where known[end] == nil {
                add(
                    link.place(field), "unknown-node", "node \"\(end)\" is not in nodes",
                    "add it, or name one that is there")
            }
            if link.value.dials == link.value.listens {
                add(
                    link.place("listens"), "link-to-itself", "\(link.value.dials) is linked to itself",
                    "remove the link")
            } else if !seen.insert([link.value.dials, link.value.listens]).inserted {
                add(
                    link.offset, "link-twice", "\(link.value.dials) and \(link.value.listens) are linked already",
                    "remove one of the two")
            }
            if let listener = known[link.value.listens], listener.state == .live, listener.addresses.isEmpty,
                let place = nodes.first(where: { $0.value.id == listener.id })?.place("addresses")
            {
                add(
                    place, "address-missing", "\(listener.id) is live and dialled by \(link.value.dials)",
                    "name an address")
            }
        }
        guard let centre = nodes.first(where: { $0.value.segment == "centre" })?.value.id else { return }
        let ways = Topology.ways(nodes.map(\.value.id), links.map(\.value))
        var told: Set<NodeID> = []
        for tenancy in tenancies {
            let node = tenancy.value.node
            guard known[node] != nil, node != centre, ways[node]?[centre] == nil, told.insert(node).inserted else {
                continue
            }
            let place = nodes.first { $0.value.id == node }?.offset ?? tenancy.offset
            add(
                place, "no-route", "no links lead from \(centre) to \(node)",
                "add a link between \(node) and a node that is linked")
        }
    }
}
