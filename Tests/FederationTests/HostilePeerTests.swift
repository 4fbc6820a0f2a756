import CLinux
import FederationTestKit
import Glibc
import Testing

@testable import Federation

/// A peer that is who it says it is and means no good: it may end its own session, and nothing else.
@Suite("A hostile peer", .serialized)
struct HostilePeerTests {
    private static let life = Incarnation(bits: ID128(high: 1, low: 1))

    private struct NoPacks: OutboxReading {
        func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? { nil }
    }

    private struct Star: Routes {
        var topologyVersion: UInt64 { 1 }
        var publisher: NodeID? { FrameTests.here }
        func nextHop(from: NodeID, to: NodeID) -> NodeID? {
            if from == to { return nil }
            return from == FrameTests.here ? to : FrameTests.here
        }
    }

    private final class Silent: Application {
        func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {}
        func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
        func rejected(
            _ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction
        ) throws(StoreError) {}
        func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction)
            throws(StoreError)
        {}
    }

    private func hello(held: [Hello.Held] = [], tokens: [SessionToken] = []) -> Hello {
        Hello(
            topologyVersion: 1, incarnation: HostilePeerTests.life, knownIncarnation: nil, tokens: tokens, held: held,
            offered: [])
    }

    private func met(_ rows: [StreamChange] = [], _ hello: Hello? = nil) -> (Exchange, [ExchangeAction]) {
        var exchange = Exchange(
            node: FrameTests.here, incarnation: Incarnation(bits: ID128(high: 9, low: 9)), routes: Star(), rows: rows,
            peers: [])
        _ = exchange.sessionOpened(1, peer: FrameTests.peer, dialled: true)
        let actions = arrive(.hello, (hello ?? self.hello()).encoded(), &exchange)
        return (exchange, actions)
    }

    private func arrive(
        _ kind: FrameKind, _ bytes: [UInt8], _ exchange: inout Exchange, in session: SessionNumber = 1
    ) -> [ExchangeAction] {
        exchange.arrived(
            FramedMessage(kind: kind, flags: 0, bytes: bytes), in: session, reading: NoPacks(),
            random: { ID128(high: 5, low: 5) })
    }

    private func closed(_ actions: [ExchangeAction]) -> String? {
        for case .close(_, let code, _) in actions { return code }
        return nil
    }

    @Test(
        "Numbers that would overflow a sum end the session",
        arguments: [UInt64.max, UInt64.max - 5, UInt64(1) << 62 + 1])
    func extremes(_ number: UInt64) {
        let (mine, theirs) = (
            FrameTests.stream(FrameTests.here, FrameTests.peer), FrameTests.stream(FrameTests.peer, FrameTests.here)
        )
        var row = StreamRow(ordinal: 1)
        row.last = 3
        let rows = [StreamChange(id: mine, row: row)]
        let held = Hello.Held(stream: mine, last: number, digest: .zero, from: nil, credit: 0)
        #expect(closed(met(rows, hello(held: [held])).1) == "message-malformed")
        let token = SessionToken(counter: number, random: ID128(high: 1, low: 1))
        #expect(closed(met([], hello(tokens: [token])).1) == "message-malformed")
        let messages: [(FrameKind, [UInt8])] = [
            (.offer, LinkCodec.bases([StreamBase(stream: theirs, base: number, digest: .zero)])),
            (.ack, LinkCodec.acks([Ack(stream: mine, through: number, credit: 1, resend: false)])),
            (.ack, LinkCodec.acks([Ack(stream: mine, through: 0, credit: number, resend: true)])),
            (.receipt, LinkCodec.receipts([ReceiptState(stream: mine, applied: number, rejections: [])], version: 2)),
            (.settled, LinkCodec.positions([StreamPosition(stream: theirs, position: number)])),
            (.token, LinkCodec.token(token, proposed: false)),
        ]
        for (kind, bytes) in messages {
            var (exchange, _) = met(rows)
            #expect(closed(arrive(kind, bytes, &exchange)) == "message-malformed", "\(kind)")
        }
    }

    @Test("A base that no stream reaches ends the session")
    func farBase() {
        let theirs = FrameTests.stream(FrameTests.peer, FrameTests.here)
        var (exchange, _) = met()
        let base = StreamBase(stream: theirs, base: 1 << 40 + 1, digest: .zero)
        #expect(closed(arrive(.offer, LinkCodec.bases([base]), &exchange)) == "base-out-of-reach")
    }

    @Test("Other bytes under a position that is kept here end the session; the same ones are acknowledged again")
    func otherBytes() throws {
        struct OnePack: OutboxReading {
            var pack: Pack
            func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? { pack }
        }
        let stream = FrameTests.stream(FrameTests.peer, FrameTests.other)
        func envelope(_ body: UInt8) -> [UInt8] {
            let header = EnvelopeHeader(
                stream: stream, position: 1, kind: .probe, id: ID128(high: 1, low: 1),
                created: Timestamp(milliseconds: 1), topologyVersion: 1)
            return EnvelopeCodec.encode(Envelope(header: header, body: EnvelopeBody(bytes: [body])))
        }
        var row = StreamRow(ordinal: 1)
        row.last = 1
        var pack = Pack(first: 1, digestBefore: .zero)
        pack.append(envelope(7))
        for (body, code) in [(UInt8(7), nil), (8, "position-reused")] as [(UInt8, String?)] {
            var (exchange, _) = met([StreamChange(id: stream, row: row)])
            let actions = exchange.arrived(
                FramedMessage(kind: .envelope, flags: 0, bytes: envelope(body)), in: 1, reading: OnePack(pack: pack),
                random: { ID128(high: 5, low: 5) })
            #expect(closed(actions) == code)
        }
    }

    @Test("A good-bye is told by its code when it is one of ours, and never in the peer's words")
    func goodbye() {
        for (code, told) in [("link-paused", "link-paused"), ("sidorova-anna", "other"), ("\u{1b}[31m", "other")] {
            var (exchange, _) = met()
            let actions = arrive(.bye, LinkCodec.bye(code, "tel 8-900-123"), &exchange)
            let notes = actions.compactMap { action in
                if case .note(let code, _, let detail) = action { "\(code) \(detail)" } else { nil }
            }
            #expect(notes == ["peer-said \(told)"])
            for case .close(_, let code, let detail) in actions { #expect(code == "peer-closed" && detail == told) }
        }
    }

    @Test("Of an origin that invents lives so many are followed, and the session goes on for the others")
    func lives() throws {
        var (exchange, _) = met()
        func send(_ life: UInt64) -> [ExchangeAction] {
            var stream = FrameTests.stream(FrameTests.peer, FrameTests.here)
            stream.incarnation = Incarnation(bits: ID128(high: 3, low: life))
            let header = EnvelopeHeader(
                stream: stream, position: 1, kind: .probe, id: ID128(high: 1, low: life),
                created: Timestamp(milliseconds: 1), topologyVersion: 1)
            let bytes = EnvelopeCodec.encode(Envelope(header: header, body: EnvelopeBody(bytes: [])))
            return arrive(.envelope, bytes, &exchange)
        }
        for life in 1...UInt64(Exchange.mostLives) {
            #expect(!send(life).contains { if case .note = $0 { true } else { false } })
        }
        let actions = send(1_000_000)
        #expect(actions.contains { if case .note(let code, _, _) = $0 { code == "too-many-lives" } else { false } })
        #expect(closed(actions) == nil && exchange.isRunning(1))
        for case .send(_, let bytes) in actions {
            #expect(try LinkCodec.acks(Array(bytes.dropFirst(8))).map(\.credit) == [0])
        }
    }

    @Test("Who was told that there is no credit hears of it when there is room again")
    func roomAgain() throws {
        var (exchange, _) = met()
        _ = exchange.roomChanged(mayRelay: false, closed: [])
        var row = StreamRow(ordinal: 1)
        row.last = 10
        let stream = FrameTests.stream(FrameTests.peer, FrameTests.other)
        func credit(_ actions: [ExchangeAction]) throws -> UInt64? {
            for case .send(_, let bytes) in actions {
                return try LinkCodec.acks(Array(bytes.dropFirst(8))).first { $0.stream == stream }?.credit
            }
            return nil
        }
        #expect(try credit(exchange.committed([StreamChange(id: stream, row: row)])) == 10)
        #expect(try credit(exchange.roomChanged(mayRelay: true, closed: [])) == 10 + Exchange.window)
        // One room of many: the same for its own streams, and nobody else's business.
        #expect(exchange.roomChanged(mayRelay: true, closed: [Room(stream)]).isEmpty)
        row.last = 11
        #expect(try credit(exchange.committed([StreamChange(id: stream, row: row)])) == 11)
        #expect(try credit(exchange.roomChanged(mayRelay: true, closed: [])) == 11 + Exchange.window)
    }

    @Test("Room that comes back after the hello has gone is told, though the peer has not answered yet")
    func roomWhileGreeting() throws {
        var row = StreamRow(ordinal: 1)
        row.last = 10
        let stream = FrameTests.stream(FrameTests.peer, FrameTests.other)
        var exchange = Exchange(
            node: FrameTests.here, incarnation: Incarnation(bits: ID128(high: 9, low: 9)), routes: Star(),
            rows: [StreamChange(id: stream, row: row)], peers: [])
        _ = exchange.roomChanged(mayRelay: true, closed: [Room(stream)])
        _ = exchange.sessionOpened(1, peer: FrameTests.peer, dialled: true)
        #expect(exchange.roomChanged(mayRelay: true, closed: []).count == 1)
        // Of a stream that this store has forgotten it may hear; of one that does not go to the peer it may not.
        let forgotten = FrameTests.stream(FrameTests.here, FrameTests.peer)
        let acks = LinkCodec.acks([Ack(stream: forgotten, through: 5, credit: 9, resend: false)])
        var (running, _) = met()
        #expect(closed(arrive(.ack, acks, &running)) == nil)
    }

    @Test("Receipts of streams that it has invented do not grow without end, and lock nobody else out")
    func inventedStreams() throws {
        var (exchange, _) = met()
        for number in 0..<20_000 {
            let stream = StreamID(
                origin: FrameTests.other, incarnation: Incarnation(bits: ID128(high: 7, low: UInt64(number))),
                destination: FrameTests.peer, lane: .bulk)
            let state = ReceiptState(stream: stream, applied: 1, rejections: [])
            _ = arrive(.receipt, LinkCodec.receipts([state], version: 2), &exchange)
        }
        _ = exchange.sessionOpened(2, peer: FrameTests.other, dialled: false)
        let actions = arrive(.hello, hello().encoded(), &exchange, in: 2)
        var assembler = FrameAssembler()
        var messages = 0
        for case .send(_, let bytes) in actions { bytes.withUnsafeBytes { assembler.append($0) } }
        while try assembler.next() != nil { messages += 1 }
        #expect((2...32).contains(messages))
    }

    @Test("A long receipt is settled in parts, so that a commit stays short")
    func longReceipt() throws {
        let engine = MemoryEngine()
        let outbox = Outbox(
            node: FrameTests.here, incarnation: Incarnation(bits: ID128(high: 9, low: 9)), topologyVersion: 1)
        let inbox = Inbox(
            node: FrameTests.here, application: Silent(), incarnation: Incarnation(bits: ID128(high: 9, low: 9)))
        func commit(_ body: @escaping (borrowing WriteTransaction) throws -> Void) throws -> [StreamChange] {
            let job = WriteJob(.essential, nested: false, body: body) { _ in }
            return try GroupCommit.run([job], on: engine, quota: 0, now: Timestamp(milliseconds: 0)).report.changes
        }
        let sent = try commit { transaction in
            for number in 1...700 {
                try outbox.send(
                    .escalation, id: ID128(high: 1, low: UInt64(number)), to: FrameTests.peer,
                    body: EnvelopeBody(bytes: [1]), in: transaction)
            }
        }
        var (exchange, _) = met()
        _ = exchange.committed(sent)
        let stream = try #require(sent.first?.id)
        var actions = arrive(
            .receipt, LinkCodec.receipts([ReceiptState(stream: stream, applied: 700, rejections: [])], version: 2),
            &exchange)
        var settled: [UInt64] = []
        while case .submit(let work, let tag) = actions.first(where: {
            if case .submit = $0 { true } else { false }
        }), settled.count < 9 {
            let changes = try commit { transaction in _ = try inbox.perform(work, in: transaction) }
            settled.append(changes.first?.row.settled ?? 0)
            _ = exchange.committed(changes)
            actions = exchange.workDone(tag, .success(ExchangeOutcome()))
        }
        #expect(settled == [256, 512, 700])
    }

    @Test("A node that is refused was never up, and does not dial in a storm")
    func refusedNode() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: Silent.init)
        defer { federation.stopAll() }
        try TestTrust.change(
            federation.place("centre"),
            pins: { pins in
                var pins = pins
                for index in pins.nodes.indices where pins.nodes[index].node == "subject-77" {
                    pins.nodes[index].linkPin = String(repeating: "0", count: 64)
                }
                return pins
            })
        try federation.start("centre")
        try federation.start("subject-77")
        #expect(
            TestFederation.wait(milliseconds: 20_000) {
                federation.log.all.count { $0.contains("subject-77: peer-refused") } >= 4
            })
        #expect(federation.log.all.allSatisfy { !$0.contains("link-up") })
        // The other end has refused four strangers, and says it once.
        #expect(federation.log.all.count { $0.contains("centre: pin-mismatch") } == 1)
    }

    @Test("Connections that say nothing give way to who says who it is")
    func silentConnections() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: Silent.init)
        defer { federation.stopAll() }
        let port = try #require(try federation.start("centre").links.port)
        let idle = (0..<LinkLoop.maximumHandshakes + 8).map { _ in HostilePeerTests.connect(port) }
        defer { for descriptor in idle { close(descriptor) } }
        #expect(federation.log.wait(milliseconds: 10_000, for: "too-many-handshakes"))
        try federation.start("subject-77")
        #expect(federation.log.wait(milliseconds: 20_000, for: "subject-77: link-up"))
    }

    private static func connect(_ port: UInt16) -> CInt {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return descriptor
    }
}
