import Federation
import FederationTestKit
import Glibc
import Testing

@testable import Node

@Suite("HTTP listener")
struct HTTPTests {
    /// Sends raw bytes and reads until the server closes or has answered.
    static func raw(_ port: UInt16, _ text: String) -> String {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { return "unreachable" }
        let bytes = Array(text.utf8)
        send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count > 0 { answer += buffer[..<count] }
        return String(decoding: answer, as: UTF8.self)
    }

    private func server() throws -> HTTPServer {
        var routes = HTTPRoutes()
        routes.add("POST", "/echo/{name}") { request, names, responder in
            Threads.start("echo") {
                responder.answer(
                    HTTPResponse(
                        status: 200, contentType: "text/plain", body: Array((names["name"] ?? "").utf8) + request.body))
            }
        }
        let table = routes
        return try HTTPServer(.tcp(host: "127.0.0.1", port: 0)) { table.handle($0, $1) }
    }

    @Test("A request is answered from another thread, and the connection goes on")
    func answers() throws {
        let server = try server()
        defer { server.stop() }
        let client = HTTPClient(base: "http://127.0.0.1:\(server.port)")
        for round in 0..<20 {
            let body = Array(repeating: UInt8(ascii: "x"), count: round * 5000)
            let answer = try client.send("POST", "/echo/r\(round)", body: body)
            #expect(answer.status == 200 && answer.body == Array("r\(round)".utf8) + body)
        }
        #expect(try client.send("GET", "/echo/x").status == 405)
        #expect(try client.send("GET", "/nothing").status == 404)
        #expect(try client.send("POST", "/echo/x", body: Array(repeating: 1, count: (1 << 20) + 1)).status == 413)
    }

    @Test(
        "What can be read in two ways, or comes from another page, is refused",
        arguments: [
            ("POST /echo/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", " 400 "),
            (
                "POST /echo/a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                " 400 "
            ),
            ("POST /echo/a HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", " 400 "),
            ("POST /echo/a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", " 400 "),
            ("POST /echo/a HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n", " 403 "),
            (
                "POST /echo/a HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
                " 403 "
            ),
        ])
    func refuses(_ request: String, _ status: String) throws {
        let server = try server()
        defer { server.stop() }
        #expect(HTTPTests.raw(server.port, request).prefix(20).contains(status))
    }

    @Test("A Unix socket knows who asks, is replaced when left over, and refused when alive")
    func unix() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        let handler: HTTPServer.Handler = { request, responder in
            if case .process(let uid, _) = request.peer {
                responder.answer(HTTPResponse(status: 200, contentType: "text/plain", body: Array("\(uid)".utf8)))
            }
        }
        let server = try HTTPServer(.unix(path: path), handler: handler)
        #expect { try HTTPServer(.unix(path: path), handler: handler) } throws: {
            ($0 as? FederationError)?.code == "socket-in-use"
        }
        #expect(try HTTPClient(socket: path).send("GET", "/").body == Array("\(getuid())".utf8))
        server.stop()
        #expect(!Files.exists(path))
        #expect { try HTTPClient(socket: path).send("GET", "/") } throws: {
            ($0 as? FederationError)?.code == "unreachable"
        }
    }
}
