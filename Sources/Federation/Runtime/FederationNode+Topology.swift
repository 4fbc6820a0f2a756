/// A newer topology, while the node runs.
extension FederationNode {
    /// Puts a newer topology in force: it is checked, kept in the node's folder, and links that it does not touch go on.
    /// What waited for it here is applied or refused before this returns. It blocks.
    /// - Parameter objection: what the application has against it: it throws.
    /// - Throws: `topology-invalid`, `topology-not-newer`, `node-has-mail`, `not-pinned`, `restart-needed`, and what `open`
    ///   would say of it.
    /// - Returns: how many parked envelopes have been decided.
    package func apply(_ bytes: [UInt8], objection: (Topology) throws -> Void = { _ in }) throws -> Int {
        // One at a time: what is in force, what is in the file and what was answered are the same.
        try applying.change { _ in try putInForce(bytes, objection: objection) }
        return try releaseParked()
    }

    private func putInForce(_ bytes: [UInt8], objection: (Topology) throws -> Void) throws {
        let next = try FederationNode.topology(bytes, from: "the new topology")
        let current = inForce.current
        guard next.version > current.version else {
            throw FederationError(
                "topology-not-newer", "it has version \(next.version), version \(current.version) is in force",
                remedy: "raise version in the file, or leave things as they are")
        }
        try FederationNode.require(id, settings, in: next)
        guard next.centre == current.centre, next.node(id)?.addresses == current.node(id)?.addresses,
            next.listens(id).isEmpty == current.listens(id).isEmpty
        else {
            throw FederationError(
                "restart-needed", "it changes the centre, or the address at which this node is dialled",
                remedy: "put the file in place as \(settings.topology ?? folder.topologyFile) and start the node again")
        }
        try requireNoMail(under: next)
        try objection(next)
        let pins = try TrustFile.read(Pins.self, folder.pinsFile, maximum: 8 << 20)
        try FederationNode.requirePins(of: next, pins)
        let context = try folder.context(settings, pins: pins)
        try Files.write(bytes, to: settings.topology ?? folder.topologyFile)
        inForce.replace(with: next)
        links.topologyChanged(next, context)
    }

    /// What waits here for another node still has a way to it.
    private func requireNoMail(under next: Topology) throws {
        guard let (room, count) = try mailForNobody(under: next).first else { return }
        let destination = room.destination
        throw FederationError(
            "node-has-mail",
            "\(destination) cannot be reached any more, and \(count) envelopes wait for it (\(room.lane))",
            remedy: "let them arrive first, ekc outbox list shows them; or keep \(destination) and its link")
    }

    /// Rooms in which something waits for a node to which a topology has no way, and how many envelopes.
    func mailForNobody(under topology: Topology) throws -> [(room: Room, count: UInt64)] {
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
