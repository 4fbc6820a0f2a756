import FederationTestKit
import Testing

@testable import Federation

@Suite("Frames and what a peer may not do")
struct FrameTests {
    static let here = NodeID("centre").unsafelyUnwrapped
    static let peer = NodeID("subject-77").unsafelyUnwrapped
    static let other = NodeID("subject-78").unsafelyUnwrapped

    struct Star: Routes {
        let topologyVersion: UInt64 = 1
        let publisher: NodeID? = FrameTests.here
        func nextHop(from: NodeID, to: NodeID) -> NodeID? {
            if from == to { return nil }
            return from == FrameTests.here ? to : FrameTests.here
        }
    }

    struct NoPacks: OutboxReading {
        func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? { nil }
    }

    @Test(
        "Bytes that are no frame are named",
        arguments: [
            ([0, 0, 0x40, 1, 1, 0, 0, 0], "frame-oversized"), ([0, 0, 0, 7, 1, 0, 0, 0], "frame-truncated"),
            ([0, 0, 0, 8, 99, 0, 0, 0], "frame-unknown-kind"), ([0, 0, 0, 8, 1, 4, 0, 0], "frame-reserved-bits"),
            ([0, 0, 0, 8, 1, 0, 1, 0], "frame-reserved-bits"), ([0, 0, 0, 8, 2, 0, 0, 0], "frame-truncated"),
            ([255, 255, 255, 255, 1, 0, 0, 0], "frame-oversized"),
        ] as [([UInt8], String)])
    func malformed(_ bytes: [UInt8], _ code: String) {
        var assembler = FrameAssembler()
        bytes.withUnsafeBytes { assembler.append($0) }
        #expect { try assembler.next() } throws: { ($0 as? FrameFault)?.code == code }
    }

