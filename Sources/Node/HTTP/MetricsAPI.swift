import Federation

/// The listener for whoever watches: figures and health, nothing to change, nothing personal. On loopback.
struct MetricsAPI {
    let node: FederationNode
    let reporter: NodeReporter

    var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        routes.health(of: node)
        let reporter = reporter
        routes.on("GET", "/metrics", waiting: { _ in .metrics(try reporter.observation()) })
        return routes
    }
}

extension HTTPResponse {
    /// In the text exposition format.
    static func metrics(_ observation: FederationObservation) -> HTTPResponse {
        .text(Metrics(observation).text, type: "text/plain; version=0.0.4")
    }
}
