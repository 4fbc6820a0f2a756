import Federation
import Glibc
import Synchronization
import Testing

@testable import Node

/// Clients that take places and give nothing for them: whoever has a request is answered all the same.
@Suite("A crowd at an HTTP listener", .timeLimit(.minutes(1)))
struct HTTPCrowdTests {
    private final class Lines: Sendable {
        private let lines = Mutex<[LinkLoop.Event]>([])
        func add(_ line: LinkLoop.Event) { lines.withLock { $0.append(line) } }
        var all: [LinkLoop.Event] { lines.withLock { $0 } }
    }

    private static let echo: HTTPServer.Handler = { request, responder in responder.answer(.text(request.path)) }
    private static let seats = 8
    private static let guests = 60

    private static var limits: HTTPLimits {
        var limits = HTTPLimits()
        (limits.newcomers, limits.idle, limits.bodies, limits.untaken) = (seats, seats, seats, seats)
        // What is closed here is closed for want of room.
        (limits.headDeadline, limits.requestDeadline, limits.inactivitySeconds) = (.seconds(50), .seconds(50), 50)
        return limits
    }

    /// What the guests send when they come, and after a request of theirs has been answered.
    @Test(
        "The longest waiting give way, the others keep their places, a request is answered, and one line says so",
        arguments: [
            "", "P", "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
            "GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ], [false, true])
    func crowd(sent: String, isUnix: Bool) async throws {
        try await withScratchFolder { folder in
            let address: HTTPAddress = isUnix ? .unix(path: folder + "/s") : .tcp(host: "127.0.0.1", port: 0)
            let lines = Lines()
            let server = try HTTPServer(address, limits: Self.limits, log: lines.add, handler: Self.echo)
            defer { server.stop(within: .seconds(2)) }
            var guests: [TestSocket] = []
            for _ in 0..<Self.guests {
                let guest = try TestSocket(server.address)
                guest.send(sent)
                // In order: the next one comes when this one's place is known.
                if sent.hasPrefix("GET") { #expect(try guest.response().body == "/first") }
                if sent.hasPrefix("POST") { try Self.ask(server) }
                guests.append(guest)
            }
            // It is a guest too while it comes: where guests wait for a first head, one more gives way.
            try Self.ask(server)
            let gone = Self.guests - Self.seats
            for guest in guests[..<gone] { #expect(try guest.readToEnd().isEmpty) }
            try Self.ask(server)
            #expect(guests[(gone + 2)...].count { $0.isOpen } == Self.seats - 2)
            #expect(lines.all.map(\.code) == ["too-many-waiting"] && lines.all[0].detail.contains("\(server.address)"))
            // Who still has a place is heard.
            let rest =
                sent.hasPrefix("POST") ? String(repeating: "x", count: 999) : String("POST".dropFirst(sent.count))
            if sent.isEmpty || sent == "P" {
                guests[Self.guests - 1].send(rest + " /late HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
                #expect(try guests[Self.guests - 1].response().body == "/late")
            } else if sent.hasPrefix("POST") {
                guests[Self.guests - 1].send(rest)
                #expect(try guests[Self.guests - 1].response().body == "/a")
            }
        }
    }

    @Test("Whoever asks for figures within a second gets one text, and it is made once")
    func figures() async throws {
        let made = Mutex(0)
        let figures = Figures {
            made.withLock { $0 += 1 }
            usleep(50_000)
            return "figures"
        }
        let server = try HTTPServer(
            .tcp(host: "127.0.0.1", port: 0), limits: HTTPLimits(), log: { _ in },
            handler: { _, responder in figures.answer(responder) })
        defer { server.stop(within: .seconds(2)) }
        let clients = try (0..<30).map { _ in
            let client = try TestSocket(server.address)
            client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client
        }
        for client in clients { #expect(try client.response().body == "figures") }
        #expect(made.withLock { $0 } <= 2)
    }

    @Test("Who asks and does not take the answers gives way to who does")
    func untaken() async throws {
        let lines = Lines()
        var limits = Self.limits
        limits.sendDeadline = .seconds(50)
        let large = String(repeating: "x", count: 4 << 20)
        let server = try HTTPServer(
            .tcp(host: "127.0.0.1", port: 0), limits: limits, log: lines.add,
            handler: { request, responder in
                responder.answer(.text(request.path == "/large" ? large : request.path))
            })
        defer { server.stop(within: .seconds(2)) }
        let guests = try (0..<3 * Self.seats).map { _ in
            let guest = try TestSocket(server.address)
            guest.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            // One after the other: its answer has begun when this one's has come.
            try Self.ask(server)
            return guest
        }
        #expect(lines.all.first?.detail.contains("taking its answer") == true)
        // The longest waiting were cut off in the middle, the others can still take it.
        #expect(try guests[0].readToEnd().utf8.count < large.utf8.count)
        #expect(try guests[3 * Self.seats - 1].response().body == large)
    }

    private static func ask(_ server: HTTPServer) throws {
        let client = try TestSocket(server.address)
        client.send("GET /asked HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(try client.response().body == "/asked")
        #expect(try client.readToEnd().isEmpty)
    }

    @Test("Requests that are being answered, and streams, keep their places whatever comes")
    func answering() async throws {
        final class Kept: Sendable { let responders = Mutex<[HTTPResponder]>([]) }
        let kept = Kept()
        let stream = EventStream()
        let lines = Lines()
        let server = try HTTPServer(
            .tcp(host: "127.0.0.1", port: 0), limits: Self.limits, log: lines.add,
            handler: { request, responder in
                switch request.path {
                case "/kept": kept.responders.withLock { $0.append(responder) }
                case "/events": responder.answer(.events(stream))
                default: responder.answer(.text(request.path))
                }
            })
        defer { server.stop(within: .seconds(2)) }
        let reader = try TestSocket(server.address)
        reader.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try reader.read(until: "\r\n\r\n")
        let clients = try (0..<3 * Self.seats).map { _ in
            let client = try TestSocket(server.address)
            let before = kept.responders.withLock { $0.count }
            client.send("GET /kept HTTP/1.1\r\nHost: localhost\r\n\r\n")
            // The server takes ten connections at a time, and here has seats for eight.
            for _ in 0..<500 where kept.responders.withLock({ $0.count }) == before { usleep(10_000) }
            return client
        }
        let crowd = try (0..<Self.guests).map { _ in try TestSocket(server.address) }
        #expect(try crowd[0].readToEnd().isEmpty)
        for responder in kept.responders.withLock({ $0 }) { #expect(responder.answer(.text("late"))) }
        for client in clients { #expect(try client.response().body == "late") }
        stream.send(data: "heard")
        #expect(try reader.read(until: "\n\n").contains("data: heard"))
    }

    @Test("A connection that says nothing, and one that says a byte at a time, ends with the deadline of its head")
    func headDeadline() async throws {
        var limits = HTTPLimits()
        limits.headDeadline = .milliseconds(200)
        try await withServer(limits: limits, handler: Self.echo) { server in
            let begin = ContinuousClock.now
            let (silent, slow) = (try TestSocket(server.address), try TestSocket(server.address))
            for byte in "GET /a HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + String(repeating: "x", count: 400)
            where slow.send(String(byte)) {
                usleep(10_000)
                if ContinuousClock.now - begin > .seconds(20) { break }
            }
            #expect(try silent.readToEnd().isEmpty)
            #expect(ContinuousClock.now - begin < .seconds(10))
        }
    }
}
