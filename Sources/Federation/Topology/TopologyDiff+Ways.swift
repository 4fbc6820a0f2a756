/// Who can reach whom, and over whom.
extension TopologyDiff {
    /// Live nodes that hang together over live nodes.
    struct Reach: Sendable {
        let islands: [Set<NodeID>]
        private let places: [NodeID: Int]

        init(_ topology: Topology) {
            let lives = Set(topology.nodes.filter { $0.state == .live }.map(\.id))
            var neighbours: [NodeID: Set<NodeID>] = [:]
            for link in topology.links where lives.contains(link.dials) && lives.contains(link.listens) {
                neighbours[link.dials, default: []].insert(link.listens)
                neighbours[link.listens, default: []].insert(link.dials)
            }
            var places: [NodeID: Int] = [:]
            var islands: [Set<NodeID>] = []
            for node in lives.sorted() where places[node] == nil {
                var island: Set<NodeID> = [node]
                var edge = [node]
                while let at = edge.popLast() {
                    for other in neighbours[at] ?? [] where island.insert(other).inserted { edge.append(other) }
                }
                for member in island { places[member] = islands.count }
                islands.append(island)
            }
            (self.islands, self.places) = (islands, places)
        }

        var lives: Set<NodeID> { Set(places.keys) }

        func island(of node: NodeID) -> Set<NodeID> { places[node].map { islands[$0] } ?? [] }

        func leads(from: NodeID, to: NodeID) -> Bool { places[from].map { $0 == places[to] } ?? false }
    }

    /// Whether what waits at one node for another could not get there any more.
    package func cutsOff(_ from: NodeID, from to: NodeID) -> Bool {
        guard !reachAfter.leads(from: from, to: to) else { return false }
        if reachBefore.leads(from: from, to: to) { return true }
        let (before, after) = (live.node(to)?.state, next.node(to)?.state)
        return before != nil && before != .retired && (after == nil || after == .retired)
    }

    /// Whether a node is one that others reach.
    package func staysLive(_ node: NodeID) -> Bool { next.node(node)?.state == .live }

    mutating func ways() {
        let both = reachBefore.lives.intersection(reachAfter.lives)
        islands(both)
        guard let old = live.centre, let new = next.centre else { return }
        if old != new {
            add(
                "centre-changed", true, of: [new.text, old.text],
                "the centre is \(new), it was \(old): no proposal can change that")
        }
        waysToCentre(both, old, new)
        waysPastCentre(both.subtracting([old, new]).sorted(), old, new)
    }

    /// Whoever hangs together afterwards loses and gains the same: one sentence for all of them.
    private mutating func islands(_ both: Set<NodeID>) {
        for island in reachAfter.islands {
            let members = island.intersection(both).sorted()
            guard let first = members.first else { continue }
            let old = reachBefore.island(of: first)
            let lost = old.intersection(both).subtracting(island)
            let gained = island.intersection(both).subtracting(old)
            let hasCentre = next.centre.map(island.contains) ?? false
            let names = Words.list(members.map(\.text))
            if !lost.isEmpty, !hasCentre {
                let losesCentre = live.centre.map(lost.contains) == true
                let rest = lost.count - (losesCentre ? 1 : 0)
                let whom = (losesCentre ? ["the centre"] : []) + (rest > 0 ? [Words.count(rest, "other node")] : [])
                add(
                    "cut-off", true, of: members.map(\.text),
                    "\(names) \(members.count == 1 ? "loses its" : "lose their") way to \(Words.list(whom))")
            }
            if !gained.isEmpty, !hasCentre || members.count == 1 {
                add(
                    "joined", false, of: members.map(\.text),
                    "\(names) can reach \(Words.list(gained.sorted().map(\.text))) now")
            }
        }
    }

    private mutating func waysToCentre(_ both: Set<NodeID>, _ old: NodeID, _ new: NodeID) {
        struct Change: Hashable {
            var after: String
            var before: String
        }
        func words(_ hop: NodeID, _ centre: NodeID) -> String { hop == centre ? "straight" : "over \(hop)" }
        var moved: [Change: [String]] = [:]
        for node in both.sorted() where node != new {
            guard let before = live.nextHop(from: node, to: old), let after = next.nextHop(from: node, to: new),
                before != after
            else { continue }
            moved[Change(after: words(after, new), before: words(before, old)), default: []].append(node.text)
        }
        for (change, nodes) in moved.sorted(by: { ($0.key.after, $0.key.before) < ($1.key.after, $1.key.before) }) {
            let (go, they) = nodes.count == 1 ? ("goes", "it") : ("go", "they")
            add(
                "way-changed", false, of: nodes,
                "\(Words.list(nodes)) \(go) to the centre \(change.after) now, \(they) went \(change.before)")
        }
    }

    private struct Ends: Hashable {
        var one: NodeID
        var other: NodeID
    }

    private static let mostWays = 6

    /// Between two others. What leads over the centre before and after changes as the two ways to the centre do.
    private mutating func waysPastCentre(_ nodes: [NodeID], _ old: NodeID, _ new: NodeID) {
        func words(_ hops: [NodeID]) -> String {
            hops.isEmpty ? "straight" : "over \(Words.list(hops.map(\.text)))"
        }
        var moved: [String: [Ends]] = [:]
        for (index, one) in nodes.enumerated() {
            for other in nodes[(index + 1)...] {
                guard let before = TopologyDiff.hops(from: one, to: other, in: live),
                    let after = TopologyDiff.hops(from: one, to: other, in: next), before != after,
                    !(before.contains(old) && after.contains(new))
                else { continue }
                moved["\(words(after)) now, it went \(words(before))", default: []].append(Ends(one: one, other: other))
            }
        }
        let groups = moved.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }
        for (words, pairs) in groups.prefix(TopologyDiff.mostWays) {
            add(
                "way-changed", false, of: TopologyDiff.ends(pairs),
                "between \(TopologyDiff.names(pairs)) the way goes \(words)")
        }
        let rest = groups.dropFirst(TopologyDiff.mostWays).flatMap(\.value)
        if !rest.isEmpty {
            add(
                "way-changed", false, of: TopologyDiff.ends(rest),
                "between \(Words.count(rest.count, "more pair")) of nodes the way is another")
        }
    }

    /// The nodes in between; nil: there is no way.
    private static func hops(from: NodeID, to: NodeID, in topology: Topology) -> [NodeID]? {
        var hops: [NodeID] = []
        var at = from
        while let hop = topology.nextHop(from: at, to: to), hop != to, hops.count < topology.nodes.count {
            hops.append(hop)
            at = hop
        }
        return topology.nextHop(from: at, to: to) == to ? hops : nil
    }

    private static func ends(_ pairs: [Ends]) -> [String] {
        Set(pairs.flatMap { [$0.one.text, $0.other.text] }).sorted()
    }

    private static func names(_ pairs: [Ends]) -> String {
        let first = pairs[0]
        for node in [first.one, first.other] where pairs.allSatisfy({ $0.one == node || $0.other == node }) {
            return "\(node) and \(Words.list(pairs.map { $0.one == node ? $0.other.text : $0.one.text }))"
        }
        return "\(first.one) and \(first.other), and between \(Words.count(pairs.count - 1, "other pair")) of nodes,"
    }
}