    @Test(
        "Messages of every size come out as they went in, however they are cut", arguments: 1...6 as ClosedRange<UInt64>
    )
    func fragments(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var bytes: [UInt8] = []
        var sent: [[UInt8]] = []
        for size in [0, 1, 16_375, 16_376, 16_377, 40_000, 250_000] {
            let message = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
            sent.append(message)
            Frame.append(.envelope, message[...], lane: .appeals, to: &bytes)
        }
        var assembler = FrameAssembler()
        var came: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(Int.random(in: 1...20_000, using: &random))
            rest = rest.dropFirst(part.count)
            part.withUnsafeBytes { assembler.append($0) }
            while let message = try assembler.next() { came.append(message.bytes) }
        }
        #expect(came == sent)
        #expect(!assembler.isInMidst)
    }

    @Test("Random bytes never trap a decoder", arguments: 1...4 as ClosedRange<UInt64>)
    func fuzz(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let good = EnvelopeCodec.encode(FrameTests.envelope(1, from: FrameTests.peer, to: FrameTests.here))
        for _ in 0..<2000 {
            var bytes =
                Bool.random(using: &random) ? good : (0..<Int.random(in: 0...300, using: &random)).map { _ in 0 }
            for _ in 0..<Int.random(in: 1...8, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            _ = try? EnvelopeCodec.decode(bytes)
            _ = try? Hello(decoding: bytes)
            _ = try? LinkCodec.acks(bytes)
            for version: UInt16 in [1, 2] { _ = try? LinkCodec.receipts(bytes, version: version) }
            _ = try? LinkCodec.bases(bytes)
            _ = try? LinkCodec.positions(bytes)
            _ = try? LinkCodec.token(bytes)
            _ = try? LinkCodec.bye(bytes)
            _ = try? StreamRow(decoding: bytes)
            _ = try? PeerRow(decoding: bytes)
            var assembler = FrameAssembler()
            bytes.withUnsafeBytes { assembler.append($0) }
            while let message = try? assembler.next() { _ = message }
        }
    }

    static func stream(_ origin: NodeID, _ destination: NodeID) -> StreamID {
        StreamID(
            origin: origin, incarnation: Incarnation(bits: ID128(high: 1, low: 1)), destination: destination,
            lane: .bulk)
    }

    static func envelope(_ position: UInt64, from origin: NodeID, to destination: NodeID) -> Envelope {
        let header = EnvelopeHeader(
            stream: stream(origin, destination), position: position, kind: .probe, id: ID128(high: 0, low: position),
            created: Timestamp(milliseconds: 0), topologyVersion: 1)
        return Envelope(header: header, body: EnvelopeBody(bytes: [1, 2, 3]))
    }

    /// An exchange in which one peer has said hello.
    private func met() -> Exchange {
        var exchange = Exchange(
            node: FrameTests.here, incarnation: Incarnation(bits: ID128(high: 9, low: 9)), routes: Star(), rows: [],
            peers: [])
        _ = exchange.sessionOpened(1, peer: FrameTests.peer, dialled: false)
        let hello = Hello(
            topologyVersion: 1, incarnation: Incarnation(bits: ID128(high: 1, low: 1)), knownIncarnation: nil,
            tokens: [],
            held: [], offered: [])
        _ = arrive(.hello, hello.encoded(), &exchange)
        return exchange
    }

    @Test("What a newer release has added passes a relay in its own lane; who opens it must know it")
    func newer() throws {
        var bytes = EnvelopeCodec.encode(FrameTests.envelope(1, from: FrameTests.peer, to: FrameTests.here))
        func header(_ change: [(Int, UInt8)]) -> EnvelopeHeader? {
            for (place, byte) in change { bytes[place] = byte }
            var reader = ByteReader(bytes)
            return try? EnvelopeCodec.decodeHeader(&reader)
        }
        // suite @1 · lane @2 · kind @3
        #expect(header([(3, 63)])?.kind.description == "kind-63")
        #expect(header([(2, 0), (3, 15)])?.stream.lane == .control)
        #expect(header([(2, 0), (3, 16)]) == nil, "a lane that is not the kind's")
        #expect(header([(2, 3), (3, 64)]) == nil, "a kind of no lane")
        #expect(header([(1, 9), (3, 48)]) != nil)
        #expect(throws: WireError.self) { try EnvelopeCodec.decode(bytes) }
        #expect(header([(0, 2)]) == nil, "another format")
    }

    private func arrive(_ kind: FrameKind, _ bytes: [UInt8], _ exchange: inout Exchange) -> [ExchangeAction] {
        exchange.arrived(
            FramedMessage(kind: kind, flags: 0, bytes: bytes), in: 1, reading: NoPacks(),
            random: { ID128(high: 5, low: 5) })
    }

    @Test("An envelope that may not come closes the session and says why")
    func refusals() {
        let cases: [(Envelope, String)] = [
            (FrameTests.envelope(2, from: FrameTests.peer, to: FrameTests.here), "position-gap"),
            (FrameTests.envelope(1, from: FrameTests.other, to: FrameTests.here), "wrong-origin"),
            (FrameTests.envelope(1, from: FrameTests.here, to: FrameTests.peer), "wrong-origin"),
            (FrameTests.envelope(1, from: FrameTests.peer, to: FrameTests.peer), "not-ours-to-relay"),
        ]
        for (envelope, code) in cases {
            var exchange = met()
            let actions = arrive(.envelope, EnvelopeCodec.encode(envelope), &exchange)
            #expect(
                actions.contains { if case .close(1, let found, _) = $0 { found == code } else { false } },
                "\(code): \(actions)")
        }
    }

    @Test("What contradicts itself closes the session")
    func contradictions() {
        let theirs = FrameTests.stream(FrameTests.peer, FrameTests.here)
        // Of this life of the store, which has sent nothing yet.
        let unsent = StreamID(
            origin: FrameTests.here, incarnation: Incarnation(bits: ID128(high: 9, low: 9)),
            destination: FrameTests.peer, lane: .bulk)
        let cases: [(FrameKind, [UInt8], String)] = [
            (.hello, [], "hello-twice"), (.ack, [0, 0, 0, 1], "message-malformed"),
            (.ack, LinkCodec.acks([Ack(stream: unsent, through: 5, credit: 9, resend: false)]), "ack-wrong-stream"),
            (.ack, LinkCodec.acks([Ack(stream: theirs, through: 5, credit: 9, resend: false)]), "ack-wrong-stream"),
            (
                .receipt,
                LinkCodec.receipts(
                    [
                        ReceiptState(
                            stream: FrameTests.stream(FrameTests.peer, FrameTests.here), applied: 3, rejections: [])
                    ], version: 2), "receipt-wrong-stream"
            ),
            (
                .token, LinkCodec.token(SessionToken(counter: 0, random: ID128(high: 0, low: 0)), proposed: true),
                "token-behind"
            ),
            (
                .token, LinkCodec.token(SessionToken(counter: 1, random: ID128(high: 0, low: 0)), proposed: false),
                "token-out-of-turn"
            ),
            (.cursor, [], "frame-unknown-kind"),
        ]
        for (kind, bytes, code) in cases {
            var exchange = met()
            let actions = arrive(kind, bytes, &exchange)
            #expect(
                actions.contains { if case .close(1, let found, _) = $0 { found == code } else { false } },
                "\(code): \(actions)")
        }
    }

    @Test("Before the hello nothing may come")
    func silence() {
        var exchange = Exchange(
            node: FrameTests.here, incarnation: Incarnation(bits: ID128(high: 9, low: 9)), routes: Star(), rows: [],
            peers: [])
        _ = exchange.sessionOpened(1, peer: FrameTests.peer, dialled: false)
        let actions = arrive(.flush, [], &exchange)
        #expect(actions.contains { if case .close(1, "hello-expected", _) = $0 { true } else { false } })
    }

    @Test("Lanes that all have something share by weight; knowledge that is long behind takes the share of bulk")
    func turns() {
        func shares(_ catchingUp: Bool) -> [Lane: Int] {
            var turns = SendingTurns()
            var counts: [Lane: Int] = [:]
            // The first round has the usual weights: what is behind is known when it begins.
            for _ in 0..<15 { _ = turns.nextLane(among: .all, catchingUp: catchingUp) }
            for _ in 0..<(catchingUp ? 14 : 15) * 10 {
                if let lane = turns.nextLane(among: .all, catchingUp: catchingUp) {
                    counts[lane, default: 0] += 1
                }
            }
            return counts
        }
        #expect(shares(false) == [.control: 80, .appeals: 40, .knowledge: 20, .bulk: 10])
        #expect(shares(true) == [.control: 80, .appeals: 40, .knowledge: 10, .bulk: 10])
    }
}
