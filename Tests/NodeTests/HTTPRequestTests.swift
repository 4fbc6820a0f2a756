import Federation
import Testing

@testable import Node

@Suite struct HTTPRequestTests {
    @Test(
        "A target is taken apart, each part decoded once",
        arguments: [
            ("/", [], [:]),
            ("/api/v1/appeals", ["api", "v1", "appeals"], [:]),
            ("/a%20b/%D0%BC", ["a b", "м"], [:]),
            ("/a+b", ["a+b"], [:]),
            ("/%2541", ["%41"], [:]),
            ("/a?x=1&y=%26&z", ["a"], ["x": "1", "y": "&", "z": ""]),
            ("/a?q=a+b%2B", ["a"], ["q": "a b+"]),
            ("/a?", ["a"], [:]),
            ("/...", ["..."], [:]),
        ] as [(String, [String], [String: String])])
    func target(text: String, segments: [String], query: [String: String]) throws {
        let target = try HTTPTarget(text)
        #expect(target.segments == segments)
        #expect(target.query == query)
    }

    @Test(
        "A target that two readers could read differently is refused",
        arguments: [
            "", "*", "http://a/b", "a", "//a", "/a//b", "/a/", "/.", "/a/../b", "/%2e%2e/b", "/%2E", "/a%2Fb", "/a%00",
            "/a%0a", "/a%7f", "/%", "/%4", "/%zz", "/%ff", "/%c0%ae", "/м", "/a#b", "/a b", "/a?x=%", "/a?x=1&x=2",
            "/a?&",
            "/a?=1", "/a?" + (0...HTTPTarget.maximumNames).map { "n\($0)" }.joined(separator: "&"),
        ])
    func refused(text: String) {
        let problem = #expect(throws: Problem.self) { try HTTPTarget(text) }
        #expect(problem?.status == 400)
        #expect(problem?.code == "bad-target")
    }

    @Test(
        "Host and Origin of the API's own pages only",
        arguments: [
            ("127.0.0.1:7411", nil, true), ("LOCALHOST", nil, true), ("[::1]:7411", nil, true),
            ("node.test:80", nil, true),
            ("localhost:9", "http://localhost:9", true),
            ("evil.test", nil, false), ("127.0.0.1.evil.test", nil, false), ("localhost:x", nil, false),
            ("localhost:99999", nil, false), ("[::1", nil, false), ("", nil, false), ("user@localhost", nil, false),
            ("localhost:9", "http://localhost:8", false), ("localhost", "https://localhost", false),
            ("localhost", "null", false), ("localhost", "http://evil.test", false),
        ] as [(String, String?, Bool)])
    func origin(host: String, origin: String?, isAdmitted: Bool) throws {
        var limits = HTTPLimits()
        limits.allowedHosts = ["node.test"]
        var fields = [("Host", host)]
        if let origin { fields.append(("Origin", origin)) }
        let tcp = HTTPGuard(limits: limits, peer: .tcp)
        if isAdmitted {
            #expect(try tcp.admit(version: "HTTP/1.1", fields: fields)["host"] == host)
        } else {
            let problem = #expect(throws: Problem.self) { try tcp.admit(version: "HTTP/1.1", fields: fields) }
            #expect(problem?.code == "forbidden-origin")
            // On a Unix socket the kernel says who calls.
            _ = try HTTPGuard(limits: limits, peer: .unix(uid: 0, pid: 1)).admit(version: "HTTP/1.1", fields: fields)
        }
    }

