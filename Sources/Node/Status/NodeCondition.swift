import Federation

/// How one node of the federation is, as it is known here and now. A value: where it came from it does not know.
struct NodeCondition {
    struct Link {
        /// running, metadata-only, greeting, refused, dark, paused; `here` for the node that is asked.
        var state: String
        var since: Timestamp
        var why: String?
        /// The neighbour on the way there, when the node is none itself.
        var via: NodeID?
        /// Microseconds.
        var roundTrip: Int64?
        /// Milliseconds.
        var skew: Int64?

        var isUp: Bool { state == "running" || state == "here" }
        /// At this end, or as the other end has said.
        var isPaused: Bool { state == "paused" || why?.contains("link-paused") == true }
    }

    struct Mail {
        var waiting: UInt64
        var oldest: Timestamp?
    }

    var node: NodeID
    /// Of the topology.
    var state: Topology.NodeState
    /// Its tenancies: those with nothing in their queue too.
    var tenancies: [String]
    /// Nil for a node that need not be there yet, or any more.
    var link: Link?
    /// What it has said of itself, and when that was heard.
    var report: NodeReport?
    var heard: Timestamp?
    var stuckSince: Timestamp?
    /// What waits here for it.
    var mail: Mail?
    /// What waits at it for others, by their names; nil: it has not said so.
    var outbox: [NodeID: UInt32]?
    /// A security administrator has taken it out.
    var isDenied = false

    /// What was said of a tenancy.
    func queue(_ tenancy: String) -> NodeReport.Queue? {
        let name = NodeReport.name(of: tenancy)
        return report?.queues.first { $0.name == name }
    }

    /// Since when nothing is heard of it; nil while its link runs, and while somebody has paused it or taken it out on purpose.
    var darkSince: Timestamp? {
        guard let link, !link.isUp, !link.isPaused, !isDenied else { return nil }
        return heard.map { min($0, link.since) } ?? link.since
    }
}

/// What the centre sees, in one moment.
struct FederationObservation {
    static let silenceMilliseconds = ReportBook.silenceMilliseconds
    /// The queue of the first line, at the centre.
    static let firstLine = "L1"

    var now: Timestamp
    var topology: Topology
    var here: NodeID
    var own: NodeReport
    var links: [LinkStanding]
    var reports: [NodeID: ReportBook.Entry]
    var mail: [NodeID: NodeCondition.Mail]
    var denied: Set<NodeID> = []

    /// Every node of the topology.
    var conditions: [NodeCondition] {
        let names = Dictionary(
            topology.nodes.map { (NodeReport.name(of: $0.id.text), $0.id) }, uniquingKeysWith: { first, _ in first })
        return topology.nodes.map { condition($0, names) }
    }

    private func condition(_ node: Topology.Node, _ names: [UInt64: NodeID]) -> NodeCondition {
        let entry = reports[node.id]
        let isHere = node.id == here
        var tenancies = topology.tenancies.filter { $0.node == node.id }.map(\.id)
        if topology.centre == node.id { tenancies.insert(FederationObservation.firstLine, at: 0) }
        let report = isHere ? own : entry?.report
        let outbox = report?.mail.map { mail in
            Dictionary(
                mail.compactMap { entry in names[entry.name].map { ($0, entry.waiting) } },
                uniquingKeysWith: { first, _ in first })
        }
        return NodeCondition(
            node: node.id, state: node.state, tenancies: tenancies,
            link: node.state == .live ? link(node.id, entry) : nil, report: report,
            heard: isHere ? now : entry?.heard, stuckSince: entry?.stuckSince, mail: mail[node.id], outbox: outbox,
            isDenied: denied.contains(node.id))
    }

    private func link(_ node: NodeID, _ entry: ReportBook.Entry?) -> NodeCondition.Link {
        if node == here { return NodeCondition.Link(state: "here", since: own.started) }
        if let standing = links.first(where: { $0.peer == node }) {
            return NodeCondition.Link(
                state: standing.state.rawValue, since: standing.since, why: standing.why,
                roundTrip: standing.echo?.roundTrip, skew: standing.echo?.skew)
        }
        let hop = topology.nextHop(from: here, to: node)
        let isSilent = entry.map { entry in
            now.milliseconds - entry.heard.milliseconds > FederationObservation.silenceMilliseconds
        }
        // Who stands behind a link that is paused on purpose is not heard of on purpose.
        if isSilent != false, let hop, let standing = links.first(where: { $0.peer == hop }) {
            let gate = NodeCondition.Link(state: standing.state.rawValue, since: standing.since, why: standing.why)
            if gate.isPaused {
                return NodeCondition.Link(
                    state: gate.state, since: entry?.heard ?? gate.since, why: gate.why, via: hop)
            }
        }
        guard let entry, let isSilent else {
            return NodeCondition.Link(
                state: "dark", since: own.started, why: hop == nil ? "no-route" : "nothing was heard of it yet",
                via: hop)
        }
        return NodeCondition.Link(
            state: isSilent ? "dark" : "running", since: entry.heard, why: isSilent ? "silent" : nil, via: hop,
            skew: entry.skew)
    }
}
