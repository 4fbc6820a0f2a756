/// How the link to a neighbour is, in words for people.
package struct LinkStanding: Sendable, Hashable {
    package enum State: String, Sendable {
        case running
        /// Both are there, and are finding out whether they are who they were.
        case greeting
        /// They are, and a certificate has ended: signed metadata passes, and nothing else.
        case metadataOnly = "metadata-only"
        /// They are, and one of them wants nothing of the other: an administrator must look.
        case refused
        case dark
        /// By an administrator, until resumed.
        case paused
    }

    package var peer: NodeID
    package var state: State
    /// Since when it is up, or is not; not before this process started.
    package var since: Timestamp
    /// What ended it last, or keeps it from coming up, or why it is paused; nil while it runs.
    package var why: String?
    /// This end dials.
    package var dials: Bool
    /// What the last ping has shown; nil while it does not run.
    package var echo: LinkEcho?
}

/// Links that an administrator has paused: rows of table `meta`, which outlive the process.
package enum PausedLinks {
    private static let prefix = Array("paused-link/".utf8)
    private static func key(_ peer: NodeID) -> [UInt8] { prefix + Array(peer.text.utf8) }

    package static func put(
        _ peer: NodeID, why: String, in transaction: borrowing WriteTransaction
    ) throws(StoreError) { try transaction.put(.meta, key(peer), Array(why.utf8)) }

    /// - Returns: whether it was paused.
    package static func delete(_ peer: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError) -> Bool {
        try transaction.delete(.meta, key(peer))
    }

    static func all<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> [NodeID: String] {
        var found: [NodeID: String] = [:]
        try transaction.scan(.meta, from: prefix) { key, value in
            let key = Array(key)
            guard key.starts(with: prefix) else { return false }
            if let peer = NodeID(String(decoding: key[prefix.count...], as: UTF8.self)) {
                found[peer] = String(decoding: Array(value), as: UTF8.self)
            }
            return true
        }
        return found
    }
}

extension LinkLoop {
    struct Mark {
        var isUp = false
        var since: Timestamp
        var why: String?
    }

    func markUp(_ peer: NodeID) { marks[peer] = Mark(isUp: true, since: Clocks.wall()) }

    /// A connection has ended, or did not come about.
    func markDown(_ peer: NodeID, _ why: String) {
        guard !connections.values.contains(where: { $0.peer == peer && $0.isUp }) else { return }
        var mark = marks[peer] ?? Mark(since: started)
        if mark.isUp {
            mark = Mark(since: Clocks.wall())
            reports.lost(peer)
        }
        mark.why = why
        marks[peer] = mark
    }

    /// Hangs up on a neighbour, and neither dials nor accepts it until it is resumed.
    package func pause(_ peer: NodeID, why: String) {
        post(
            .perform { loop in
                loop.paused[peer] = why
                for connection in Array(loop.connections.values)
                where peer == connection.peer ?? connection.dialled {
                    loop.hangUp(connection, code: "link-paused", detail: "")
                }
            })
    }

    /// Hangs up on everybody, for as long as this process lives.
    package func halt(why: String) {
        post(
            .perform { loop in
                loop.halted = why
                for connection in Array(loop.connections.values) {
                    loop.hangUp(connection, code: "store-damaged", detail: "")
                }
            })
    }

    package func resume(_ peer: NodeID) {
        post(
            .perform { loop in
                loop.paused[peer] = nil
                loop.dialling[peer]?.nextAttempt = 0
            })
    }

    /// Every neighbour of the topology.
    package func standings() -> [LinkStanding] { look { loop in loop.standingsNow() } }

    private func standingsNow() -> [LinkStanding] {
        let topology = configuration.topology
        let dials = Set(topology.dials(configuration.node))
        let phases = Dictionary(
            exchange.links.map { ($0.peer, $0) }, uniquingKeysWith: { $0.phase == .running ? $0 : $1 })
        return dials.union(topology.listens(configuration.node)).sorted().map { peer in
            let mark = marks[peer] ?? Mark(since: started)
            var standing = LinkStanding(
                peer: peer, state: .dark, since: mark.since, why: mark.why, dials: dials.contains(peer))
            if let why = halted ?? paused[peer] {
                standing.state = .paused
                standing.why = why
            } else if let link = phases[peer] {
                standing.state =
                    switch link.phase {
                    case .running: .running
                    case .metadataOnly: .metadataOnly
                    case .greeting: .greeting
                    case .refused: .refused
                    }
                let connection = connections.values.first { $0.peer == peer && $0.isUp }
                standing.why = link.refusal ?? connection?.restriction
                standing.echo = connection?.echo
            }
            return standing
        }
    }
}
