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
        draft.check()
        guard draft.faults.isEmpty else {
            throw TopologyFaults(
                faults: draft.faults.map { $0.placed(in: bytes) }
                    .sorted { ($0.line, $0.column, $0.code) < ($1.line, $1.column, $1.code) })
        }
        return Topology(draft)
    }
}

extension TopologyDraft.Fault {
    fileprivate func placed(in bytes: [UInt8]) -> TopologyFault {
        let place = JSONText.place(of: offset, in: bytes)
        let lines = Set(also.map { JSONText.place(of: $0, in: bytes).line }).subtracting([place.line]).sorted()
        let see = lines.isEmpty ? "" : " (see also line \(Spelling.some(lines.map(String.init))))"
        return TopologyFault(
            line: place.line, column: place.column, code: code, message: message + see, remedy: remedy)
    }
}

/// What must fit across entries. One fault is told once: what only follows from a fault that was told is not.
extension TopologyDraft {
    /// The names of one list of entries, to which others refer.
    struct Names {
        /// Of one of them: `node`.
        var what: String
        var known: Set<String> = []
        /// Names that are bad or stand twice: each may be meant for a name that is referred to.
        var strays: [String] = []
        /// Whether a name, or the list as a whole, could not be read.
        var isPartial = false
    }

    struct Reference {
        var name: String
        var offset: Int
    }

    mutating func add(_ offset: Int, _ code: String, _ message: String, _ remedy: String, also: [Int] = []) {
        faults.append(Fault(offset: offset, code: code, message: message, remedy: remedy, also: also))
    }

    fileprivate mutating func check() {
        let segmentNames = names(segments, "segments")
        let nodeNames = names(nodes, "nodes")
        let tenancyNames = names(tenancies, "tenancies")
        checkParticipants()
        checkOwners()
        let lacksSegments = checkReferences(
            references(nodes, "segment", \.segment) + references(rights, "from", \.from)
                + references(rights, "to", \.to), to: segmentNames)
        checkReferences(
            references(homes, "tenancy", \.tenancy) + references(special, "tenancy", \.tenancy), to: tenancyNames)
        let lacksNodes = checkReferences(
            references(tenancies, "node", \.node?.text) + references(links, "dials", \.dials?.text)
                + references(links, "listens", \.listens?.text), to: nodeNames)
        checkNodes(isCertain: !lacksNodes && nodes.allSatisfy { segmentNames.known.contains($0.value.segment ?? "") })
        checkDialled()
        checkWays(looseEnds(nodeNames))
        checkHomes()
        checkSpecial()
        checkLines()
        checkRetired()
        checkCentre()
        if !lacksSegments, !lacksNodes { checkRights() }
    }

    private mutating func names<Entry: Hashable>(_ entries: [Placed<Entry>], _ list: String) -> Names {
        let what = list == "tenancies" ? "tenancy" : String(list.dropLast())
        var names = Names(what: what, isPartial: lists[list] == nil)
        var first: [String: Entry] = [:]
        for entry in entries {
            guard let name = entry.name else {
                names.isPartial = true
                continue
            }
            names.known.insert(name)
            guard !entry.faulty.contains("id") else {
                names.strays.append(name)
                continue
            }
            guard let other = first.updateValue(entry.value, forKey: name) else { continue }
            add(
                entry.place("id"), "duplicate-\(what)", "\(what) \"\(name)\" stands twice",
                "remove one of the two, or give it its own name")
            // A mere copy is not meant for another name; a segment has too little in it to tell.
            if other != entry.value || list == "segments" { names.strays.append(name) }
        }
        return names
    }

    private func references<Entry>(
        _ entries: [Placed<Entry>], _ field: String, _ name: (Entry) -> String?
    ) -> [Reference] {
        entries.compactMap { entry in name(entry.value).map { Reference(name: $0, offset: entry.place(field)) } }
    }

    private func references(
        _ entries: [Placed<Right>], _ field: String, _ names: (Right) -> [String]?
    ) -> [Reference] {
        entries.flatMap { entry in
            (names(entry.value) ?? []).map { Reference(name: $0, offset: entry.place(field)) }
        }
    }

    /// A name that is nowhere is one fault, at the first place that refers to it.
    /// - Returns: whether there is such a name.
    @discardableResult
    private mutating func checkReferences(_ references: [Reference], to names: Names) -> Bool {
        guard !names.isPartial else { return false }
        var unknown = Dictionary(grouping: references.filter { !names.known.contains($0.name) }, by: \.name)
        for stray in names.strays {
            guard let nearest = Spelling.nearest(to: stray, among: unknown.keys) else { break }
            unknown[nearest] = nil
        }
        for (name, places) in unknown {
            let offsets = places.map(\.offset).sorted()
            let meant = Spelling.meant(by: name, among: names.known).map { ", such as \"\($0)\"" } ?? ""
            add(
                offsets[0], "unknown-\(names.what)", "\(names.what) \"\(name)\" is nowhere in the file",
                "add it, or name one that is there\(meant)", also: Array(offsets.dropFirst()))
        }
        return !unknown.isEmpty
    }

