import FederationTestKit
import Glibc
import Testing

@testable import Federation

/// A certificate has ended, and not long ago: signed metadata passes, and nothing else.
@Suite("Sessions for metadata only", .serialized)
struct MetadataOnlyTests {
    private typealias NoPacks = FrameTests.NoPacks

    /// Two neighbours, each with something for the other, over which so much as they send passes at once.
    private struct Pair {
        var ends: [Exchange]
        var closed: [String?] = [nil, nil]

        init(_ scopes: SessionScope...) {
            let names = [FrameTests.here, FrameTests.peer]
            ends = names.indices.map { index in
                var row = StreamRow(ordinal: 1)
                row.last = 3
                let life = Incarnation(bits: ID128(high: 1, low: UInt64(index + 1)))
                let stream = StreamID(
                    origin: names[index], incarnation: life, destination: names[1 - index], lane: .appeals)
                return Exchange(
                    node: names[index], incarnation: life, routes: FrameTests.Star(),
                    rows: [StreamChange(id: stream, row: row)], peers: [])
            }
            let opened = ends.indices.map { index in
                ends[index].sessionOpened(1, peer: names[1 - index], dialled: index == 1, scope: scopes[index])
            }
            for index in ends.indices { perform(opened[index], from: index) }
        }

        mutating func perform(_ actions: [ExchangeAction], from index: Int) {
            for action in actions {
                if case .close(_, let code, _) = action { closed[index] = code }
                guard case .send(_, let bytes) = action else { continue }
                var assembler = FrameAssembler()
                bytes.withUnsafeBytes { assembler.append($0) }
                while let message = try? assembler.next() {
                    perform(arrive(message.kind, message.bytes, at: 1 - index), from: 1 - index)
                }
            }
        }

        mutating func arrive(_ kind: FrameKind, _ bytes: [UInt8], at index: Int) -> [ExchangeAction] {
            ends[index].arrived(
                FramedMessage(kind: kind, flags: 0, bytes: bytes), in: 1, reading: NoPacks(),
                random: { ID128(high: 5, low: 5) })
        }
    }

    @Test(
        "What one end wants less of is less, and neither says anything of payload",
        arguments: [
            [SessionScope.metadataOnly, .metadataOnly], [.metadataOnly, .full], [.full, .metadataOnly],
        ])
    func agreed(_ scopes: [SessionScope]) throws {
        var pair = Pair(scopes[0], scopes[1])
        for index in pair.ends.indices {
            #expect(pair.ends[index].isMetadataOnly(1) && pair.ends[index].speaksOfMetadata(1))
            #expect(pair.ends[index].links.map(\.phase) == [.metadataOnly])
            let stream = try #require(pair.ends[index].rows.keys.first)
            var row = try #require(pair.ends[index].rows[stream])
            row.last += 1
            var report = NodeReport(at: Timestamp(milliseconds: 1), started: Timestamp(milliseconds: 1))
            report.topologyVersion = 1
            var bytes: [UInt8] = []
            pair.ends[index].pump(1, room: 1 << 16, reading: NoPacks(), into: &bytes)
            let said =
                pair.ends[index].committed([StreamChange(id: stream, row: row)])
                + pair.ends[index].report(report) + pair.ends[index].roomChanged(mayRelay: false, closed: [])
                + pair.ends[index].roomChanged(mayRelay: true, closed: [])
            #expect(bytes.isEmpty && said.isEmpty, "\(said)")
            let metadata = MetadataMessage.have(TrustVersions(root: 1, timestamp: 1)).encoded
            #expect(pair.arrive(.metadata, metadata, at: index).isEmpty)
            #expect(pair.arrive(.ping, LinkEcho.ping(at: Timestamp(milliseconds: 1), mark: 1), at: index).isEmpty)
        }
        #expect(pair.closed == [nil, nil])
        // The stores have not met: no token was proposed, and nobody is behind.
        #expect(pair.ends.allSatisfy { $0.peers.isEmpty && !$0.isRewound })
    }

