import ContactCentre
import Federation
import Glibc

/// What somebody who helps from afar needs of a node, without keys, tokens, texts, citizens or anybody's words: every file
/// is made of fields that are named here one by one.
struct SupportBundle {
    private let folder: NodeFolder
    private let client: HTTPClient
    private let now = Clocks.wall()

    init(_ folder: NodeFolder) {
        self.folder = folder
        client = NodeCommands.client(folder.path)
    }

    /// - Parameter log: the node's log; unless told `log` in its folder, when that is there.
    func archive(log: String?) throws(FederationError) -> (archive: TarArchive, files: [String]) {
        var files: [(name: String, bytes: [UInt8])] = []
        func add(_ name: String, _ value: (some Encodable)?) {
            if let value { files.append((name, Output.encode(value))) }
        }
        let settings = try folder.settings()
        let state = try? folder.trust.load().inForce
        let topology = state?.topology
        let check = NodeCheck(folder).run()
        add("about.json", About(node: settings.node, at: now.rfc3339, isRunning: check.isRunning))
        add("settings.json", Settings(settings))
        add("topology.json", topology.map(Map.init))
        add("check.json", check.steps.map(Step.init))
        add("keys.json", keys(state))
        if check.isRunning {
            add("node.json", ask(AdminAPI.Status.self, "node"))
            add("links.json", ask(AdminAPI.Links.self, "links")?.links.map(Link.init))
            add("outbox.json", ask(AdminAPI.OutboxRooms.self, "outbox"))
            add("store.json", ask(AdminAPI.StoreFacts.self, "store"))
            add("drain.json", ask(AdminAPI.Drain.self, "drain"))
            add("quarantine.json", ask(AdminAPI.Quarantines.self, "quarantine")?.messages.map(Held.init))
            add("federation.json", ask(FederationStatus.self, "federation")?.withoutWords)
            if let answer = try? client.send("GET", "/metrics"), answer.status == 200 {
                files.append(("metrics.txt", answer.body))
            }
        }
        let known = log ?? (Files.exists(folder.path + "/log") ? folder.path + "/log" : nil)
        if let known { files.append(("log.jsonl", try SupportLog.tail(known, topology: topology))) }
        var archive = TarArchive()
        for file in files {
            archive.add("ekc-support/" + file.name, file.bytes, modified: now.milliseconds / 1000)
        }
        return (archive, files.map(\.name))
    }

    /// Nil when the node does not say: a node that is no centre knows nothing of the federation.
    private func ask<Answer: Decodable>(_ type: Answer.Type, _ what: String) -> Answer? {
        try? client.exchange(type, "GET", "/api/v1/" + what)
    }

    private func keys(_ state: SignedFederation?) -> [Key]? {
        guard let state else { return nil }
        let anchors = state.pins.anchors.map { anchor in
            Key(of: "authority of " + anchor.segment, ends: ends(anchor.certificate))
        }
        let context = (try? folder.settings()).flatMap { try? folder.context($0, state) }
        return [Key(of: "link", ends: context.map { Timestamp(milliseconds: $0.expires * 1000).rfc3339 })] + anchors
    }

    private func ends(_ pem: String) -> String? {
        CertificateFacts(pem: pem).map { Timestamp(milliseconds: $0.notAfter * 1000).rfc3339 }
    }
}

// MARK: The files

extension SupportBundle {
    private struct About: Encodable {
        var node: String
        var at: String
        var isRunning: Bool
        var release = Release.words
        var kernel: String

