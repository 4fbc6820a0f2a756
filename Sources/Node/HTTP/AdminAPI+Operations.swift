import Federation

/// What keeps a node and its federation running.
extension AdminAPI {
    func operations(_ routes: inout HTTPRoutes) {
        let node = node
        let reporter = reporter
        admitted(&routes, "GET", "/api/v1/federation") { _ in .json(try AdminAPI.federation(node, reporter)) }
        admitted(&routes, "GET", "/metrics") { _ in .figures(Metrics(try reporter.observation()).text) }
        admitted(&routes, "GET", "/api/v1/links") { _ in .json(AdminAPI.links(of: node)) }
        admitted(&routes, "POST", "/api/v1/links/{peer}/pause") { .json(try AdminAPI.pause($0, node)) }
        admitted(&routes, "POST", "/api/v1/links/{peer}/resume") { .json(try AdminAPI.resume($0, node)) }
        admitted(&routes, "POST", "/api/v1/links/{peer}/test") { .json(try AdminAPI.test($0, node)) }
        admitted(&routes, "GET", "/api/v1/outbox") { _ in .json(try AdminAPI.outbox(of: node)) }
        admitted(&routes, "GET", "/api/v1/store") { _ in .json(try AdminAPI.storeFacts(of: node)) }
        admitted(&routes, "GET", "/api/v1/drain") { _ in .json(try AdminAPI.drain(of: node)) }
        admitted(&routes, "POST", "/api/v1/drain") { [reporter] request in
            let drain = try AdminAPI.beginDrain(request, node)
            // The centre is to know it before the links may end.
            reporter.sayNow()
            return .json(drain)
        }
        admitted(&routes, "DELETE", "/api/v1/drain") { [reporter] request in
            let drain = try AdminAPI.endDrain(request, node)
            reporter.sayNow()
            return .json(drain)
        }
        admitted(&routes, "POST", "/api/v1/retire") { [reporter] request in
            let drain = try AdminAPI.retire(request, node)
            // Its last word, before it stops.
            reporter.sayNow()
            return .json(drain)
        }
    }
}
