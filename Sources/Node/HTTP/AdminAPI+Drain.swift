import ContactCentre
import Federation
import Glibc

/// A node that is to go: it takes nothing new, and is retired when nothing is left in it.
extension AdminAPI {
    struct Drain: Codable {
        struct Mail: Codable {
            var destination: String
            var waiting: UInt64
            /// RFC 3339.
            var oldest: String?
            /// The neighbour on the way, and how the link to it is.
            var nextHop: String?
            var link: String
            var linkSince: String?
        }

        struct Neighbour: Codable {
            var node: String
            var link: String
            /// RFC 3339.
            var since: String
        }

        var isDraining: Bool
        /// RFC 3339.
        var since: String?
        /// Appeals that wait here, or that somebody is at work on.
        var openAppeals: Int
        var mail: [Mail]
        /// Kept undecided here, and by others of this node's.
        var quarantined: UInt64
        var heldElsewhere: UInt64
        /// Being got back from peers.
        var missing: UInt64
        /// Neighbours without a running link: what waits there for this node is not known here.
        var away: [Neighbour]

        var isEmpty: Bool {
            openAppeals == 0 && mail.isEmpty && quarantined == 0 && heldElsewhere == 0 && missing == 0 && away.isEmpty
        }

        /// What is left, in words, a line each.
        var words: [String] {
            var lines: [String] = []
            if openAppeals > 0 {
                lines.append("\(openAppeals) appeals are open here: their people answer them, or give them back")
            }
            for mail in mail {
                let way = mail.nextHop.map { "by \($0), \(mail.link)" } ?? mail.link
                let since = mail.link == "running" ? "" : mail.linkSince.map { " since \($0)" } ?? ""
                lines.append("\(mail.waiting) messages wait for \(mail.destination) \(way)\(since)")
            }
            if quarantined > 0 { lines.append("\(quarantined) messages are held here: ekc quarantine list DIR") }
            if heldElsewhere > 0 {
                lines.append("\(heldElsewhere) messages of this node are held by others: ekc quarantine list DIR")
            }
            if missing > 0 { lines.append("\(missing) messages are being got back from peers") }
            lines += away.map { "\($0.node) is \($0.link) since \($0.since): what waits there for this node is not known" }
            return lines
        }
    }

    static func drain(of node: FederationNode) throws -> Drain {
        let mail = try node.mail()
        let report = try node.report(queues: [])
        let standings = node.links.standings()
        let links = Dictionary(uniqueKeysWithValues: standings.map { ($0.peer, $0) })
        let (since, open) = try node.store.read { transaction throws(StoreError) in
            (try Draining.since(in: transaction), try openAppeals(in: transaction))
        }
        return Drain(
            isDraining: since != nil, since: since?.rfc3339, openAppeals: open,
            mail: mail.sorted { $0.key < $1.key }.map { destination, mail in
                let hop = node.topology.nextHop(from: node.id, to: destination)
                let link = hop.flatMap { links[$0] }
                return Drain.Mail(
                    destination: destination.text, waiting: mail.waiting, oldest: mail.oldest?.rfc3339,
                    nextHop: hop?.text, link: link?.state.rawValue ?? "no-route", linkSince: link?.since.rfc3339)
            }, quarantined: report.quarantined, heldElsewhere: report.heldElsewhere, missing: report.missing,
            // One that is to come, or is retired, has nothing for anybody.
            away: standings.filter { $0.state != .running && node.topology.node($0.peer)?.state == .live }.map {
                Drain.Neighbour(node: $0.peer.text, link: $0.state.rawValue, since: $0.since.rfc3339)
            })
    }

    /// Whoever has an appeal is in one of two tables: it waits, or somebody has claimed it.
    private static func openAppeals<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> Int { try transaction.count(.queue) + transaction.count(.claims) }

    static func beginDrain(
        _ request: HTTPRequest, _ node: FederationNode, _ reporter: NodeReporter
    ) throws -> Drain {
        let state = try drain(of: node)
        guard state.missing == 0 else {
            throw Problem(
                409, "being-refilled", "\(state.missing) messages are being got back, and must be taken.",
                remedy: "Wait until ekc node status shows none; then drain.")
        }
        try node.store.write(.essential) { transaction in
            if try Draining.begin(in: transaction) {
                try Events.note("drain-begun", of: node.id.text, by: actor(request), in: transaction)
            }
        }
        reporter.say()
        return try drain(of: node)
    }

    static func endDrain(
        _ request: HTTPRequest, _ node: FederationNode, _ reporter: NodeReporter
    ) throws -> Drain {
        let was = try node.store.write(.essential) { transaction in
            let was = try Draining.end(in: transaction)
            if was { try Events.note("drain-ended", of: node.id.text, by: actor(request), in: transaction) }
            return was
        }
        guard was else {
            throw Problem(409, "not-draining", "\(node.id) is not draining.", remedy: "Nothing needs to be undone.")
        }
        reporter.say()
        return try drain(of: node)
    }

    /// What others need of the node is not its own to give up: the centre has everybody's appeals, and who stands on the
    /// way of a live node carries for it.
    private static func requireNotNeeded(_ node: FederationNode) throws {
        let topology = node.topology
        guard topology.centre != node.id else {
            throw Problem(
                409, "node-needed", "\(node.id) is the centre: the appeals of the whole federation are here.",
                remedy: "a centre is not retired; ekc backup restore puts it on another machine")
        }
        guard let centre = topology.centre else { return }
        let behind = topology.nodes.filter { other in
            guard other.state == .live, other.id != node.id else { return false }
            var hop = topology.nextHop(from: other.id, to: centre)
            while let here = hop, here != node.id { hop = topology.nextHop(from: here, to: centre) }
            return hop != nil
        }
        guard behind.isEmpty else {
            throw Problem(
                409, "node-needed",
                "the way to the centre leads over \(node.id) for \(behind.map(\.id.text).joined(separator: ", ")).",
                remedy: "give them another way in a newer topology, or retire them first; ekc topology apply")
        }
    }

    /// Marks the store and ends the process.
    static func retire(_ request: HTTPRequest, _ node: FederationNode, _ reporter: NodeReporter) throws -> Drain {
        try requireNotNeeded(node)
        func requireEmpty() throws -> Drain {
            let state = try drain(of: node)
            guard state.isDraining else {
                throw Problem(
                    409, "not-draining", "\(node.id) still takes what is new.", remedy: "ekc node drain DIR first")
            }
            guard state.isEmpty else {
                throw Problem(
                    409, "node-not-empty", state.words.joined(separator: "; ") + ".",
                    remedy: "ekc node drain DIR waits until it is empty and says what is left")
            }
            return state
        }
        _ = try requireEmpty()
        try node.store.write(.essential) { transaction in
            // Nothing new comes to a node that drains; what somebody did in the meantime is seen here and below.
            guard try openAppeals(in: transaction) == 0 else {
                throw Problem(409, "node-not-empty", "An appeal has come back.", remedy: "ekc node drain DIR")
            }
            try Draining.retire(in: transaction)
            try Events.note("node-retired", of: node.id.text, by: actor(request), in: transaction)
        }
        do {
            let state = try requireEmpty()
            // The centre's last word of it.
            reporter.say()
            Threads.start("retire") {
                // The answer goes first.
                usleep(200_000)
                kill(getpid(), SIGTERM)
            }
            return state
        } catch {
            try node.store.write(.essential) { transaction in _ = try Draining.takeBack(in: transaction) }
            throw error
        }
    }
}
