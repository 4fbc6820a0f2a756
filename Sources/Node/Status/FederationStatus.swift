import Federation

/// Every node of a federation, the worst first: what the admin socket of the centre says, and what the screen shows.
struct FederationStatus: Codable {
    struct Queue: Codable {
        /// A tenancy, or `L1`.
        var tenancy: String
        var waiting: UInt32
        var overdue: UInt32
        var oldestSeconds: Int64?
    }

    struct Mail: Codable {
        var waiting: UInt64
        var oldestSeconds: Int64?
    }

    struct Key: Codable {
        /// link: the certificate of its link key; authority: that of its segment.
        var name: String
        var ends: String
        var days: Int64
    }

    struct Node: Codable {
        var node: String
        /// planned, live, suspended, retired; of a live one also draining, node-rewound, control-only.
        var state: String
        /// running, metadata-only, greeting, refused, dark, paused, here; absent for a node that is not live.
        var link: String?
        var linkSince: String?
        var why: String?
        /// The neighbour that it is behind.
        var via: String?
        var darkSince: String?
        var darkSeconds: Int64?
        var roundTripMicroseconds: Int64?
        /// How far its clock is ahead.
        var skewMilliseconds: Int64?
        /// When it last said how it is, and how long ago: everything below is as of then.
        var heard: String?
        var heardSeconds: Int64?
        var queues: [Queue]
        /// What waits at the node for others, and what waits at the centre for it.
        var outbox: Mail?
        /// Of `outbox`, by destination; absent: the node does not say.
        var outboxFor: [String: UInt32]?
        var mailForIt: Mail
        var closedRooms: UInt32?
        var quarantined: UInt64?
        var heldElsewhere: UInt64?
        var missing: UInt64?
        var lost: UInt64?
        var unbalanced: UInt32?
        var topologyVersion: UInt64?
        /// Since it verified newer signed metadata.
        var metadataAgeSeconds: UInt64?
        var knowledge: UInt64?
        var keys: [Key]
        var usedBytes: UInt64?
        var quotaBytes: UInt64?
        var diskBytes: UInt64?
        var problems: [NodeProblem]
    }

    var federation: String
    /// RFC 3339, by the clock of the centre.
    var at: String
    var topologyVersion: UInt64
    var knowledge: UInt64
    var nodes: [Node]

    init(_ observation: FederationObservation) {
        let now = observation.now
        federation = observation.topology.federation
        at = now.rfc3339
        topologyVersion = observation.topology.version
        knowledge = observation.own.knowledge
        let judged = observation.conditions.map { condition in
            (
                condition,
                condition.problems(
                    at: now, topologyVersion: observation.topology.version, published: observation.own.knowledge)
            )
        }
        nodes = FederationStatus.worstFirst(judged).map { Node($0.condition, $0.problems, at: now) }
    }

    typealias Judged = (condition: NodeCondition, problems: [NodeProblem])

    /// The worst first; of two that are dark the one that is dark longer; what is behind a node that is not there, behind it.
    static func worstFirst(_ judged: [Judged]) -> [Judged] {
        let byNode = Dictionary(judged.map { ($0.condition.node, $0) }, uniquingKeysWith: { first, _ in first })
        return judged.sorted { order($0, byNode) < order($1, byNode) }
    }

    private static func order(_ node: Judged, _ all: [NodeID: Judged]) -> (Int, Int64, Int, String) {
        var rank = node.problems.first?.rank ?? (node.condition.state == .live ? 1_000 : 2_000)
        var since = node.condition.darkSince?.milliseconds ?? .max
        var depth = 0
        var hop = node.condition.link?.isUp == false ? node.condition.link?.via : nil
        while let via = hop.flatMap({ all[$0] }), via.condition.link?.isUp == false, depth < all.count {
            rank = max(rank, via.problems.first?.rank ?? rank)
            since = via.condition.darkSince?.milliseconds ?? .max
            depth += 1
            hop = via.condition.link?.via
        }
        return (rank, since, depth, node.condition.node.text)
    }
}

extension FederationStatus.Node {
    init(_ condition: NodeCondition, _ problems: [NodeProblem], at now: Timestamp) {
        func age(_ instant: Timestamp?) -> Int64? { instant.map { max(0, now.milliseconds - $0.milliseconds) / 1000 } }
        node = condition.node.text
        let report = condition.report
        state = condition.state.rawValue
        if condition.state == .live, report?.isRewound == true {
            state = "node-rewound"
        } else if condition.state == .live, report?.isControlOnly == true {
            state = "control-only"
        } else if condition.state == .live, report?.isDraining == true {
            state = "draining"
        }
        link = condition.link?.state
        linkSince = condition.link?.since.rfc3339
        why = condition.link?.why
        via = condition.link?.via?.text
        darkSince = condition.darkSince?.rfc3339
        darkSeconds = age(condition.darkSince)
        roundTripMicroseconds = condition.link?.roundTrip
        skewMilliseconds = condition.link?.skew
        heard = condition.heard?.rfc3339
        heardSeconds = age(condition.heard)
        queues =
            report == nil
            ? []
            : condition.tenancies.map { tenancy in
                let queue = condition.queue(tenancy)
                return FederationStatus.Queue(
                    tenancy: tenancy, waiting: queue?.waiting ?? 0, overdue: queue?.overdue ?? 0,
                    oldestSeconds: age(queue?.oldest))
            }
        outbox = report.map { FederationStatus.Mail(waiting: $0.waiting, oldestSeconds: age($0.oldest)) }
        outboxFor = condition.outbox.map { outbox in
            Dictionary(outbox.map { ($0.text, $1) }, uniquingKeysWith: { first, _ in first })
        }
        mailForIt = FederationStatus.Mail(
            waiting: condition.mail?.waiting ?? 0, oldestSeconds: age(condition.mail?.oldest))
        closedRooms = report?.closedRooms
        quarantined = report?.quarantined
        heldElsewhere = report?.heldElsewhere
        missing = report?.missing
        lost = report?.lost
        unbalanced = report?.unbalanced
        topologyVersion = report?.topologyVersion
        metadataAgeSeconds = report.map { $0.metadataAge / 1000 }
        knowledge = report?.knowledge
        keys = condition.keys(at: now).map {
            FederationStatus.Key(name: $0.name, ends: $0.ends.rfc3339, days: $0.days)
        }
        usedBytes = report?.usedBytes
        quotaBytes = report?.quotaBytes
        diskBytes = report?.diskBytes
        self.problems = problems
    }
}
