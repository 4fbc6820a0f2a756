import FederationTestKit
import Testing

@testable import Federation

/// After a restore only the lane of control passes, until neighbours have nothing newer of the signed metadata.
@Suite("A restored node and its neighbours", .serialized)
struct RestoredTests {
    @Test("Two neighbours are enough, or all who can say it")
    func enough() {
        let names = ["a", "b", "c"].compactMap { NodeID($0) }
        let cases: [(neighbours: Int, agreeing: [Int], count: Int)] = [
            (0, [], 0), (1, [], 1), (1, [0], 0), (2, [0], 1), (2, [0, 1], 0), (3, [2], 1), (3, [0, 2], 0),
            // Who is no neighbour any more, or is denied, counts for nothing.
            (1, [1, 2], 1), (2, [2], 2),
        ]
        for (neighbours, agreeing, count) in cases {
            let awaited = FederationNode.awaited(of: Set(names.prefix(neighbours)), Set(agreeing.map { names[$0] }))
            #expect(awaited.count == count, "\(neighbours) \(agreeing)")
        }
        #expect(FederationNode.awaited(of: Set(names), [names[0]]).of == [names[1], names[2]])
    }

    // MARK: The exchange

    private static let life = Incarnation(bits: ID128(high: 9, low: 9))

    private struct OnePack: OutboxReading {
        func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? {
            var pack = Pack(first: 1, digestBefore: .zero)
            pack.append(RestoredTests.envelope(stream.lane == .control ? .topology : .answer, stream))
            return pack
        }
    }

    private static func envelope(_ kind: MessageKind, _ stream: StreamID) -> [UInt8] {
        let header = EnvelopeHeader(
            stream: stream, position: 1, kind: kind, id: ID128(high: 1, low: 1), created: Timestamp(milliseconds: 1),
            topologyVersion: 1)
        return EnvelopeCodec.encode(Envelope(header: header, body: EnvelopeBody(bytes: [1])))
    }

    /// Here a message waits for the peer in each of two lanes; the peer has the same for here, and for another.
    private func met(highest: UInt16 = Hello.protocolVersion) -> Exchange {
        let rows = [Lane.control, .appeals].map { lane in
            var row = StreamRow(ordinal: UInt32(lane.rawValue))
            row.last = 1
            return StreamChange(
                id: StreamID(
                    origin: FrameTests.here, incarnation: Self.life, destination: FrameTests.peer, lane: lane),
                row: row)
        }
        var exchange = Exchange(
            node: FrameTests.here, incarnation: Self.life, routes: FrameTests.Star(), rows: rows, peers: [],
            isControlOnly: true)
        _ = exchange.sessionOpened(1, peer: FrameTests.peer, dialled: false)
        var hello = Hello(
            topologyVersion: 1, incarnation: Incarnation(bits: ID128(high: 1, low: 1)), knownIncarnation: nil,
            tokens: [], held: [], offered: [])
        hello.highest = highest
        _ = arrive(.hello, hello.encoded(), &exchange)
        return exchange
    }

    private func arrive(_ kind: FrameKind, _ bytes: [UInt8], _ exchange: inout Exchange) -> [ExchangeAction] {
        exchange.arrived(
            FramedMessage(kind: kind, flags: 0, bytes: bytes), in: 1, reading: OnePack(),
            random: { ID128(high: 5, low: 5) })
    }

    private func messages(_ actions: [ExchangeAction]) throws -> [FramedMessage] {
        var assembler = FrameAssembler()
        for case .send(_, let bytes) in actions { bytes.withUnsafeBytes { assembler.append($0) } }
        var messages: [FramedMessage] = []
        while let message = try assembler.next() { messages.append(message) }
        return messages
    }

    private func acks(_ actions: [ExchangeAction]) throws -> [Ack] {
        try messages(actions).filter { $0.kind == .ack }.flatMap { try LinkCodec.acks($0.bytes) }
    }

    private func lanes(_ exchange: inout Exchange) throws -> [Lane] {
        var bytes: [UInt8] = []
        exchange.pump(1, room: 1 << 16, reading: OnePack(), into: &bytes)
        return try messages([.send(1, bytes)]).filter { $0.kind == .envelope }.map { message in
            var reader = ByteReader(message.bytes)
            return try EnvelopeCodec.decodeHeader(&reader).stream.lane
        }
    }

