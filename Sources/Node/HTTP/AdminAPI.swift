import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// The admin socket: for root and the node's own user, by the kernel's word.
struct AdminAPI {
    let node: FederationNode
    let reporter: NodeReporter
    let backups: BackupDesk

    init(_ node: FederationNode, _ reporter: NodeReporter, _ backups: BackupDesk) {
        self.node = node
        self.reporter = reporter
        self.backups = backups
    }

    struct Status: Codable {
        struct Link: Codable {
            var peer: String
            var state: String
        }

        struct Awaited: Codable {
            var count: Int
            var neighbours: [String]
        }

        /// The signed metadata that is in force.
        struct Metadata: Codable {
            var root: UInt64
            var targets: UInt64
            var timestamp: UInt64
            /// Since a newer timestamp was verified.
            var ageSeconds: Int64
            var denied: [String]
            /// Nodes whose keys were refused, and why.
            var faults: [String: String]

            init(_ state: SignedFederation, _ freshness: Freshness) {
                root = state.metadata.root.common.version
                targets = state.targets.common.version
                timestamp = state.metadata.timestamp?.common.version ?? 0
                ageSeconds = freshness.age / 1000
                denied = state.denied.map(\.node.text)
                faults = Dictionary(
                    state.faults.map { ($0.key.text, $0.value.description) }, uniquingKeysWith: { first, _ in first })
            }
        }

        var node: String
        /// `ready`; `node-rewound` or `store-damaged`: an administrator must look.
        var state: String
        /// After a restore: how many neighbours have yet to say that they have no newer signed metadata, and who may. Until
        /// then its messages wait; absent: they pass.
        var controlOnlyUntil: Awaited?
        /// Since when it takes nothing new, RFC 3339.
        var drainingSince: String?
        /// What is wrong with the store, and the way back.
        var damage: String?
        var incarnation: String
        var federation: String
        var segment: String
        var topologyVersion: UInt64
        var metadata: Metadata
        var links: [Link]
        /// Envelopes kept for others, by destination.
        var outbox: [String: UInt64]
        var probes: UInt64
        /// The number of the last knowledge entry that was published (at the centre) or applied.
        var knowledge: UInt64
        /// Messages of an earlier life that are being got back, and such as nobody has any more.
        var missing: UInt64
        var lost: UInt64
        /// Streams of which the counts do not agree between their ends, and how.
        var unbalanced: [String: String]
        /// Messages that are kept here until a person, or a newer topology, has decided.
        var quarantined: UInt64
        /// This node's messages that others keep undecided.
        var heldElsewhere: UInt64
        var confinement: String
    }

    struct NewOperator: Codable, APIRequest {
        static let fields: Set = ["name", "organisation", "tenancy", "line", "tokenDigest"]
        var name: String
        var organisation: String?
        var tenancy: String?
        var line: String
        /// BLAKE2b-256 of the token's text, in hex.
        var tokenDigest: String
    }

    struct People: Codable {
        struct Person: Codable {
            var name: String
            var line: String
            var tenancy: String?
            var organisation: String?
        }

        var operators: [Person]
    }

    struct NewChannel: Codable, APIRequest {
        static let fields: Set = ["name", "kind", "tokenDigest"]
        var name: String
        var kind: String
        var tokenDigest: String
    }

    /// Why somebody does it: kept.
    struct Reason: Codable, APIRequest {
        static let fields: Set = ["reason"]
        var reason: String

        /// Whether it says something, in at most 255 bytes, and steers no terminal.
        var isFit: Bool {
            reason.contains { !$0.isWhitespace } && reason.utf8.count <= 255
                && !reason.unicodeScalars.contains { $0.value < 32 || (127..<160).contains($0.value) }
        }
    }

    struct Count: Codable {
        var count: Int
    }

