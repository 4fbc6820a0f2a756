import Federation
import Glibc
import Synchronization
import Testing

@testable import Node

@Suite(.timeLimit(.minutes(1))) struct HTTPStreamTests {
    /// Opens a stream for each request and keeps it.
    private final class Hub: Sendable {
        let streams = Mutex<[EventStream]>([])
        let capacity: Int
        init(capacity: Int = EventStream.defaultCapacity) { self.capacity = capacity }
        var all: [EventStream] { streams.withLock { $0 } }
        var handler: HTTPServer.Handler {
            { [self] _, responder in
                let stream = EventStream(capacity: capacity)
                stream.send(event: "hello", data: "")
                // Remembered before it is answered, so that who has read the greeting finds it here.
                streams.withLock { $0.append(stream) }
                responder.answer(.events(stream))
            }
        }
    }

    private static func open(_ server: HTTPServer, receiveBuffer: CInt? = nil) throws -> TestSocket {
        let client = try TestSocket(server.address, receiveBuffer: receiveBuffer)
        client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client
    }

    @Test("Twenty clients read every event in order")
    func twenty() async throws {
        let hub = Hub()
        try await withServer(handler: hub.handler) { server in
            let clients = try (0..<20).map { _ in try Self.open(server) }
            for client in clients {
                let head = try client.read(until: "\r\n\r\n")
                #expect(head.contains("Content-Type: text/event-stream\r\n"))
                _ = try client.read(until: "event: hello\ndata: \n\n")
            }
            #expect(hub.all.count == 20)
            for number in 1...100 {
                for stream in hub.all { #expect(stream.send(event: "work", id: "\(number)", data: "a\nb")) }
            }
            for client in clients {
                for number in 1...100 {
                    _ = try client.read(until: "id: \(number)\nevent: work\ndata: a\ndata: b\n\n")
                }
            }
            for stream in hub.all { stream.close() }
            for client in clients { _ = try client.read(until: "0\r\n\r\n") }
        }
    }

    @Test("One stream over the cap is 503; a client that has left makes room by the heartbeat")
    func cap() async throws {
        var limits = HTTPLimits()
        limits.streams = 2
        limits.heartbeat = .milliseconds(50)
        let hub = Hub()
        try await withServer(limits: limits, handler: hub.handler) { server in
            var first: TestSocket? = try Self.open(server)
            let second = try Self.open(server)
            for client in [first, second] { _ = try client?.read(until: "hello") }
            let third = try Self.open(server)
            let refused = try third.response()
            #expect(refused.status == 503)
            #expect(refused.body.contains("too-many-streams"))
            _ = try second.read(until: ":\n\n")
            first = nil
            let end = ContinuousClock.now + .seconds(10)
            while hub.all[0].isOpen, ContinuousClock.now < end { usleep(5_000) }
            #expect(!hub.all[0].isOpen)
            third.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try third.read(until: "\r\n").hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("A client that does not read is dropped, and the others do not notice")
    func slowReader() async throws {
        let hub = Hub(capacity: 16 << 10)
        try await withServer(handler: hub.handler) { server in
            let slow = try Self.open(server, receiveBuffer: 4096)
            _ = try slow.read(until: "hello")
            let good = try Self.open(server)
            _ = try good.read(until: "hello")
            let text = String(repeating: "x", count: 4000)
            var sent = 0
            while hub.all[0].isOpen, sent < 5000 {
                hub.all[0].send(data: text)
                hub.all[1].send(id: "\(sent)", data: text)
                _ = try good.read(until: "id: \(sent)\n")
                sent += 1
            }
            #expect(!hub.all[0].isOpen)
            #expect(hub.all[1].isOpen)
            _ = try slow.readToEnd()
        }
    }

    @Test("Stopping with streams open and requests in flight: streams end, requests are answered")
    func stop() async throws {
        let hub = Hub()
        final class Box: Sendable { let kept = Mutex<[HTTPResponder]>([]) }
        let box = Box()
        let handler: HTTPServer.Handler = { request, responder in
            if request.path == "/events" { return hub.handler(request, responder) }
            box.kept.withLock { $0.append(responder) }
        }
        let server = try HTTPServer(.tcp(host: "127.0.0.1", port: 0), handler: handler)
        let readers = try (0..<20).map { _ in try Self.open(server) }
        for reader in readers { _ = try reader.read(until: "hello") }
        let idle = try TestSocket(server.address)
        let waiting = try (0..<4).map { _ in
            let client = try TestSocket(server.address)
            client.send("POST /work HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
            return client
        }
        let end = ContinuousClock.now + .seconds(10)
        while box.kept.withLock({ $0.count }) < 4, ContinuousClock.now < end { usleep(1_000) }
        box.kept.withLock { kept in
            #expect(kept.count == 4)
            kept.removeFirst().answer(.text("in time"))
        }
        let begin = ContinuousClock.now
        server.stop(within: .milliseconds(200))
        #expect(ContinuousClock.now - begin < .seconds(5))
        for reader in readers { _ = try reader.read(until: "0\r\n\r\n") }
        let answers = try waiting.map { try $0.readToEnd() }
        #expect(answers.count { $0.contains("in time") } == 1)
        #expect(answers.count { $0.hasPrefix("HTTP/1.1 503 ") && $0.contains("stopping") } == 3)
        #expect(try idle.readToEnd().isEmpty)
        #expect(hub.all.allSatisfy { !$0.isOpen })
        box.kept.withLock { kept in
            for responder in kept { #expect(!responder.answer(.noContent)) }
        }
        #expect(throws: TestSocket.Failure.self) { try TestSocket(server.address) }
        server.stop()
    }

    @Test("Stopping while requests keep coming, again and again")
    func stopUnderLoad() async throws {
        for _ in 0..<10 {
            let hub = Hub()
            let handler: HTTPServer.Handler = { request, responder in
                if request.path == "/events" { return hub.handler(request, responder) }
                inBackground { responder.answer(.text("done")) }
            }
            let server = try HTTPServer(.tcp(host: "127.0.0.1", port: 0), handler: handler)
            let address = server.address
            let isGone = Monitor(false)
            try await onThreads(5) { client in
                if client == 4 {
                    usleep(.random(in: 0...50_000))
                    server.stop(within: .milliseconds(100))
                    return isGone.change { $0 = true }
                }
                // Until the server is gone: every failure from then on is what is wanted, and its port may be somebody else's.
                while !isGone.changeQuietly({ $0 }), let socket = try? TestSocket(address) {
                    let path = client == 0 ? "/events" : "/work"
                    while socket.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n") {
                        guard (try? socket.read(until: "\r\n\r\n")) != nil, client != 0 else { break }
                    }
                }
            }
        }
    }
}