    @Test("Problem details are what RFC 9457 says, with sorted keys, and can be read again")
    func problem() throws {
        let problem = Problem(FederationError("store-full", "a/b", remedy: "Очистите."), status: 503, retryAfter: 30)
        let bytes = try JSONBody.encode(problem)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"code":"store-full","detail":"a/b","remedy":"Очистите.","status":503,"type":"urn:ekc:problem:store-full"}"#
        )
        let response = HTTPResponse.problem(problem)
        #expect(response.status == 503)
        #expect(response.headers == ["Content-Type": "application/problem+json", "Retry-After": "30"])
    }

    @Test(
        "The table of routes",
        arguments: [
            ("GET", ["a"], 200, "GET /a"), ("GET", ["a", "1"], 200, "GET /a/{id} id=1"),
            ("POST", ["a", "1"], 200, "POST /a/{id} id=1"),
            ("POST", ["a", "claim"], 200, "POST /a/claim"), ("POST", ["b", "x", "c"], 200, "POST /b/{x}/{y} x=x,y=c"),
            ("POST", ["b", "x", "d"], 200, "POST /b/{x}/d x=x"),
            ("GET", ["a", "claim"], 200, "GET /a/{id} id=claim"), ("GET", [], 200, "GET /"),
            ("DELETE", ["a", "1"], 405, "GET, POST"), ("get", ["a"], 405, "GET"),
            ("GET", ["a", "1", "2"], 404, ""), ("GET", ["z"], 404, ""),
        ] as [(String, [String], Int, String)])
    func routes(method: String, path: [String], status: Int, expected: String) throws {
        var routes = HTTPRoutes()
        let patterns = [
            "GET /a/{id}", "GET /a", "POST /a/{id}", "POST /a/claim", "GET /", "POST /b/{x}/{y}", "POST /b/{x}/d",
        ]
        for pattern in patterns {
            let parts = pattern.split(separator: " ").map(String.init)
            routes.on(parts[0], parts[1]) { request, responder in
                let found = request.parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                responder.answer(
                    .text(([pattern] + (found.isEmpty ? [] : [found.joined(separator: ",")])).joined(separator: " ")))
            }
        }
        #expect(routes.list.map { "\($0.method) \($0.pattern)" }.sorted() == patterns.sorted())
        let answer = answer(of: routes.handle, to: HTTPRequest(method: method, segments: path))
        #expect(answer.status == status)
        if status == 405 { #expect(answer.headers["Allow"] == expected) }
        if status == 200, case .bytes(let bytes) = answer.body {
            #expect(String(decoding: bytes, as: UTF8.self) == expected)
        }
    }

    @Test("A query that nobody reads is refused, not passed over")
    func unknownQuery() {
        var routes = HTTPRoutes()
        routes.on("GET", "/a") { _, responder in responder.answer(.noContent) }
        let request = HTTPRequest(method: "GET", segments: ["a"], query: ["limit": "1"])
        #expect(answer(of: routes.handle, to: request).status == 400)
    }

    private struct Body: APIRequest {
        static let fields: Set = ["text", "number"]
        var text: String?
        var number: Int?
    }

    @Test(
        "A body that two readers might read differently is refused with its place",
        arguments: [
            (#"{"text":"a","text":"b"}"#, "bad-json", "1:13"), (#"{"text":"a",}"#, "bad-json", "1:13"),
            (#"{"number":99999999999999999999}"#, "bad-json", "1:11"), (#"{"number":1.5}"#, "bad-json", "1:11"),
            (#"{"text":"\ud800"}"#, "bad-json", "1:"), (String(repeating: "[", count: 5000), "bad-json", "1:33"),
            (#"{"other":1}"#, "unknown-field", "other"), (#"{"text":"a"} {}"#, "bad-json", "1:14"),
        ])
    func bodies(text: String, code: String, says: String) {
        let problem = #expect(throws: Problem.self) { _ = try JSONBody.decode(Body.self, from: Array(text.utf8)) }
        #expect(problem?.code == code)
        #expect(problem?.detail.contains(says) == true, "\(problem?.detail ?? "")")
    }

    @Test("A responder answers once, and for itself when dropped")
    func responder() {
        let twice = answer(
            of: {
                $1.answer(.noContent); #expect(!$1.answer(.text("late")))
            }, to: Self.request)
        #expect(twice.status == 204)
        let never = answer(of: { _, _ in }, to: Self.request)
        #expect(never.status == 500)
    }

    private static let request = HTTPRequest(method: "GET", segments: [])
}
