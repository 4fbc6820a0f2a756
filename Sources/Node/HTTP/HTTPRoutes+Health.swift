import Federation

extension HTTPRoutes {
    /// For whoever watches the process, without a token: `/healthz` says that it answers; `/readyz` that a commit becomes
    /// durable now, and 503 with the reason and Retry-After when it does not, or when the node is stopping.
    mutating func health(of node: FederationNode) {
        on("GET", "/healthz", answering: { _ in .text("ok\n") })
        on(
            "GET", "/readyz",
            waiting: { _ in
                _ = try node.store.write(.intake) { _ in 0 }
                return .text("ready\n")
            })
    }
}