    var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        let node = node
        routes.health(of: node)
        operations(&routes)
        gaps(&routes)
        admitted(&routes, "GET", "/api/v1/node") { _ in .json(try AdminAPI.status(of: node)) }
        admitted(&routes, "POST", "/api/v1/probes") { .json(try AdminAPI.sendProbes($0, node)) }
        admitted(&routes, "GET", "/api/v1/probes/{destination}") { request in
            guard let destination = NodeID(request.parameters["destination"] ?? "") else {
                throw Problem(400, "bad-node-name", "No node name.", remedy: "Name the destination.")
            }
            let stream = StreamID(
                origin: node.id, incarnation: node.store.incarnation, destination: destination, lane: .bulk)
            return .json(ProbesApplied(applied: node.links.ask { exchange in exchange.decided(stream) }))
        }
        admitted(&routes, "POST", "/api/v1/knowledge/drafts") { .json(try AdminAPI.importDrafts($0, node)) }
        admitted(&routes, "POST", "/api/v1/knowledge/publish") { .json(try AdminAPI.publish($0, node)) }
        admitted(&routes, "GET", "/api/v1/knowledge/{id}") { request in
            let id = request.parameters["id"] ?? ""
            let found = try node.store.read { transaction throws(StoreError) in try Knowledge.entry(id, in: transaction)
            }
            guard let found else {
                throw Problem(
                    404, "no-such-entry", "\(id) is not known here.",
                    remedy: "Knowledge comes from the centre; see ekc node status.")
            }
            return .json(found)
        }
        admitted(&routes, "GET", "/api/v1/trace/{id}") { request in
            let text = request.parameters["id"] ?? ""
            let found = try node.store.read { transaction throws(StoreError) in
                try AppealLookup.id(text, in: transaction)
            }
            guard let id = found else {
                throw Problem(
                    404, "no-such-appeal", "\(text.prefix(64)) is no id, and no number of an appeal at \(node.id).",
                    remedy: "Send the id or the number as it was given at intake, or ask its home.")
            }
            return .json(try AdminAPI.trace(id, node))
        }
        admitted(&routes, "GET", "/api/v1/operators") { _ in
            let people = try node.store.read { transaction throws(StoreError) in try Accounts.people(in: transaction) }
            return .json(
                People(
                    operators: people.map { person in
                        switch person.desk {
                        case .firstLine: People.Person(name: person.name, line: "1", organisation: person.organisation)
                        case .secondLine(let tenancy, let line):
                            People.Person(name: person.name, line: line, tenancy: tenancy)
                        }
                    }))
        }
        admitted(&routes, "POST", "/api/v1/operators") { .json(try AdminAPI.addOperator($0, node)) }
        admitted(&routes, "POST", "/api/v1/channels") { .json(try AdminAPI.addChannel($0, node)) }
        admitted(&routes, "DELETE", "/api/v1/operators/{name}") { request in
            try node.store.write(.essential) { transaction in
                try Accounts.remove(
                    operator: request.parameters["name"] ?? "", by: AdminAPI.actor(request), in: transaction)
            }
            return .json(Count(count: 1))
        }
        admitted(&routes, "DELETE", "/api/v1/channels/{name}") { request in
            try node.store.write(.essential) { transaction in
                try Accounts.remove(
                    channel: request.parameters["name"] ?? "", by: AdminAPI.actor(request), in: transaction)
            }
            return .json(Count(count: 1))
        }
        admitted(&routes, "GET", "/api/v1/quarantine") { _ in .json(try AdminAPI.quarantine(of: node)) }
        admitted(&routes, "GET", "/api/v1/quarantine/{number}") { .json(try AdminAPI.quarantined($0, node)) }
        for decision in [Inbox.Decision.release, .return] {
            admitted(&routes, "POST", "/api/v1/quarantine/{number}/\(decision.rawValue)") {
                .json(try AdminAPI.decide(decision, $0, node))
            }
        }
        let backups = backups
        admitted(&routes, "POST", "/api/v1/backups") { request in
            let order = try JSONBody.decode(BackupOrder.self, from: request.body)
            return .json(try backups.begin(node, order.folder, by: AdminAPI.actor(request)))
        }
        admitted(&routes, "GET", "/api/v1/backups") { _ in .json(backups.current) }
        admitted(&routes, "POST", "/api/v1/topology/diff") { .json(try AdminAPI.underWay($0, node)) }
        admitted(&routes, "POST", "/api/v1/topology/publish") { .json(try AdminAPI.publishTopology($0, node)) }
        return routes
    }

    private static func digest(_ text: String) throws(Problem) -> [UInt8] {
        guard let digest = Hex.decode(text, count: 32) else {
            throw Problem(400, "bad-field", "tokenDigest is not 32 bytes in hex.", remedy: "Use ekc operator add.")
        }
        return digest
    }

    private static func addOperator(_ request: HTTPRequest, _ node: FederationNode) throws -> Count {
        let new = try JSONBody.decode(NewOperator.self, from: request.body)
        let digest = try digest(new.tokenDigest)
        let desk: Operator.Desk
        switch (new.line, new.tenancy) {
        case ("1", nil):
            guard node.topology.centre == node.id else {
                throw Problem(409, "not-the-centre", "Line 1 is at the centre.", remedy: "Add the operator there.")
            }
            let known = node.topology.participants.map(\.id).filter { $0 != "OSZN" }
            guard let organisation = new.organisation, known.contains(organisation) else {
                throw Problem(
                    400, "line-not-allowed", "\(new.organisation ?? "Nobody") has no first line.",
                    remedy: "Name one of \(known.joined(separator: ", ")): OSZN works in the second line only.")
            }
            desk = .firstLine
        case ("2", let tenancy?), ("2.1", let tenancy?):
            guard let known = node.topology.tenancy(tenancy), known.node == node.id, known.lines.contains(new.line)
            else {
                throw Problem(
                    409, "no-such-tenancy", "\(tenancy) has no line \(new.line) at \(node.id).",
                    remedy: "Name a tenancy of this node's, and a line of it.")
            }
            desk = .secondLine(tenancy: tenancy, line: new.line)
        default:
            throw Problem(
                400, "bad-field", "The line does not go with the tenancy.",
                remedy: "Send line 1 without a tenancy, or line 2 or 2.1 with one.")
        }
        let person = Operator(name: new.name, desk: desk)
        try node.store.write(.essential) { transaction in
            try Accounts.add(
                person, organisation: new.organisation, tokenDigest: digest, by: actor(request), in: transaction)
        }
        return Count(count: 1)
    }

    private static func addChannel(_ request: HTTPRequest, _ node: FederationNode) throws -> Count {
        let new = try JSONBody.decode(NewChannel.self, from: request.body)
        let digest = try digest(new.tokenDigest)
        try requireCentre(node, "Channels hand in at the centre.")
        guard let kind = AppealRecord.Channel(rawValue: new.kind) else {
            throw Problem(400, "bad-field", "\(new.kind) is no kind of channel.", remedy: "Use voice, chat or form.")
        }
        try node.store.write(.essential) { transaction in
            try Accounts.addChannel(new.name, kind: kind, tokenDigest: digest, by: actor(request), in: transaction)
        }
        return Count(count: 1)
    }

    /// Who is at the socket, as events name it.
    static func actor(_ request: HTTPRequest) -> String {
        if case .unix(let uid, _) = request.peer { "uid/\(uid)" } else { "nobody" }
    }

    /// The reason that a request must give.
    static func reason(_ request: HTTPRequest) throws(Problem) -> String {
        let order = try JSONBody.decode(Reason.self, from: request.body)
        guard order.isFit else {
            throw Problem(
                400, "bad-field", "The reason is empty, longer than 255 bytes, or holds control characters.",
                remedy: "Say in a few words why.")
        }
        return order.reason
    }

    /// A route for root and the user that runs the node, and nobody else.
    func admitted(
        _ routes: inout HTTPRoutes, _ method: String, _ pattern: String,
        _ body: @escaping @Sendable (HTTPRequest) throws -> HTTPResponse
    ) {
        routes.on(
            method, pattern,
            waiting: { request in
                guard case .unix(let uid, _) = request.peer, uid == 0 || uid == getuid() else {
                    throw Problem(
                        403, "not-yours", "The admin socket is for root and the node's own user.",
                        remedy: "Become one of them.")
                }
                return try body(request)
            })
    }

    private static func requireCentre(_ node: FederationNode, _ what: String) throws(Problem) {
        guard node.topology.centre == node.id else {
            throw Problem(
                409, "not-the-centre", what,
                remedy: "ask \(node.topology.centre?.text ?? "the centre")")
        }
    }

    private static let draftsPerCommit = 512

    private static func importDrafts(_ request: HTTPRequest, _ node: FederationNode) throws -> Count {
        try requireCentre(node, "Knowledge is edited at the centre.")
        let entries = try JSONBody.decodeList(KnowledgeEntry.self, from: request.body)
        if let fault = KnowledgeEntry.faults(entries).first {
            throw Problem(400, "bad-entry", fault, remedy: "Mend it; nothing of this request was taken.")
        }
        let known = Set(node.topology.participants.map(\.id))
        if let entry = entries.first(where: { !known.contains($0.organisation) }) {
            throw Problem(
                400, "bad-entry", "\(entry.id): there is no participant \(entry.organisation)",
                remedy: "Mend it; nothing of this request was taken.")
        }
        // With the pages around them, and what they replace.
        try node.store.requireRoom(bytes: 3 * request.body.count + 4 << 20)
        // In parts: what a commit has touched stays with the process. Whoever repeats it writes the same again.
        for start in stride(from: 0, to: entries.count, by: draftsPerCommit) {
            let part = entries[start..<min(start + draftsPerCommit, entries.count)]
            do {
                try node.store.write(.intake) { transaction in
                    for entry in part { try Knowledge.draft(entry, in: transaction) }
                }
            } catch let error as StoreError where error.code == .full {
                throw Problem(
                    503, error.code.rawValue,
                    "\(start) of \(entries.count) entries are kept as drafts: \(error.detail)",
                    remedy: "\(error.remedy); then hand in the same again", retryAfter: 60)
            }
        }
        return Count(count: entries.count)
    }

    private static func publish(_ request: HTTPRequest, _ node: FederationNode) throws -> Count {
        try requireCentre(node, "Knowledge is edited at the centre.")
        var count = 0
        while true {
            let part = try node.store.write(.intake) { transaction in
                let count = try Knowledge.publish(limit: 128, by: node.outbox, ids: Random.id128, in: transaction)
                if count > 0 {
                    try Events.note(
                        "knowledge-published", of: "\(count) entries", by: actor(request), in: transaction)
                }
                return count
            }
            if part == 0 { return Count(count: count) }
            count += part
        }
    }

    private static func status(of node: FederationNode) throws -> Status {
        let (links, rows, rewound, unbalanced) = node.links.ask { exchange in
            (exchange.links, exchange.rows, exchange.isRewound, exchange.unbalanced)
        }
        var waiting: [String: UInt64] = [:]
        // Each life of the centre's store has numbered from 1: the log is all of them, one after another.
        let knowledge = rows.filter { $0.key.destination == .everyone }.reduce(0) { $0 + $1.value.last }
        for (stream, row) in rows
        where ![node.id, .everyone].contains(stream.destination) && row.last > row.base {
            waiting[stream.destination.text, default: 0] += row.last - row.base
        }
        let refusal = node.store.health.refusal
        // Of a store that is damaged it is said what can be.
        let (probes, draining, lostThere): (UInt64, Timestamp?, UInt64) =
            refusal != nil
            ? (0, nil, 0)
            : try node.store.read { transaction throws(StoreError) in
                (
                    try transaction.number(MetaKey.probes), try Draining.since(in: transaction),
                    try Gaps.lostThere(from: node.id, in: transaction)
                )
            }
        let here = rows.filter { $0.key.destination == node.id }.values
        func held(_ isHere: Bool) -> UInt64 {
            rows.reduce(0) { ($1.key.destination == node.id) == isHere ? $0 + UInt64($1.value.held) : $0 }
        }
        return Status(
            node: node.id.text, state: refusal?.code.rawValue ?? (rewound ? "node-rewound" : "ready"),
            controlOnlyUntil: node.awaitedNeighbours.map {
                Status.Awaited(count: $0.count, neighbours: $0.of.map(\.text))
            },
            drainingSince: draining?.rfc3339, damage: refusal.map { "\($0.detail); \($0.remedy)" },
            incarnation: node.store.incarnation.text,
            federation: node.settings.federation, segment: node.settings.segment,
            topologyVersion: node.topology.version,
            metadata: Status.Metadata(node.trust.state, node.trust.freshness),
            links: links.map { Status.Link(peer: $0.peer.text, state: $0.phase.rawValue) }, outbox: waiting,
            probes: probes, knowledge: knowledge, missing: here.reduce(0) { $0 + $1.missing },
            lost: here.reduce(lostThere) { $0 + $1.lostCount },
            unbalanced: Dictionary(uniqueKeysWithValues: unbalanced.map { ("\($0.key)", $0.value) }),
            quarantined: held(true), heldElsewhere: held(false),
            confinement: "not built")
    }
}
