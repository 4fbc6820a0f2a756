import FederationTestKit
import Testing

@testable import Node

/// What is no request of HTTP/1.1. The library refuses most of it before the node sees it, with a page of its own, which
/// cannot be replaced: short, without anything of the request or the node in it, and the connection ends.
@Suite(.timeLimit(.minutes(1))) struct HTTPGarbageTests {
    enum Refusal: Equatable {
        /// Closed without a word.
        case silent
        /// The library's page.
        case page(Int)
        /// Problem details of the node.
        case problem(Int, String)
    }

    private static let host = "\r\nHost: localhost\r\n"
    private static let long = String(repeating: "a", count: 40_000)

    @Test(
        "What is no request is refused in a bounded way, and the connection ends",
        arguments: [
            ("\r\n\r\n", .silent), ("garbage\r\n\r\n", .silent), ("GET\r\n\r\n", .silent), ("\0\0\r\n\r\n", .silent),
            // The head of a TLS hello, cut.
            ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}", .silent),
            ("GET /a\r\n\r\n", .page(400)), ("GET /a HTTP/1.1\r\n\r\n", .page(400)),
            ("HELO x\r\nFROM y\r\n\r\n", .page(400)), ("GET /a HTTP/1.1\(host)no header\r\n\r\n", .page(400)),
            ("POST /a HTTP/1.1\(host)Content-Length: x\r\n\r\n", .page(400)),
            ("POST /a HTTP/1.1\(host)Transfer-Encoding: chunked\r\n\r\nzz\r\n", .page(400)),
            ("GET /a HTTP/2.0\(host)\r\n", .page(505)), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .page(505)),
            ("GET /\(long) HTTP/1.1\(host)\r\n", .page(414)),
            ("GET /a HTTP/1.1\(host)X-Long: \(long)\r\n\r\n", .page(431)),
            ("OPTIONS * HTTP/1.1\(host)\r\n", .problem(400, "bad-target")),
            ("GET http://localhost/a HTTP/1.1\(host)\r\n", .problem(400, "bad-target")),
            ("CONNECT a:1 HTTP/1.1\(host)\r\n", .problem(400, "bad-target")),
            ("GET /a HTTP/1.1\(host)X-Bad\u{1}: 1\r\n\r\n", .problem(400, "bad-request")),
            ("GET /a HTTP/1.1\(host)X-Long: \(long.prefix(17_000))\r\n\r\n", .problem(431, "headers-too-large")),
        ] as [(String, Refusal)])
    func garbage(text: String, refusal: Refusal) async throws {
        var limits = HTTPLimits()
        (limits.headDeadline, limits.requestDeadline) = (.milliseconds(150), .milliseconds(150))
        try await withServer(limits: limits, handler: { _, responder in responder.answer(.text("reached")) }) {
            server in
            let client = try TestSocket(server.address)
            client.send(text)
            let answer = try client.readToEnd()
            #expect(!answer.contains("reached"))
            switch refusal {
            case .silent: #expect(answer.isEmpty)
            case .page(let status):
                // 0.9.75 sends some heads twice.
                #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("Connection: close"))
                #expect(answer.utf8.count < 640 && answer.contains("<html>") && !answer.contains("aaaa"))
            case .problem(let status, let code):
                #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("Connection: close"))
                #expect(answer.contains("Content-Type: application/problem+json"))
                #expect(answer.contains("\"code\":\"\(code)\"") && answer.contains("\"remedy\":\""))
            }
        }
    }

    @Test(
        "Random bytes, and requests with random bytes in them, end or are refused; the server goes on", arguments: 0..<4
    )
    func random(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        var limits = HTTPLimits()
        (limits.headDeadline, limits.requestDeadline) = (.milliseconds(150), .milliseconds(150))
        try await withServer(limits: limits, handler: { _, responder in responder.answer(.text("reached")) }) {
            server in
            let model = Array(
                "POST /api/v1/appeals?a=b%20 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX: y\r\n\r\n{}".utf8)
            for round in 0..<60 {
                var bytes = model
                if round % 3 == 0 {
                    bytes = (0..<Int.random(in: 1...600, using: &random)).map { _ in
                        .random(in: 0...255, using: &random)
                    }
                } else {
                    for _ in 0..<Int.random(in: 1...3, using: &random) {
                        bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
                    }
                }
                let client = try TestSocket(server.address)
                client.send(bytes)
                client.endSending()
                let answer = try client.readToEnd()
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 "), "\(bytes)")
            }
            let client = try TestSocket(server.address)
            client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try client.response().body == "reached")
        }
    }
}
