import Federation

/// The listener for whoever watches: figures and health, nothing to change, nothing personal. On loopback.
struct MetricsAPI {
    let node: FederationNode
    let reporter: NodeReporter

    var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        routes.health(of: node)
        let reporter = reporter
        routes.on(
            "GET", "/metrics",
            waiting: { _ in .text(Metrics(try reporter.observation()).text, type: "text/plain; version=0.0.4") })
        return routes
    }
}
