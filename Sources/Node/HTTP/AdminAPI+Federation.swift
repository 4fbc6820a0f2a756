import Federation

/// Every node in one screen: asked of the centre.
extension AdminAPI {
    static func federation(_ node: FederationNode, _ reporter: NodeReporter) throws -> FederationStatus {
        guard node.topology.centre == node.id else {
            let centre = node.topology.centre?.text ?? "the centre"
            throw Problem(
                409, "not-the-centre", "\(node.id) knows only itself; \(centre) hears how every node is.",
                remedy: "ask there; here ekc node status and ekc link list say what is known")
        }
        return FederationStatus(try reporter.observation())
    }
}
