/// A newer topology, while the node runs.
extension FederationNode {
    /// Puts a newer state of the signed metadata in force. Links that it does not touch go on; what waited for it here is
    /// applied or refused. It blocks. Nothing here can object: what it would leave with nobody, the centre has asked before it
    /// was published, and it is said in the log.
    /// - Returns: false when it could not be, and is to be tried again.
    @discardableResult
    func putInForce(_ state: SignedFederation) -> Bool {
        if let alarm = ownKeyAlarm(state) { log(alarm) }
        var next = settings.seen(state.topology)
        let current = topology
        let denied = Set(state.denied.map(\.node))
        inForce.deny(denied)
        // It needs neither keys nor a store that can be written.
        links.deny(denied)
        do {
            let context = try folder.context(settings, state)
            if let why = restart(from: current, to: next) {
                log(LinkLoop.Event(code: "restart-needed", peer: nil, detail: why))
                // Who may talk does not wait for it.
                links.topologyChanged(current, context)
                return true
            }
            for (room, count) in try mailForNobody(under: next) {
                log(
                    LinkLoop.Event(
                        code: "mail-for-nobody", peer: room.destination,
                        detail: "\(count) envelopes wait (\(room.lane)), and the topology has no way to it"))
            }
            try FederationNode.noteRights(of: &next, in: store)
            inForce.replace(with: next, denied: denied)
            links.topologyChanged(next, context)
            _ = try releaseParked()
            return true
        } catch let error as FederationError {
            log(
                LinkLoop.Event(
                    code: error.code, peer: nil, detail: "the newer topology is not in force: \(error.detail)"))
        } catch { log(LinkLoop.Event(code: "store-failed", peer: nil, detail: "\(error)")) }
        return false
    }

    /// Every node looks at its own entry in each version: whoever signs for it now has its place.
    func ownKeyAlarm(_ state: SignedFederation) -> LinkLoop.Event? {
        guard let own = folder.identityKeyText else { return nil }
        if let key = state.identities.key(of: id), key != own {
            return LinkLoop.Event(
                code: "identity-replaced", peer: nil,
                detail:
                    "the signed topology names another identity key for \(id): ask the security administrator at once")
        }
        guard let notice = state.identities.announced[id], notice.key != own else { return nil }
        return LinkLoop.Event(
            code: "identity-announced", peer: nil,
            detail:
                "from \(Instant.text(notice.from)) on \(id) may get another identity key: unless this node is being set "
                + "up anew elsewhere, ask the security administrator at once")
    }

    /// Keeps its rights among those of the last topologies, and has it know those.
    static func noteRights(of topology: inout Topology, in store: Store) throws {
        let (rights, version) = (topology.rights, topology.version)
        try store.write(.essential) { transaction in
            try RightsHistory.write(rights, of: version, in: transaction)
        }
        topology.history = try store.read { transaction throws(StoreError) in try RightsHistory(in: transaction) }
    }

    /// What only a start can take over: the centre, and where this node is dialled.
    private func restart(from current: Topology, to next: Topology) -> String? {
        do throws(FederationError) { try FederationNode.require(id, settings, in: next) } catch {
            return "\(error.code): \(error.detail)"
        }
        guard next.centre == current.centre else { return "the centre is another" }
        guard next.node(id)?.addresses == current.node(id)?.addresses,
            next.listens(id).isEmpty == current.listens(id).isEmpty
        else { return "the address at which this node is dialled is another" }
        return nil
    }

    /// What has to be settled before a topology is published: nothing waits here for a node to which it has no way.
    package func requireNoMail(under next: Topology) throws {
        guard let (room, count) = try mailForNobody(under: next).first else { return }
        let destination = room.destination
        throw FederationError(
            "node-has-mail",
            "\(destination) cannot be reached any more, and \(Words.count(count, "envelope")) \(count == 1 ? "waits" : "wait") "
                + "for it (\(room.lane))",
            remedy: "let them arrive first, ekc outbox list shows them; or keep \(destination) and its link")
    }

    /// Rooms in which something waits for a node to which a topology has no way, and how many envelopes.
    package func mailForNobody(under topology: Topology) throws -> [(room: Room, count: UInt64)] {
        let streams = try store.read { transaction throws(StoreError) in try Sessions.streams(in: transaction) }
        var waiting: [Room: UInt64] = [:]
        for (stream, row) in streams.map({ ($0.id, $0.row) })
        where stream.destination != .everyone && row.last > row.base {
            if let node = topology.node(stream.destination), node.state != .retired,
                topology.nextHop(from: id, to: stream.destination) != nil
            {
                continue
            }
            waiting[Room(stream), default: 0] += row.last - row.base
        }
        return waiting.sorted { $0.key < $1.key }.map { (room: $0.key, count: $0.value) }
    }

    /// Decides about what waited for a topology that is in force now.
    package func releaseParked() throws -> Int {
        var last: UInt64 = 0
        var count = 0
        while true {
            let part = try store.write(.essential) { [inbox, last] transaction in
                try inbox.releaseParked(after: last, in: transaction)
            }
            if part.count == 0 { return count }
            count += part.count
            last = part.last
        }
    }
}