    @Test(
        "Anything else ends the session by a code of its own",
        arguments: [
            FrameKind.envelope, .flush, .ack, .receipt, .settled, .offer, .token, .report, .entry, .cursor,
        ])
    func refused(_ kind: FrameKind) {
        for index in [0, 1] {
            var pair = Pair(.metadataOnly, .metadataOnly)
            pair.perform(pair.arrive(kind, [], at: index), from: index)
            #expect(pair.closed[index] == "metadata-only")
        }
        #expect(Farewell.known("metadata-only") == "metadata-only")
    }

    @Test("A release that does not know such sessions is parted from in order, and finds no store behind")
    func older() throws {
        var pair = Pair(.metadataOnly, .full)
        var hello = pair.ends[1].metadataHello()
        #expect(hello.lowest > 1)
        #expect(try Hello(decoding: hello.encoded()) == hello)
        (hello.lowest, hello.highest, hello.isMetadataOnly) = (1, 1, false)
        _ = pair.ends[0].sessionOpened(2, peer: FrameTests.peer, dialled: false, scope: .metadataOnly)
        let actions = pair.ends[0].arrived(
            FramedMessage(kind: .hello, flags: 0, bytes: Array(hello.encoded().dropLast())), in: 2,
            reading: NoPacks(), random: { ID128(high: 5, low: 5) })
        let codes = actions.compactMap { if case .close(_, let code, _) = $0 { code } else { nil } }
        #expect(codes == ["protocol-version"])
    }

    // MARK: Real sockets, TLS and LMDB

    private func becomes(_ node: FederationNode, _ state: LinkStanding.State) -> Bool {
        TestFederation.wait(milliseconds: 20_000) { node.links.standings().first?.state == state }
    }

