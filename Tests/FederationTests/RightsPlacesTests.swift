import FederationTestKit
import Testing

@testable import Federation

/// The demo's matrix, and what each of the three places does with a message: the sender, the first relay, the receiver.
@Suite("Rights at their places")
struct RightsPlacesTests {
    /// Takes what it is given.
    fileprivate final class Open: Application {
        let log = Monitor<[String]>([])
        func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
            log.change { $0.append("apply \(envelope.header.kind)") }
        }
        func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
        func rejected(
            _ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction
        ) throws(StoreError) {}
        func held(
            _ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction
        ) throws(StoreError) {}
    }

    private struct NoPacks: OutboxReading {
        func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? { nil }
    }

    private static let life = Incarnation(bits: ID128(high: 4, low: 4))

    private static func demo(_ version: UInt64 = 5, _ change: (String) -> String = { $0 }) throws -> Topology {
        let text = String(decoding: try TopologyTests.file("demo.json"), as: UTF8.self)
        return try Topology.read(
            Array(change(text).replacing("\"version\": 1", with: "\"version\": \(version)").utf8))
    }

    /// What the file itself says, read without the code that is tested.
    private static func named() throws -> Set<String> {
        let text = String(decoding: try TopologyTests.file("demo.json"), as: UTF8.self)
        func words(_ list: Substring) -> [Substring] { list.matches(of: /"([a-z-]+)"/).map(\.output.1) }
        var cells: Set<String> = []
        for match in text.matches(of: /"from": \[([^\]]*)\], "to": \[([^\]]*)\], "kinds": \[([^\]]*)\]/) {
            for from in words(match.output.1) {
                for to in words(match.output.2) {
                    for kind in words(match.output.3) { cells.insert("\(from) \(to) \(kind)") }
                }
            }
        }
        return cells
    }

    private static let kinds = MessageKind.named.filter { !$0.isExchangeOwn }

    private static func header(
        _ kind: MessageKind, _ from: NodeID, _ to: NodeID, version: UInt64 = 5, position: UInt64 = 1
    ) -> EnvelopeHeader {
        EnvelopeHeader(
            stream: StreamID(origin: from, incarnation: life, destination: to, lane: kind.lane), position: position,
            kind: kind, id: ID128(high: 1, low: position), created: Timestamp(milliseconds: 1),
            topologyVersion: version, extensions: HeaderExtension.understandsHolding.encoded)
    }

    private static func item(_ header: EnvelopeHeader) -> ReceivedBatch.Item {
        ReceivedBatch.Item(
            header: header, bytes: EnvelopeCodec.encode(Envelope(header: header, body: EnvelopeBody(bytes: [1]))))
    }

    @discardableResult
    private static func commit(
        _ engine: MemoryEngine, _ body: @escaping (borrowing WriteTransaction) throws -> Void
    ) throws -> [StreamChange] {
        let job = WriteJob(.essential, body: body) { _ in }
        let sealed = try GroupCommit.run([job], on: engine, quota: 0, now: Timestamp(milliseconds: 1))
        if case .failure(let error) = sealed.outcomes[0].result { throw error }
        return sealed.report.changes
    }

    fileprivate struct End {
        let engine = MemoryEngine()
        let application = Open()
        let outbox: Outbox
        let inbox: Inbox

        init(_ node: NodeID, _ inForce: TopologyInForce) {
            outbox = Outbox(
                node: node, incarnation: RightsPlacesTests.life,
                permit: { inForce.permit($0, from: node, to: $1) })
            inbox = Inbox(
                node: node, application: application, sender: outbox, attempts: MemoryAttempts(),
                topologyVersion: { inForce.current.version }, admission: { inForce.admission(of: $0, at: node) })
        }

        func receive(_ header: EnvelopeHeader) throws -> StreamRow {
            let changes = try RightsPlacesTests.commit(engine) { [inbox] transaction in
                _ = try inbox.perform(
                    .receive(
                        ReceivedBatch(incarnation: RightsPlacesTests.life, envelopes: [RightsPlacesTests.item(header)])),
                    in: transaction)
            }
            guard let row = changes.first(where: { $0.id == header.stream })?.row else {
                throw Rejection("not-received")
            }
            return row
        }

        func held() throws -> [(number: UInt64, row: QuarantineRow)] {
            try Store.read(engine) { transaction throws(StoreError) in
                try Quarantine.list(limit: .max, .held, in: transaction)
            }
        }
    }

    /// Two nodes for each pair of segments, where there are two.
    private static func pairs(_ topology: Topology) -> [(from: Topology.Node, to: Topology.Node)] {
        topology.segments.flatMap { one in
            topology.segments.compactMap { other in
                guard let from = topology.nodes.first(where: { $0.segment == one.id }),
                    let to = topology.nodes.last(where: { $0.segment == other.id && $0.id != from.id })
                else { return nil }
                return (from, to)
            }
        }
    }

    @Test("Every cell of the demo's matrix: the sender sends what is named, and refuses all else")
    func sender() throws {
        let topology = try Self.demo()
        let (matrix, inForce) = (try Self.named(), TopologyInForce(topology))
        var sent = 0
        var refused = 0
        for (from, to) in Self.pairs(topology) {
            let end = End(from.id, inForce)
            for kind in Self.kinds {
                let isNamed = matrix.contains("\(from.segment) \(to.segment) \(kind)")
                var code: StoreError.Code?
                do {
                    try Self.commit(end.engine) { [outbox = end.outbox] transaction in
                        try outbox.send(
                            kind, id: ID128(high: 1, low: 1), to: to.id, body: EnvelopeBody(bytes: [1]),
                            in: transaction)
                    }
                } catch { code = (error as? StoreError)?.code }
                #expect(inForce.permit(kind, from: from.id, to: to.id) == (isNamed ? 5 : nil))
                #expect(code == (isNamed ? nil : .rightDenied), "\(from.id) \(to.id) \(kind)")
                if isNamed { sent += 1 } else { refused += 1 }
            }
        }
        #expect(sent > 40 && refused > 100, "\(sent) \(refused)")
    }

    @Test("Every cell: the receiver applies what is named, and rejects all else")
    func receiver() throws {
        let topology = try Self.demo()
        let (matrix, inForce) = (try Self.named(), TopologyInForce(topology))
        for (from, to) in Self.pairs(topology) {
            for kind in Self.kinds {
                let end = End(to.id, inForce)
                let row = try end.receive(Self.header(kind, from.id, to.id))
                let isNamed = matrix.contains("\(from.segment) \(to.segment) \(kind)")
                let isDenied = row.rejections.map(\.code) == ["right-denied"]
                #expect(isDenied == !isNamed, "\(from.id) \(to.id) \(kind) \(row.rejections)")
                let took = end.application.log.changeQuietly { $0 }
                #expect(took == (isNamed && kind.isForApplication ? ["apply \(kind)"] : []), "\(from.id) \(to.id)")
                #expect(row.applied == 1, "its lane goes on")
            }
        }
    }

    private static func running(_ node: NodeID, _ topology: Topology, _ peers: [NodeID]) throws -> Exchange {
        var exchange = Exchange(node: node, incarnation: life, routes: topology, rows: [], peers: [])
        for (index, peer) in peers.enumerated() {
            let number = SessionNumber(index)
            _ = exchange.sessionOpened(number, peer: peer, dialled: true)
            let hello = Hello(
                topologyVersion: topology.version, incarnation: Incarnation(bits: ID128(high: 9, low: UInt64(index))),
                knownIncarnation: nil, tokens: [], held: [], offered: [])
            _ = exchange.arrived(
                FramedMessage(kind: .hello, flags: 0, bytes: hello.encoded()), in: number,
                reading: NoPacks(), random: { ID128(high: 1, low: 2) })
            #expect(exchange.isRunning(number))
        }
        return exchange
    }

    private static func frame(_ header: EnvelopeHeader) -> FramedMessage {
        FramedMessage(kind: .envelope, flags: 0, bytes: item(header).bytes)
    }

    private static func taken(_ actions: [ExchangeAction]) -> Int {
        actions.reduce(0) { count, action in
            guard case .submit(.receive(let batch), _) = action else { return count }
            return count + batch.envelopes.count
        }
    }

    private static func acks(_ actions: [ExchangeAction]) throws -> [Ack] {
        var assembler = FrameAssembler()
        var acks: [Ack] = []
        for case .send(_, let bytes) in actions {
            bytes.withUnsafeBytes { assembler.append($0) }
            while let message = try assembler.next() {
                if message.kind == .ack { acks += try LinkCodec.acks(message.bytes) }
            }
        }
        return acks
    }

    @Test("Every cell: the first relay takes what is named, and ends the session of whoever sends anything else")
    func relay() throws {
        let topology = try Self.demo()
        let (matrix, centre) = (try Self.named(), try #require(topology.centre))
        var passed = 0
        var ended = 0
        for (from, to) in Self.pairs(topology) where from.id != centre && to.id != centre {
            for kind in Self.kinds {
                var exchange = try Self.running(centre, topology, [from.id])
                let header = Self.header(kind, from.id, to.id)
                let actions = exchange.arrived(
                    Self.frame(header), in: SessionNumber(0), reading: NoPacks(), random: { ID128(high: 1, low: 3) })
                let isNamed = matrix.contains("\(from.segment) \(to.segment) \(kind)")
                #expect(Self.taken(actions) == (isNamed ? 1 : 0), "\(from.id) \(to.id) \(kind)")
                #expect(exchange.isRunning(SessionNumber(0)) == isNamed)
                if isNamed { passed += 1 } else { ended += 1 }
            }
        }
        #expect(passed > 3 && ended > 100, "\(passed) \(ended)")
    }

    @Test("What waits at its origin for a newer topology comes once it is here; what came before it is no fault")
    func awaited() throws {
        let (now, next) = (try Self.demo(5), try Self.demo(6))
        let centre = try #require(now.centre)
        let (origin, other) = (try #require(NodeID("subject-77")), try #require(NodeID("subject-78")))
        var exchange = try Self.running(centre, now, [origin])
        func arrive(_ kind: MessageKind, _ position: UInt64) -> [ExchangeAction] {
            exchange.arrived(
                Self.frame(Self.header(kind, origin, other, version: 6, position: position)),
                in: SessionNumber(0), reading: NoPacks(), random: { ID128(high: 1, low: 3) })
        }
        let stream = Self.header(.probe, origin, other).stream
        // A kind of that lane which only the newer topology could name.
        let later = try #require(MessageKind(rawValue: 49))
        #expect(Self.taken(arrive(.probe, 1)) == 1)
        let told = try Self.acks(arrive(later, 2))
        #expect(told.map(\.credit) == [0] && told.allSatisfy { $0.through == 0 && !$0.resend }, "\(told)")
        #expect(try Self.acks(arrive(later, 3)).allSatisfy { $0.credit == 0 && !$0.resend })
        // The first is durable now: that is told, and gives no credit.
        var row = StreamRow(ordinal: 1)
        row.last = 1
        let durable = try Self.acks(exchange.committed([StreamChange(id: stream, row: row)]))
        #expect(durable.map(\.through) == [1] && durable.map(\.credit) == [1], "\(durable)")
        _ = exchange.workDone(.receive(SessionNumber(0)), .success(ExchangeOutcome()))
        #expect(exchange.isRunning(SessionNumber(0)))
        let again = try Self.acks(exchange.routesChanged(next))
        #expect(again.map(\.credit) == [1 + Exchange.window], "\(again)")
        #expect(again.allSatisfy { $0.through == 1 && $0.resend }, "\(again)")
        #expect(Self.taken(arrive(.probe, 2)) == 1)
    }

    /// Homes do not need this one in the demo.
    private static func withoutPassing(_ text: String) -> String {
        text.replacing(
            #"{"from": ["oszn", "mse"], "to": ["oszn"], "kinds": ["escalation", "probe"]}"#,
            with: #"{"from": ["oszn"], "to": ["oszn"], "kinds": ["probe"]}, "#
                + #"{"from": ["mse"], "to": ["oszn"], "kinds": ["escalation"]}"#)
    }

    /// Knowledge is for all but FSS.
    private static func withoutEntries(_ text: String) -> String {
        text.replacing(
            #""kinds": ["escalation", "status", "entry", "probe"]}"#,
            with: #""kinds": ["escalation", "status", "probe"]}, "#
                + #"{"from": ["centre"], "to": ["oszn", "pfr", "mse", "rostrud"], "kinds": ["entry"]}"#)
    }

    @Test("What is published is for segments that may have it; others pass it on and do not take it")
    func published() throws {
        let topology = try Self.demo(5, Self.withoutEntries)
        let inForce = TopologyInForce(topology)
        let centre = try #require(topology.centre)
        #expect(topology.allows(.entry, from: centre, to: .everyone))
        #expect(!topology.allows(.entry, from: try #require(NodeID("subject-77")), to: .everyone))
        for (name, takes) in [("cc-fss", false), ("cc-mse", true)] {
            let end = End(try #require(NodeID(name)), inForce)
            let row = try end.receive(Self.header(.entry, centre, .everyone))
            #expect(end.application.log.changeQuietly { $0 } == (takes ? ["apply entry"] : []))
            #expect(row.last == 1 && row.rejections.isEmpty, "kept for its neighbours")
        }
    }

    @Test("What is published under a newer topology waits for it where this one does not allow it, and is applied then")
    func publishedEarly() throws {
        let inForce = TopologyInForce(try Self.demo(5, Self.withoutEntries))
        let centre = try #require(inForce.current.centre)
        let end = End(try #require(NodeID("cc-fss")), inForce)
        _ = try end.receive(Self.header(.entry, centre, .everyone, version: 6))
        #expect(end.application.log.changeQuietly { $0 }.isEmpty)
        #expect(try end.held().map(\.row.reason) == [.parked])
        inForce.replace(with: try Self.demo(6), denied: [])
        try Self.commit(end.engine) { [inbox = end.inbox] transaction in
            _ = try inbox.releaseParked(after: 0, in: transaction)
        }
        #expect(end.application.log.changeQuietly { $0 } == ["apply entry"])
        #expect(try end.held().isEmpty)
    }

    @Test("What waited for a topology that denies it in the end is its origin's again")
    func parkedInVain() throws {
        let inForce = TopologyInForce(try Self.demo(5, Self.withoutPassing))
        let (origin, other) = (try #require(NodeID("subject-77")), try #require(NodeID("subject-78")))
        let end = End(other, inForce)
        #expect(try end.receive(Self.header(.escalation, origin, other, version: 6)).held == 1)
        inForce.replace(with: try Self.demo(6, Self.withoutPassing), denied: [])
        try Self.commit(end.engine) { [inbox = end.inbox] transaction in
            _ = try inbox.releaseParked(after: 0, in: transaction)
        }
        #expect(try end.held().isEmpty)
        let rows = try Store.read(end.engine) { transaction throws(StoreError) in
            try Quarantine.list(limit: 9, in: transaction)
        }
        #expect(rows.map(\.row.state) == [.returned] && rows.map(\.row.code) == ["right-denied"])
    }

    @Test("Of a denied origin nothing takes effect, whoever brings it, and nothing is released before it is lifted")
    func denied() throws {
        let topology = try Self.demo()
        let (centre, origin) = (try #require(topology.centre), try #require(NodeID("subject-77")))
        let inForce = TopologyInForce(topology)
        let end = End(centre, inForce)
        inForce.replace(with: topology, denied: [origin])
        for kind in MessageKind.named {
            let row = try end.receive(
                Self.header(kind, origin, centre, position: try end.position(kind, origin, centre)))
            #expect(row.held == row.last && row.appliedCount == 0, "\(kind)")
        }
        let held = try end.held()
        #expect(held.count == MessageKind.named.count && held.allSatisfy { $0.row.reason == .denied })
        #expect(end.application.log.changeQuietly { $0 }.isEmpty)
        let number = try #require(held.first { $0.row.header.kind == .answer }?.number)
        func decide(_ decision: Inbox.Decision) throws {
            try Self.commit(end.engine) { [inbox = end.inbox] transaction in
                _ = try inbox.decide(number, decision, by: "uid/0", why: "a test", in: transaction)
            }
        }
        #expect { try decide(.release) } throws: { ($0 as? FederationError)?.code == "right-denied" }
        inForce.replace(with: topology, denied: [])
        // No newer topology lets it go by itself.
        try Self.commit(end.engine) { [inbox = end.inbox] transaction in
            let count = try inbox.releaseParked(after: 0, in: transaction).count
            #expect(count == 0)
        }
        try decide(.release)
        #expect(end.application.log.changeQuietly { $0 } == ["apply answer"])
    }
}

extension RightsPlacesTests.End {
    fileprivate func position(_ kind: MessageKind, _ from: NodeID, _ to: NodeID) throws -> UInt64 {
        let stream = RightsPlacesTests.stream(kind, from, to)
        return try Store.read(engine) { transaction throws(StoreError) in
            try transaction.get(.streams, stream.key).map { bytes throws(StoreError) in
                try StreamRow.decoded(bytes, of: stream).last
            } ?? 0
        } + 1
    }
}

extension RightsPlacesTests {
    fileprivate static func stream(_ kind: MessageKind, _ from: NodeID, _ to: NodeID) -> StreamID {
        header(kind, from, to).stream
    }
}