        init(node: String, at: String, isRunning: Bool) {
            (self.node, self.at, self.isRunning) = (node, at, isRunning)
            var facts = utsname()
            uname(&facts)
            kernel = withUnsafeBytes(of: facts.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
    }

    /// Names and numbers; a path may be somebody's.
    private struct Settings: Encodable {
        var node: String
        var segment: String
        var federation: String
        var quotaBytes: Int?
        var reserveBytes: Int?
        var laneQuotaCount: Int?
        var laneQuotaBytes: Int?
        var refillBytes: Int?
        var operatorsPort: UInt16?
        var publicPort: UInt16?
        var metricsPort: UInt16?

        init(_ settings: NodeSettings) {
            node = settings.node
            segment = settings.segment
            federation = settings.federation
            quotaBytes = settings.quotaBytes
            reserveBytes = settings.reserveBytes
            laneQuotaCount = settings.laneQuotaCount
            laneQuotaBytes = settings.laneQuotaBytes
            refillBytes = settings.refillBytes
            operatorsPort = settings.operatorsPort
            publicPort = settings.publicPort
            metricsPort = settings.metricsPort
        }
    }

    /// The topology without what is said to citizens, and without its comments.
    private struct Map: Encodable {
        struct Node: Encodable {
            var id: String
            var segment: String
            var state: String
            var addresses: [String]
        }

        struct Tenancy: Encodable {
            var id: String
            var node: String
            var lines: [String]
            var open: Bool
            var dueMinutes: Int
        }

        struct Link: Encodable {
            var dials: String
            var listens: String
        }

        var version: UInt64
        var nodes: [Node]
        var tenancies: [Tenancy]
        var links: [Link]

        init(_ topology: Topology) {
            version = topology.version
            nodes = topology.nodes.map {
                Node(
                    id: $0.id.text, segment: $0.segment, state: $0.state.rawValue,
                    addresses: $0.addresses.map(\.description))
            }
            tenancies = topology.tenancies.map {
                Tenancy(id: $0.id, node: $0.node.text, lines: $0.lines, open: $0.open, dueMinutes: $0.dueMinutes)
            }
            links = topology.links.map { Link(dials: $0.dials.text, listens: $0.listens.text) }
        }
    }

    private struct Key: Encodable {
        var of: String
        var ends: String?
    }

    private struct Step: Encodable {
        var name: String
        var peer: String?
        var outcome: CheckStep.Outcome
        var code: String?

        init(_ step: CheckStep) {
            name = step.name
            peer = step.peer
            outcome = step.outcome
            code = step.outcome == .failed ? SupportBundle.code(step.detail) : nil
        }
    }

    private struct Link: Encodable {
        var peer: String
        var state: String
        var since: String
        var dials: Bool
        var code: String?

        init(_ link: AdminAPI.Links.Link) {
            peer = link.peer
            state = link.state
            since = link.since
            dials = link.dials
            // Why it is paused is an administrator's word.
            code = link.state == "paused" ? nil : link.why.flatMap(SupportBundle.code)
        }
    }

    private struct Held: Encodable {
        var number: UInt64
        var state: String
        var reason: String
        var tries: UInt32
        var origin: String
        var destination: String
        var lane: String
        var kind: String
        var heldAt: String

        init(_ held: AdminAPI.Quarantined) {
            number = held.number
            state = held.state
            reason = held.reason
            tries = held.tries
            origin = held.origin
            destination = held.destination
            lane = held.lane
            kind = held.kind
            heldAt = held.heldAt
        }
    }

    /// Codes of which a link may end: what a peer has put in place of one is left out.
    private static let codes: Set = [
        "unreachable", "connection-lost", "peer-silent", "peer-closed", "handshake-timeout", "not-pinned",
        "pin-mismatch",
        "wrong-peer", "wrong-segment", "metadata-only", "certificate-expired", "own-certificate-expired",
        "certificate-not-yet-valid", "chain-refused", "not-tls",
        "no-alpn", "peer-refused", "session-expired", "not-linked", "node-not-live", "node-rewound", "port-in-use",
        "address-unusable", "address-not-numeric", "topology-invalid", "file-malformed", "file-unreadable",
        "key-folder-open", "key-file-open", "not-enrolled", "store-damaged", "store-in-use", "store-newer",
    ]

    /// What stands before the first colon, when it is one of ours.
    private static func code(_ words: String) -> String? {
        let first = String(words.prefix { $0 != ":" })
        return codes.contains(first) ? first : nil
    }
}

extension FederationStatus {
    /// Without anybody's words: reasons of administrators and of peers.
    fileprivate var withoutWords: FederationStatus {
        var status = self
        for index in status.nodes.indices {
            status.nodes[index].why = nil
            for place in status.nodes[index].problems.indices {
                status.nodes[index].problems[place].what = ""
                status.nodes[index].problems[place].remedy = ""
            }
        }
        return status
    }
}
