/// A table of methods and paths. Literal segments win over `{name}`; what no row matches is 404 or 405.
package struct HTTPRoutes: Sendable {
    package typealias Handler = @Sendable (HTTPRequest, HTTPResponder) -> Void

    private enum Segment: Sendable, Equatable {
        case literal(String)
        case parameter(String)

        var isParameter: Bool { if case .parameter = self { true } else { false } }
    }

    private struct Row: Sendable {
        var method: String
        var pattern: String
        var segments: [Segment]
        var handler: Handler

        func parameters(for path: [String]) -> [String: String]? {
            guard path.count == segments.count else { return nil }
            var found: [String: String] = [:]
            for (segment, text) in zip(segments, path) {
                switch segment {
                case .literal(let literal): if literal != text { return nil }
                case .parameter(let name): found[name] = text
                }
            }
            return found
        }

        /// Two rows of one shape match the same paths.
        var shape: [String] {
            segments.map { if case .literal(let text) = $0 { "/" + text } else { "" } }
        }
    }

    private var rows: [Row] = []

    package init() {}

    /// Adds a row. Adding two for the same method and paths, or an ill-formed pattern, is a mistake in the program.
    /// - Parameter pattern: an absolute path such as `/api/v1/appeals/{id}`; `/` is the root.
    package mutating func on(_ method: String, _ pattern: String, _ handler: @escaping Handler) {
        precondition(pattern.hasPrefix("/"), "a pattern begins with a slash: \(pattern)")
        let segments = pattern.split(separator: "/").map { text -> Segment in
            guard text.hasPrefix("{") else { return .literal(String(text)) }
            precondition(text.hasSuffix("}") && text.count > 2, "an ill-formed segment: \(pattern)")
            return .parameter(String(text.dropFirst().dropLast()))
        }
        let row = Row(method: method, pattern: pattern, segments: segments, handler: handler)
        precondition(
            !rows.contains { $0.method == method && $0.shape == row.shape }, "a second route for \(method) \(pattern)")
        let place = rows.firstIndex { Self.precedes(row.segments, $0.segments) } ?? rows.endIndex
        rows.insert(row, at: place)
    }

    /// Every row as method and pattern, sorted by pattern and method.
    package var list: [(method: String, pattern: String)] {
        rows.map { ($0.method, $0.pattern) }.sorted { ($0.pattern, $0.method) < ($1.pattern, $1.method) }
    }

    /// Calls the handler of the row that matches, or answers 404 `no-such-path`, 405 `method-not-allowed` with Allow.
    package func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
        var allowed: Set<String> = []
        for row in rows {
            guard let parameters = row.parameters(for: request.segments) else { continue }
            if row.method == request.method {
                // No row has parameters of a query yet: one that is passed over would look as if it had been heeded.
                if let unknown = request.query.keys.min() {
                    responder.refuse(
                        Problem(
                            400, "unknown-field", "\(row.method) \(row.pattern) has no query field \(unknown).",
                            remedy: "Leave it out."))
                    return
                }
                var request = request
                request.parameters = parameters
                return row.handler(request, responder)
            }
            allowed.insert(row.method)
        }
        guard allowed.isEmpty else {
            let methods = allowed.sorted().joined(separator: ", ")
            var response = HTTPResponse.problem(
                Problem(
                    405, "method-not-allowed", "\(request.path) does not take \(request.method).",
                    remedy: "Use \(methods)."))
            response.headers["Allow"] = methods
            responder.answer(response)
            return
        }
        responder.refuse(
            Problem(
                404, "no-such-path", "There is nothing at \(request.path).",
                remedy: "The paths are under /api/v1; see the README."))
    }

    /// Literal before parameter, at the first segment where the two differ in kind.
    private static func precedes(_ left: [Segment], _ right: [Segment]) -> Bool {
        for (one, other) in zip(left, right) where one.isParameter != other.isParameter { return other.isParameter }
        return false
    }
}
