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
        /// Live neighbours whose link does not run: what waits there for this node is not known.
        var unseen: [String]

        var isEmpty: Bool {
            openAppeals == 0 && mail.isEmpty && quarantined == 0 && heldElsewhere == 0 && missing == 0 && unseen.isEmpty
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
            for peer in unseen {
                lines.append("the link with \(peer) does not run: what waits there for this node is not known")
            }
            return lines
        }
    }

    static func drain(of node: FederationNode) throws -> Drain {
        let mail = try node.mail()
        let report = try node.report(queues: [])
        let links = Dictionary(uniqueKeysWithValues: node.links.standings().map { ($0.peer, $0) })
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
            unseen: (node.topology.dials(node.id) + node.topology.listens(node.id))
                .filter { node.topology.node($0)?.state == .live && links[$0]?.state != .running }.map(\.text).sorted())
    }

    /// Nobody else is left without a way, and the first line is somewhere.
    private static func requireDispensable(_ node: FederationNode) throws(Problem) {
        let topology = node.topology
        guard topology.centre != node.id else {
            throw Problem(
                409, "node-needed", "\(node.id) is the centre: the first line and the knowledge of all are here.",
                remedy: "Another node must be the centre in a newer topology first.")
        }
        let behind = topology.nodes.filter { other in
            guard other.state == .live, other.id != node.id, let centre = topology.centre else { return false }
            var hop: NodeID? = other.id
            for _ in 0..<topology.nodes.count where hop != nil && hop != centre {
                hop = hop.flatMap { topology.nextHop(from: $0, to: centre) }
                if hop == node.id { return true }
            }
            return false
        }
        guard behind.isEmpty else {
            throw Problem(
                409, "node-needed",
                "The way of \(behind.map(\.id.text).joined(separator: ", ")) leads over \(node.id).",
                remedy: "Give them another link in a newer topology first.")
        }
    }

    /// Whoever has an appeal is in one of two tables: it waits, or somebody has claimed it.
    private static func openAppeals<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> Int { try transaction.count(.queue) + transaction.count(.claims) }

    static func beginDrain(_ request: HTTPRequest, _ node: FederationNode) throws -> Drain {
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
        return try drain(of: node)
    }

    static func endDrain(_ request: HTTPRequest, _ node: FederationNode) throws -> Drain {
        let was = try node.store.write(.essential) { transaction in
            let was = try Draining.end(in: transaction)
            if was { try Events.note("drain-ended", of: node.id.text, by: actor(request), in: transaction) }
            return was
        }
        guard was else {
            throw Problem(409, "not-draining", "\(node.id) is not draining.", remedy: "Nothing needs to be undone.")
        }
        return try drain(of: node)
    }

    /// Marks the store and ends the process.
    static func retire(_ request: HTTPRequest, _ node: FederationNode) throws -> Drain {
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
        try requireDispensable(node)
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
