/// A node whose store was put back: over its links only the lane of control passes until neighbours have nothing newer of the
/// signed metadata (decision 0021). It takes and works its own appeals as ever.
extension FederationNode {
    /// How many neighbours must say so, where there are so many.
    static let enough = 2

    /// Which neighbours may still be waited for, and how many of them; nil: everything passes.
    package var awaitedNeighbours: (count: Int, of: [NodeID])? {
        guard isControlOnly.changeQuietly({ $0 }) else { return nil }
        return awaited(trust.agreeing)
    }

    /// Who is denied is not heard, and a release that does not speak of signed metadata says nothing.
    private func awaited(_ agreeing: Set<NodeID>) -> (count: Int, of: [NodeID]) {
        let topology = topology
        let out = Set(trust.state.denied.map(\.node)).union(links.ask { $0.speechless })
        let all = (topology.dials(id) + topology.listens(id)).filter { topology.node($0)?.state == .live }
        return FederationNode.awaited(of: Set(all).subtracting(out), agreeing)
    }

    static func awaited(of neighbours: Set<NodeID>, _ agreeing: Set<NodeID>) -> (count: Int, of: [NodeID]) {
        let count = min(enough, neighbours.count) - neighbours.intersection(agreeing).count
        return (max(0, count), neighbours.subtracting(agreeing).sorted())
    }

    var controlOnlyNotice: LinkLoop.Event? {
        guard isControlOnly.changeQuietly({ $0 }) else { return nil }
        return LinkLoop.Event(
            code: "control-only", peer: nil,
            detail: "the store was put back: messages wait until neighbours have no newer signed metadata")
    }

    /// Looks whether it is enough by now, and then has everything pass. What needs a restart is not in force yet.
    /// - Returns: whether everything passes.
    func goOn() -> Bool {
        guard isControlOnly.changeQuietly({ $0 }) else { return true }
        let agreeing = trust.agreeing
        guard store.health.damage == nil, awaited(agreeing).count == 0,
            topology.version == trust.state.topology.version
        else { return false }
        do {
            try store.write(.essential) { transaction in try transaction.setNumber(MetaKey.controlOnly, 0) }
        } catch { return false }  // nothing passes before it is durable: it is looked at again
        isControlOnly.changeQuietly { $0 = false }
        links.metadataAgreed()
        log(
            LinkLoop.Event(
                code: "control-only-over", peer: nil,
                detail: "nothing newer at \(agreeing.sorted().map(\.text).joined(separator: ", "))"))
        return true
    }
}
