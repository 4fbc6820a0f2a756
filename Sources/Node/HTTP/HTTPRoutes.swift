/// Which handler answers which method and path. A segment `{name}` takes any one segment.
struct HTTPRoutes: Sendable {
    typealias Handler = @Sendable (HTTPRequest, [String: String], HTTPResponder) -> Void

    struct Route: Sendable {
        var method: String
        var pattern: String
        var handler: Handler
    }

    private(set) var routes: [Route] = []

    mutating func add(_ method: String, _ pattern: String, _ handler: @escaping Handler) {
        routes.append(Route(method: method, pattern: pattern, handler: handler))
    }

    /// A handler that answers at once, or throws a `Problem`.
    mutating func add(
        _ method: String, _ pattern: String,
        answering body: @escaping @Sendable (HTTPRequest, [String: String]) throws -> HTTPResponse
    ) {
        add(method, pattern) { request, names, responder in
            do { responder.answer(try body(request, names)) } catch { responder.answer(Problem(error).response) }
        }
    }

    func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
        var allowed: [String] = []
        for route in routes {
            guard let names = HTTPRoutes.match(route.pattern, request.path) else { continue }
            if route.method == request.method { return route.handler(request, names, responder) }
            allowed.append(route.method)
        }
        guard !allowed.isEmpty else {
            let problem = Problem(
                404, "no-such-path", "/\(request.path.joined(separator: "/"))", remedy: "see the API's description")
            return responder.answer(problem.response)
        }
        var response = Problem(
            405, "method-not-allowed", request.method, remedy: "use \(allowed.joined(separator: ", "))"
        ).response
        response.headers.append(("Allow", allowed.joined(separator: ", ")))
        responder.answer(response)
    }

    private static func match(_ pattern: String, _ path: [String]) -> [String: String]? {
        let parts = pattern.split(separator: "/")
        guard parts.count == path.count else { return nil }
        var names: [String: String] = [:]
        for (part, segment) in zip(parts, path) {
            if part.hasPrefix("{"), part.hasSuffix("}") {
                names[String(part.dropFirst().dropLast())] = segment
            } else if part != segment {
                return nil
            }
        }
        return names
    }
}
