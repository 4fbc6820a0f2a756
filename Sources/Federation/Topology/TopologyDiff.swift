/// What a newer topology would change, in sentences for central operations, the worst first. A value: what is under way it
/// does not know.
package struct TopologyDiff: Sendable {
    package struct Finding: Sendable, Hashable, Encodable {
        /// Kebab-case, stable.
        package var code: String
        /// Somebody loses something.
        package var isLoss: Bool
        package var text: String

        package init(code: String, isLoss: Bool, text: String) {
            self.code = code
            self.isLoss = isLoss
            self.text = text
        }
    }

    package private(set) var findings: [Finding] = []
    /// Nodes that lose their way to the centre, or are live no more.
    package private(set) var cutOff: Set<NodeID> = []
    let live: Topology
    let next: Topology

    package init(from live: Topology, to next: Topology) {
        self.live = live
        self.next = next
        reach()
        nodes()
        participants()
        homes()
        tenancies()
        rights()
        links()
        if next.version <= live.version, !findings.isEmpty {
            add(
                "version-not-higher", true,
                "its version \(next.version) is not higher than \(live.version): no node takes it")
        }
        // Stable: within losses and gains the order of the sections.
        findings = findings.filter(\.isLoss) + findings.filter { !$0.isLoss }
    }

    mutating func add(_ code: String, _ isLoss: Bool, _ text: String) {
        findings.append(Finding(code: code, isLoss: isLoss, text: text))
    }

    /// Names for people: all of a few, the first of many.
    static func list(_ names: some Sequence<String>) -> String {
        let names = Array(names)
        guard names.count > 6 else {
            return names.count < 2
                ? names.joined() : names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
        }
        return names.prefix(4).joined(separator: ", ") + " and \(names.count - 4) more"
    }

    private static func lives(_ topology: Topology) -> Set<NodeID> {
        Set(topology.nodes.filter { $0.state == .live }.map(\.id))
    }

    /// Live nodes that hang together over live nodes.
    private static func islands(_ topology: Topology) -> [Set<NodeID>] {
        let lives = lives(topology)
        var neighbours: [NodeID: Set<NodeID>] = [:]
        for link in topology.links where lives.contains(link.dials) && lives.contains(link.listens) {
            neighbours[link.dials, default: []].insert(link.listens)
            neighbours[link.listens, default: []].insert(link.dials)
        }
        var seen: Set<NodeID> = []
        var islands: [Set<NodeID>] = []
        for node in lives.sorted() where seen.insert(node).inserted {
            var island: Set<NodeID> = [node]
            var edge = [node]
            while let at = edge.popLast() {
                for other in neighbours[at] ?? [] where island.insert(other).inserted {
                    seen.insert(other)
                    edge.append(other)
                }
            }
            islands.append(island)
        }
        return islands
    }

    // MARK: Nodes and ways

    private mutating func reach() {
        let (before, after) = (TopologyDiff.islands(live), TopologyDiff.islands(next))
        func others(_ node: NodeID, _ islands: [Set<NodeID>]) -> Set<NodeID> {
            (islands.first { $0.contains(node) } ?? []).subtracting([node])
        }
        let both = TopologyDiff.lives(live).intersection(TopologyDiff.lives(next))
        // Whoever hangs together afterwards loses and gains the same: one sentence for all of them.
        for island in after {
            let members = island.intersection(both).sorted()
            guard let first = members.first else { continue }
            let old = others(first, before).union([first])
            let lost = old.intersection(both).subtracting(island)
            let gained = island.intersection(both).subtracting(old)
            let hasCentre = next.centre.map(island.contains) ?? false
            if !lost.isEmpty, !hasCentre {
                if live.centre.map(lost.contains) == true { cutOff.formUnion(members) }
                let centre = live.centre.map(lost.contains) == true ? "the centre and " : ""
                let rest = lost.subtracting(centre.isEmpty ? [] : [live.centre ?? first])
                add(
                    "cut-off", true,
                    "\(TopologyDiff.list(members.map(\.text))) \(members.count == 1 ? "loses its" : "lose their") way to "
                        + centre + "\(rest.count) other nodes")
            }
            if !gained.isEmpty, !hasCentre || members.count == 1 {
                add(
                    "joined", false,
                    "\(TopologyDiff.list(members.map(\.text))) can reach \(TopologyDiff.list(gained.sorted().map(\.text))) now"
                )
            }
        }
        cutOff.formUnion(TopologyDiff.lives(live).subtracting(TopologyDiff.lives(next)))
        wayChanges(both)
    }

    private mutating func wayChanges(_ both: Set<NodeID>) {
        guard let old = live.centre, let new = next.centre else { return }
        if old != new {
            add("centre-changed", true, "the centre is \(new) now, it was \(old): every node must be started anew")
        }
        var moved: [String: [NodeID]] = [:]
        for node in both where node != new {
            guard let before = live.nextHop(from: node, to: old), let after = next.nextHop(from: node, to: new),
                before != after
            else { continue }
            func words(_ hop: NodeID, _ centre: NodeID) -> String { hop == centre ? "straight" : "over \(hop)" }
            moved["goes to the centre \(words(after, new)) now, it went \(words(before, old))", default: []].append(
                node)
        }
        for (words, nodes) in moved.sorted(by: { $0.key < $1.key }) {
            add("way-changed", false, "\(TopologyDiff.list(nodes.sorted().map(\.text))) \(words)")
        }
    }

    private mutating func nodes() {
        var states: [String: [String]] = [:]
        for node in next.nodes {
            guard let old = live.node(node.id) else {
                states["new, \(node.state.rawValue), in segment \(node.segment)", default: []].append(node.id.text)
                continue
            }
            if old.state != node.state {
                states["\(node.state.rawValue), \(old.state.rawValue) until now", default: []].append(node.id.text)
            }
            if old.segment != node.segment {
                add(
                    "segment-changed", true,
                    "\(node.id) is in segment \(node.segment), it was in \(old.segment): it needs a certificate of that authority"
                )
            }
            if old.addresses != node.addresses {
                let dialling = next.links.filter { $0.listens == node.id }.map(\.dials.text).sorted()
                add(
                    "address-changed", false,
                    "\(node.id) is at \(TopologyDiff.list(node.addresses.map(\.description)).orNothing), it was at "
                        + "\(TopologyDiff.list(old.addresses.map(\.description)).orNothing): "
                        + "\(TopologyDiff.list(dialling).orNothing) dial it anew, and it must be started again itself")
            }
        }
        for (what, names) in states.sorted(by: { $0.key < $1.key }) {
            let isLoss = !what.hasPrefix("new") && !what.hasPrefix("live")
            let verb = names.count == 1 ? "is" : "are"
            add(isLoss ? "node-leaves" : "node-comes", isLoss, "\(TopologyDiff.list(names.sorted())) \(verb) \(what)")
        }
        let gone = live.nodes.filter { next.node($0.id) == nil }.map(\.id.text).sorted()
        if !gone.isEmpty {
            add("node-removed", true, "\(TopologyDiff.list(gone)) \(gone.count == 1 ? "is" : "are") not there any more")
        }
    }

    private mutating func links() {
        func names(_ topology: Topology) -> Set<String> { Set(topology.links.map { "\($0.dials) → \($0.listens)" }) }
        let (before, after) = (names(live), names(next))
        let (gone, new) = (before.subtracting(after).sorted(), after.subtracting(before).sorted())
        if !gone.isEmpty {
            add(
                "links-removed", false,
                "\(gone.count == 1 ? "a link goes" : "\(gone.count) links go"): \(TopologyDiff.list(gone))")
        }
        if !new.isEmpty {
            add(
                "links-added", false,
                "\(new.count == 1 ? "a link comes" : "\(new.count) links come"): \(TopologyDiff.list(new))")
        }
    }

    private mutating func rights() {
        let pairs = Set(live.rights.kinds.keys).union(next.rights.kinds.keys).sorted()
        for pair in pairs {
            let (before, after) = (Set(live.rights.kinds(of: pair)), Set(next.rights.kinds(of: pair)))
            func words(_ kinds: Set<MessageKind>) -> String { TopologyDiff.list(kinds.map(\.description).sorted()) }
            let (lost, gained) = (before.subtracting(after), after.subtracting(before))
            let ends = "segment \(pair.from) to \(pair.to == pair.from ? "itself" : pair.to)"
            if !lost.isEmpty {
                add(
                    "rights-lost", true,
                    "\(ends): \(words(lost)) may not be sent any more; what is under way is held there")
            }
            if !gained.isEmpty { add("rights-gained", false, "\(ends): \(words(gained)) may be sent now") }
        }
    }
}

extension String {
    fileprivate var orNothing: String { isEmpty ? "nothing" : self }
}
