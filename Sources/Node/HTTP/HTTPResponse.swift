/// What a handler answers: a status, some headers, and bytes or a stream of events.
package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        case events(EventStream)
    }

    package var status: Int
    /// Sent as they stand; a value with a line break is left out.
    package var headers: [String: String]
    package var body: Body
    /// The connection is closed after this answer: its next bytes cannot be trusted to be a request.
    var closesConnection = false

    package init(status: Int, headers: [String: String] = [:], body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// JSON that is already encoded.
    package static func json(bytes: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: ["Content-Type": "application/json"], body: .bytes(bytes))
    }

    /// JSON with sorted keys; 500 `unencodable` for a value that JSON cannot hold, such as an infinity.
    package static func json(_ value: some Encodable, status: Int = 200) -> HTTPResponse {
        do {
            return .json(bytes: try JSONBody.encode(value), status: status)
        } catch {
            return .problem(
                Problem(500, "unencodable", "The answer cannot be written as JSON.", remedy: "Report this as a defect.")
            )
        }
    }

    /// Text in UTF-8.
    package static func text(_ text: String, status: Int = 200, type: String = "text/plain") -> HTTPResponse {
        HTTPResponse(
            status: status, headers: ["Content-Type": type + "; charset=utf-8"], body: .bytes(Array(text.utf8)))
    }

    /// 204: done, and nothing to say.
    package static var noContent: HTTPResponse { HTTPResponse(status: 204, body: .bytes([])) }

    /// Server-sent events; the stream belongs to this one answer.
    package static func events(_ stream: EventStream) -> HTTPResponse {
        HTTPResponse(status: 200, headers: ["Content-Type": "text/event-stream"], body: .events(stream))
    }

    /// A refusal with its problem details.
    package static func problem(_ problem: Problem) -> HTTPResponse {
        var headers = ["Content-Type": "application/problem+json"]
        headers["Retry-After"] = problem.retryAfter.map(String.init)
        // The fallback cannot be reached: a problem holds text and an integer.
        let bytes = (try? JSONBody.encode(problem)) ?? []
        return HTTPResponse(status: problem.status, headers: headers, body: .bytes(bytes))
    }

    /// The same answer, after which the connection is closed.
    func closing() -> HTTPResponse {
        var response = self
        response.closesConnection = true
        return response
    }
}