    /// The first of each name: what is wrong with a second is that it is there.
    var firstNodes: [Placed<Node>] {
        var names: Set<String> = []
        return nodes.filter { node in node.name.map { names.insert($0).inserted } ?? true }
    }

    /// - Parameter isCertain: every node is there, in a segment that is there: none may be meant for the centre.
    private mutating func checkNodes(isCertain: Bool) {
        checkOwnAddresses()
        checkOwnSubjects()
        let centres = firstNodes.filter { $0.value.segment == "centre" }
        guard centres.count != 1, let list = lists["nodes"], isCertain || centres.count > 1 else { return }
        add(
            centres.last?.offset ?? list, "one-centre", "\(centres.count) nodes are in segment centre",
            "there is exactly one", also: centres.map(\.offset))
    }

    private mutating func checkOwnAddresses() {
        var owners: [Topology.Address: Placed<Node>] = [:]
        for node in firstNodes {
            for address in node.value.addresses ?? [] where address.port != 0 {
                guard let other = owners.updateValue(node, forKey: address.canonical) else { continue }
                add(
                    node.place("addresses"), "address-twice",
                    "\(address) is an address of \(other.name ?? "another node") already",
                    "give each node its own address", also: [other.place("addresses")])
            }
        }
    }

    /// A retired node may keep the subject that another has now.
    private mutating func checkOwnSubjects() {
        var owners: [String: Placed<Node>] = [:]
        for node in firstNodes where node.value.state != .retired && !node.faulty.contains("subject") {
            guard let subject = node.value.subject, let other = owners.updateValue(node, forKey: subject) else {
                continue
            }
            add(
                node.place("subject"), "subject-twice",
                "subject \(subject) is of \(other.name ?? "another node") already", "give each subject one node",
                also: [other.place("subject")])
        }
    }

    /// The known ends of links that cannot stand as they are; nil when neither end is known. Any of them may be the
    /// link that a node seems to lack.
    private mutating func looseEnds(_ names: Names) -> [NodeID?] {
        var seen: [Set<NodeID>: Placed<Link>] = [:]
        var loose: [NodeID?] = []
        for link in links {
            let ends = [link.value.dials, link.value.listens].compactMap { $0 }.filter { names.known.contains($0.text) }
            guard ends.count == 2 else {
                loose.append(ends.first)
                continue
            }
            if ends[0] == ends[1] {
                add(link.place("listens"), "link-to-itself", "\(ends[0]) is linked to itself", "remove the link")
                loose.append(ends[0])
            } else if let other = seen.updateValue(link, forKey: Set(ends)) {
                add(
                    link.offset, "link-twice", "\(ends[0]) and \(ends[1]) are linked already", "remove one of the two",
                    also: [other.offset])
                loose += ends
            }
        }
        return loose
    }

    private mutating func checkDialled() {
        for node in firstNodes where node.value.state == .live && node.value.addresses == [] {
            let dialling = links.filter { $0.value.listens == node.value.id && $0.value.dials != node.value.id }
            guard let id = node.value.id, let first = dialling.first(where: { $0.value.dials != nil })?.value.dials
            else {
                continue
            }
            add(
                node.place("addresses"), "address-missing", "\(id) is live and dialled by \(first)", "name an address",
                also: dialling.map(\.offset))
        }
    }

    /// The centre has a way to every node with a tenancy; nodes that hang together lack one way, not each its own.
    private mutating func checkWays(_ loose: [NodeID?]) {
        let centres = firstNodes.filter { $0.value.segment == "centre" }
        guard lists["links"] != nil, centres.count == 1, let centre = centres[0].value.id else { return }
        let ids = nodes.compactMap(\.value.id)
        // Of planned nodes the links are planned, too.
        let ways = Ways(ids, links.compactMap(\.value.whole), relays: Set(ids))
        func areJoined(_ one: NodeID, _ other: NodeID) -> Bool {
            one == other || ways.nextHop(from: other, to: one) != nil
        }
        guard loose.allSatisfy({ $0.map { !areJoined($0, centre) } ?? false }) else { return }
        let settled = Set(tenancies.compactMap(\.value.node))
        var told = loose.compactMap { $0 }
        for node in nodes {
            guard let id = node.value.id, settled.contains(id), !areJoined(centre, id),
                !told.contains(where: { areJoined($0, id) })
            else { continue }
            told.append(id)
            add(
                node.offset, "no-route", "no links lead from \(centre) to \(id)",
                "add a link between \(id) and a node that is linked")
        }
    }
}