    @Test("A session ends with its certificate and comes back for metadata only; what waits goes on with a new one")
    func comesBack() throws {
        let federation = try TestFederation(
            ["centre", "subject-77"], certificatesEndIn: 6, application: SilentApplication.init)
        defer { federation.stopAll() }
        var centre = try federation.start("centre")
        var subject = try federation.start("subject-77")
        #expect(becomes(centre, .running) && becomes(subject, .running))
        try subject.sendProbes(2, to: "centre")
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 2 }, "\(federation.log.all)")
        #expect(federation.log.wait(milliseconds: 20_000, for: "session-expired"))
        #expect(becomes(centre, .metadataOnly) && becomes(subject, .metadataOnly), "\(federation.log.all)")
        #expect(federation.log.all.contains { $0.contains("link-metadata-only") && $0.contains("certificate-expired") })
        let why = try #require(subject.links.standings().first?.why)
        #expect(why.hasPrefix("certificate-expired: that of subject-77 ended at"), "\(why)")
        let test = try subject.testLink(centre.id)
        #expect(!test.isGood && test.state == "metadata-only" && test.steps.first?.name == "certificate")
        // Both have something for the other, and then hear of a newer topology.
        try subject.sendProbes(5, to: "centre")
        try centre.sendProbes(5, to: "subject-77")
        try federation.publish(federation.topology(version: 2))
        #expect(subject.topology.version == 2 && becomes(subject, .metadataOnly))
        #expect(try centre.appliedProbes() == 2 && subject.appliedProbes() == 0)
        #expect(try subject.mail()[centre.id]?.waiting == 5)
        for name in ["centre", "subject-77"] {
            federation.stop(name)
            try federation.renew(name)
        }
        centre = try federation.start("centre")
        subject = try federation.start("subject-77")
        #expect(
            try TestFederation.wait(milliseconds: 20_000) {
                try centre.appliedProbes() == 7 && subject.appliedProbes() == 5
            },
            "\(federation.log.all)")
        #expect(!federation.log.all.contains { $0.contains("node-rewound") || $0.contains("metadata-only -") })
    }

    @Test("A peer that sends an envelope over such a session is cut off, and nothing of it is applied")
    func hostile() throws {
        let federation = try TestFederation(
            ["centre", "subject-77"], certificatesEndIn: 2, application: SilentApplication.init)
        defer { federation.stopAll() }
        let place = federation.place("subject-77")
        let context = try place.context(try place.settings(), try place.trust.load().inForce)
        let centre = try federation.start("centre")
        #expect(
            TestFederation.wait(milliseconds: 10_000) { Clocks.wall().milliseconds / 1000 >= context.expires })
        let port = try #require(centre.links.port)
        let life = Incarnation(bits: ID128(high: 1, low: 1))
        let subject = try #require(NodeID("subject-77"))
        var bytes: [UInt8] = []
        let hello = Hello(
            topologyVersion: 1, incarnation: life, knownIncarnation: nil, tokens: [], held: [], offered: [])
        Frame.append(.hello, hello.encoded()[...], to: &bytes)
        let stream = StreamID(origin: subject, incarnation: life, destination: centre.id, lane: .bulk)
        let header = EnvelopeHeader(
            stream: stream, position: 1, kind: .probe, id: ID128(high: 1, low: 1), created: Clocks.wall(),
            topologyVersion: 1)
        let envelope = EnvelopeCodec.encode(Envelope(header: header, body: EnvelopeBody(bytes: [7])))
        Frame.append(.envelope, envelope[...], lane: .bulk, to: &bytes)
        let heard = try RawPeer(context, port: port, expected: centre.id).say(bytes, milliseconds: 10_000)
        #expect(heard.map(\.kind).contains(.hello))
        let bye = try #require(heard.last { $0.kind == .bye })
        #expect(try LinkCodec.bye(bye.bytes).code == "metadata-only")
        #expect(federation.log.wait(milliseconds: 10_000, for: "centre: metadata-only subject-77"))
        #expect(try centre.appliedProbes() == 0)
    }
}

/// A peer with real keys over a real socket, which says what it likes.
private final class RawPeer {
    private let socket: Socket
    private let session: TLSSession
    private var scratch = [UInt8](repeating: 0, count: 1 << 16)

    init(_ context: TLSContext, port: UInt16, expected: NodeID) throws {
        socket = try Socket.connecting(to: Topology.Address(host: "127.0.0.1", port: port))
        session = TLSSession(context, role: .client, expected: expected)
    }

    /// Says it as soon as the session is open, and returns what the other end has said until it hung up.
    func say(_ bytes: [UInt8], milliseconds: Int64) throws -> [FramedMessage] {
        let deadline = Clocks.monotonicMicroseconds() / 1000 + milliseconds
        var assembler = FrameAssembler()
        var heard: [FramedMessage] = []
        var hasSaid = false
        try wait(POLLOUT)
        try session.advance()
        while Clocks.monotonicMicroseconds() / 1000 < deadline {
            if case .open = session.state, !hasSaid {
                hasSaid = true
                try session.write(bytes)
            }
            let outbound = session.drainAll()
            if !outbound.isEmpty { _ = outbound.withUnsafeBytes { socket.send($0) } }
            try wait(POLLIN)
            switch scratch.withUnsafeMutableBytes({ socket.receive(into: $0) }) {
            case .notNow: continue
            case .ended: return heard
            case .bytes(let count):
                try session.receive(Array(scratch.prefix(count)))
                try session.advance()
                let plain = try session.readAll()
                plain.withUnsafeBytes { assembler.append($0) }
                while let message = try assembler.next() { heard.append(message) }
            }
        }
        return heard
    }

    private func wait(_ events: CInt) throws {
        var waiting = pollfd(fd: socket.descriptor, events: Int16(events), revents: 0)
        poll(&waiting, 1, 1_000)
    }
}
