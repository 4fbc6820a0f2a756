/// A newer topology in the loop: links that it does not touch go on.
extension LinkLoop {
    func replace(_ topology: Topology, _ context: TLSContext) {
        let old = configuration
        configuration.topology = topology
        configuration.context = context
        let dials = Set(topology.dials(configuration.node).filter { topology.node($0)?.state == .live })
        for peer in dialling.keys where !dials.contains(peer) { dialling[peer] = nil }
        for peer in dials where dialling[peer] == nil { dialling[peer] = Dialling() }
        for connection in Array(connections.values) {
            guard let peer = connection.peer ?? connection.dialled else { continue }
            if !topology.areLinked(configuration.node, peer) {
                hangUp(connection, code: "not-linked", detail: "the new topology names no link with \(peer)")
            } else if topology.node(peer)?.state != .live {
                hangUp(connection, code: "node-not-live", detail: "\(peer) is not live in the new topology")
            } else if let fault = connection.tls.objection(under: context) {
                hangUp(connection, code: fault.code, detail: "by the newer metadata \(peer) is not accepted")
            } else if connection.tls.scope == .metadataOnly, context.expires != old.context.expires {
                hangUp(connection, code: "session-expired", detail: "this node has another certificate now")
            }
        }
        act(exchange.routesChanged(topology))
        configuration.log(
            Event(
                code: "topology-applied", peer: nil,
                detail: "version \(topology.version), before it \(old.topology.version)"))
    }

    /// Said before the metadata that says so is in force. Sessions with these nodes end at once, and none is opened, whatever becomes of the metadata that says so.
    func deny(_ nodes: Set<NodeID>) {
        post(
            .perform { loop in
                loop.denied = nodes
                for connection in Array(loop.connections.values) {
                    if let peer = connection.peer ?? connection.dialled, nodes.contains(peer) {
                        loop.hangUpDenied(connection, peer)
                    }
                }
            })
    }

    func hangUpDenied(_ connection: Connection, _ peer: NodeID) {
        hangUp(connection, code: "denied", detail: "a security administrator has taken \(peer) out")
    }

    // MARK: Signed metadata

    /// Who keeps the signed metadata hears of neighbours from now on, and of those that are there.
    package func follow(metadata keeper: TrustKeeper) {
        post(
            .perform { loop in
                loop.metadata = keeper
                for connection in loop.connections.values {
                    guard let peer = connection.peer, loop.exchange.speaksOfMetadata(connection.number ?? 0) else {
                        continue
                    }
                    keeper.up(peer, vouches: !loop.exchange.isMetadataOnly(connection.number ?? 0))
                }
            })
    }

    /// After a restore: neighbours have nothing newer.
    func metadataAgreed() { post(.perform { loop in loop.act(loop.exchange.metadataAgreed()) }) }

    /// What is to be said to a neighbour of signed metadata; to one that is not there it is not said.
    package func say(_ message: [UInt8], to peer: NodeID) {
        post(
            .perform { loop in
                guard
                    let connection = loop.connections.values.first(where: {
                        $0.peer == peer && loop.exchange.speaksOfMetadata($0.number ?? 0)
                    })
                else { return }
                var bytes: [UInt8] = []
                Frame.append(.metadata, message[...], to: &bytes)
                loop.send(connection, bytes)
            })
    }

    /// - Returns: false when it is not of signed metadata, or too early.
    func heardMetadata(_ message: FramedMessage, _ connection: Connection) -> Bool {
        guard message.kind == .metadata, let peer = connection.peer,
            exchange.speaksOfMetadata(connection.number ?? 0)
        else { return false }
        metadata?.arrived(peer, message.bytes)
        return true
    }
}
