/// What a newer topology would change, in sentences for central operations, the worst first. A value: what is under way it
/// does not know.
package struct TopologyDiff: Sendable {
    package struct Finding: Sendable, Hashable, Encodable {
        /// Kebab-case, stable.
        package var code: String
        /// Somebody loses something.
        package var isLoss: Bool
        /// The nodes or tenancies that it is about, all of them.
        package var names: [String]
        package var text: String

        package init(code: String, isLoss: Bool, names: [String] = [], text: String) {
            self.code = code
            self.isLoss = isLoss
            self.names = names
            self.text = text
        }
    }

    package private(set) var findings: [Finding] = []
    /// Whose appeals go elsewhere.
    package internal(set) var moves: [Move] = []
    package let live: Topology
    package let next: Topology
    let reachBefore: Reach
    let reachAfter: Reach
    /// ISO 8601: what has been is past.
    let today: String

    package init(from live: Topology, to next: Topology, today: String) {
        (self.live, self.next, self.today) = (live, next, today)
        (reachBefore, reachAfter) = (Reach(live), Reach(next))
        federation()
        ways()
        nodes()
        participants()
        homes()
        tenancies()
        rights()
        links()
        if next.version < live.version || next.version == live.version && !findings.isEmpty {
            add(
                "version-not-higher", true,
                "its version \(next.version) is not higher than \(live.version): no node takes it")
        }
        // Stable: within losses and gains the order of the sections.
        findings = findings.filter(\.isLoss) + findings.filter { !$0.isLoss }
    }

    mutating func add(_ code: String, _ isLoss: Bool, of names: [String] = [], _ text: String) {
        findings.append(Finding(code: code, isLoss: isLoss, names: names, text: text))
    }

    // MARK: Segments, nodes, links and rights

    private mutating func federation() {
        if live.federation != next.federation {
            add(
                "federation-changed", true,
                "it is of the federation \(next.federation), not of \(live.federation): no node takes it")
        }
        for segment in next.segments {
            guard let old = live.segments.first(where: { $0.id == segment.id }) else {
                add("segment-comes", false, "segment \(segment.id) is new, with profile \(segment.profile)")
                continue
            }
            guard old.profile != segment.profile else { continue }
            let nodes = next.nodes.filter { $0.segment == segment.id && $0.state == .live }.map(\.id.text).sorted()
            add(
                "profile-changed", true, of: nodes,
                "segment \(segment.id) has profile \(segment.profile), it had \(old.profile): a node whose program does not "
                    + "have it loses its links")
        }
        for old in live.segments where !next.segments.contains(where: { $0.id == old.id }) {
            add("segment-goes", false, "segment \(old.id) is not there any more")
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
                    "segment-changed", true, of: [node.id.text],
                    "\(node.id) is in segment \(node.segment), it was in \(old.segment): it needs a certificate of that authority"
                )
            }
            if old.subject != node.subject {
                func words(_ subject: String?) -> String { subject.map { "subject \($0)" } ?? "no subject" }
                add(
                    "subject-changed", false, of: [node.id.text],
                    "\(node.id) is the node of \(words(node.subject)), it was of \(words(old.subject))")
            }
            if old.addresses != node.addresses {
                func words(_ addresses: [Topology.Address]) -> String {
                    addresses.isEmpty ? "no address" : Words.list(addresses.map(\.description))
                }
                let dialling = next.links.filter { $0.listens == node.id }.map(\.dials.text).sorted()
                let dial =
                    dialling.isEmpty
                    ? "nobody dials it" : Words.list(dialling) + (dialling.count == 1 ? " dials" : " dial") + " it anew"
                add(
                    "address-changed", false, of: [node.id.text],
                    "\(node.id) is at \(words(node.addresses)), it was at \(words(old.addresses)): \(dial), and it must be "
                        + "started again itself")
            }
        }
        for (what, names) in states.sorted(by: { $0.key < $1.key }) {
            let isLoss = !what.hasPrefix("new") && !what.hasPrefix("live")
            let verb = names.count == 1 ? "is" : "are"
            add(
                isLoss ? "node-leaves" : "node-comes", isLoss, of: names.sorted(),
                "\(Words.list(names.sorted())) \(verb) \(what)")
        }
        let gone = live.nodes.filter { next.node($0.id) == nil }.map(\.id.text).sorted()
        if !gone.isEmpty {
            add(
                "node-removed", true, of: gone,
                "\(Words.list(gone)) \(gone.count == 1 ? "is" : "are") not there any more")
        }
        // Their neighbours go by it first.
        let leaving = live.nodes.filter { $0.state == .live && !staysLive($0.id) }.map(\.id.text).sorted()
        if !leaving.isEmpty {
            let (are, they) = leaving.count == 1 ? ("is", "it takes it: it hears") : ("are", "they take it: they hear")
            add(
                "cannot-verify", false, of: leaving,
                "\(Words.list(leaving)) \(are) hung up on before \(they) of it by hand")
        }
    }

    private mutating func links() {
        func words(_ link: Topology.Link) -> String { "\(link.dials) → \(link.listens)" }
        func ends(_ links: Set<Topology.Link>) -> [String] {
            Set(links.flatMap { [$0.dials.text, $0.listens.text] }).sorted()
        }
        let (before, after) = (Set(live.links), Set(next.links))
        let (fewer, more) = (before.subtracting(after), after.subtracting(before))
        let (gone, new) = (fewer.map(words).sorted(), more.map(words).sorted())
        if !gone.isEmpty {
            add(
                "links-removed", false, of: ends(fewer),
                "\(gone.count == 1 ? "a link goes" : "\(gone.count) links go"): \(Words.list(gone))")
        }
        if !new.isEmpty {
            add(
                "links-added", false, of: ends(more),
                "\(new.count == 1 ? "a link comes" : "\(new.count) links come"): \(Words.list(new))")
        }
    }

    private mutating func rights() {
        let pairs = Set(live.rights.kinds.keys).union(next.rights.kinds.keys).sorted()
        for pair in pairs {
            let (before, after) = (Set(live.rights.kinds(of: pair)), Set(next.rights.kinds(of: pair)))
            func words(_ kinds: Set<MessageKind>) -> String { Words.list(kinds.map(\.description).sorted()) }
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
