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
            } else if context.rule.record(of: peer) != old.context.rule.record(of: peer) {
                hangUp(connection, code: "not-pinned", detail: "\(peer) has another pin now")
            }
        }
        act(exchange.routesChanged(topology))
        configuration.log(
            Event(
                code: "topology-applied", peer: nil,
                detail: "version \(topology.version), before it \(old.topology.version)"))
    }
}