    @Test("Only control is sent and taken; the rest waits without credit, and goes on when neighbours agree")
    func gate() throws {
        var exchange = met()
        #expect(exchange.isRunning(1) && exchange.speechless.isEmpty)
        // Of release 0.1.0, which cannot say what is awaited.
        #expect(met(highest: 1).speechless == [FrameTests.peer])
        #expect(try lanes(&exchange) == [.control])
        let theirs = [Lane.control, .appeals, .knowledge, .bulk].flatMap { lane in
            [FrameTests.here, FrameTests.other].map { destination in
                StreamID(
                    origin: FrameTests.peer, incarnation: Incarnation(bits: ID128(high: 1, low: 1)),
                    destination: destination, lane: lane)
            }
        }
        let kinds: [Lane: MessageKind] = [.control: .topology, .appeals: .answer, .knowledge: .entry, .bulk: .probe]
        for stream in theirs {
            let bytes = Self.envelope(try #require(kinds[stream.lane]), stream)
            let actions = arrive(.envelope, bytes, &exchange)
            // Once more is no fault: what is behind the first one in its stream is on its way.
            let again = stream.lane == .control ? [] : arrive(.envelope, bytes, &exchange)
            #expect(!(actions + again).contains { if case .close = $0 { true } else { false } })
            guard stream.lane != .control else { continue }
            #expect(try acks(actions).map(\.credit) == [0] && acks(actions).map(\.stream) == [stream])
        }
        let waiting = exchange.waiting(1)
        let control = theirs.filter { $0.lane == .control }
        #expect(waiting > 0)
        _ = exchange.committed(
            control.map { stream in
                var row = StreamRow(ordinal: 7)
                row.last = 1
                return StreamChange(id: stream, row: row)
            })
        _ = exchange.workDone(.receive(1), .success(ExchangeOutcome()))
        // A newer topology comes first, and opens nothing.
        #expect(try acks(exchange.routesChanged(FrameTests.Star())).isEmpty)
        let actions = exchange.metadataAgreed() + exchange.workDone(.receive(1), .success(ExchangeOutcome()))
        let again = try acks(actions).filter { $0.resend }
        #expect(Set(again.map(\.stream)) == Set(theirs).subtracting(control))
        #expect(again.allSatisfy { $0.credit == Exchange.window })
        #expect(actions.contains(.pump(1)))
        #expect(try lanes(&exchange) == [.appeals])
        #expect(exchange.metadataAgreed().isEmpty)
    }

    // MARK: Real sockets, TLS and LMDB

    private func putBack(_ federation: TestFederation, _ name: String) throws {
        _ = try NewIncarnation.open(
            LMDBEngine(directory: federation.place(name).storeFolder, tables: Table.exchange),
            node: try #require(NodeID(name)), as: Incarnation(bits: Random.id128()), reason: "the disk is gone",
            actor: 0, now: Clocks.wall(), isBackup: true)
    }

    @Test("A centre that was put back hears two neighbours before it carries anything, over a restart too")
    func centre() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        defer { federation.stopAll() }
        try federation.start("centre")
        let subject = try federation.start("subject-77")
        federation.stop("centre")
        try putBack(federation, "centre")
        var centre = try federation.start("centre")
        #expect(federation.log.all.contains { $0.hasPrefix("centre: control-only ") })
        try subject.sendProbes(5, to: "centre")
        try subject.sendProbes(5, to: "subject-78")
        try centre.sendProbes(5, to: "subject-77")
        // One has said it; the other is not there.
        func hasHeardOne() -> Bool {
            TestFederation.wait(milliseconds: 10_000) { centre.awaitedNeighbours?.count == 1 }
        }
        #expect(hasHeardOne(), "\(federation.log.all)")
        #expect(centre.awaitedNeighbours?.of.map(\.text) == ["subject-78"])
        #expect(try centre.report(queues: []).isControlOnly)
        federation.stop("centre")
        centre = try federation.start("centre")
        #expect(hasHeardOne(), "\(federation.log.all)")
        #expect(try centre.appliedProbes() == 0 && subject.appliedProbes() == 0)
        #expect(try subject.mail()[centre.id]?.waiting == 5)
        let other = try federation.start("subject-78")
        #expect(
            try TestFederation.wait(milliseconds: 20_000) {
                try centre.appliedProbes() == 5 && subject.appliedProbes() == 5 && other.appliedProbes() == 5
            }, "\(federation.log.all)")
        #expect(centre.awaitedNeighbours == nil)
        #expect(federation.log.all.contains("centre: control-only-over - nothing newer at subject-77, subject-78"))
        federation.stop("centre")
        #expect(try federation.start("centre").awaitedNeighbours == nil)
    }

    @Test("A node that came back with older metadata has the newer in force before anything passes")
    func older() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        try federation.start("subject-77")
        federation.stop("subject-77")
        try putBack(federation, "subject-77")
        try centre.sendProbes(5, to: "subject-77")
        try federation.publish(federation.topology(version: 2))
        let subject = try federation.start("subject-77")
        #expect(
            try TestFederation.wait(milliseconds: 20_000) { try subject.appliedProbes() == 5 }, "\(federation.log.all)")
        let own = federation.log.all.filter { $0.hasPrefix("subject-77: ") }
        let newer = try #require(own.lastIndex { $0.contains("topology-applied - version 2") }, "\(own)")
        let over = try #require(own.lastIndex { $0.contains("control-only-over") }, "\(own)")
        #expect(newer < over)
    }
}
