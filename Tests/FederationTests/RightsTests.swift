import FederationTestKit
import Testing

@testable import Federation

/// Who may send what to whom, at the sender, at the first relay and at the receiver.
@Suite("Rights")
struct RightsTests {
    private static let segments = ["centre", "oszn", "fss"]

    /// A node of each segment behind the centre, and the matrix of a number.
    private static func topology(_ version: Int, _ cells: [(String, String, MessageKind)]) throws -> Topology {
        let rights = cells.map { #"{"from": ["\#($0)"], "to": ["\#($1)"], "kinds": ["\#($2)"]}"# }
        let text = """
            {"format": 2, "version": \(version), "federation": "ekc.test",
            "segments": [\(segments.map { #"{"id": "\#($0)", "profile": "tls13"}"# }.joined(separator: ","))],
            "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:0"]},
                      {"id": "subject-77", "segment": "oszn", "state": "live", "addresses": []},
                      {"id": "subject-78", "segment": "oszn", "state": "live", "addresses": []},
                      {"id": "cc-fss", "segment": "fss", "state": "live", "addresses": []}],
            "tenancies": [], "homes": [], "special": [], "links": [{"dials": "subject-77", "listens": "centre"}],
            "rights": [\((rights + [#"{"from": ["oszn"], "to": ["centre"], "kinds": ["topology"]}"#]).joined(separator: ","))]}
            """
        return try Topology.read(Array(text.utf8))
    }

    private static let nodes: [String: [String]] = [
        "centre": ["centre"], "oszn": ["subject-77", "subject-78"], "fss": ["cc-fss"],
    ]

    private static func id(_ text: String) throws -> NodeID { try #require(NodeID(text)) }

    private static func header(
        _ kind: MessageKind, from: NodeID, to: NodeID, under version: UInt64
    ) -> EnvelopeHeader {
        EnvelopeHeader(
            stream: StreamID(
                origin: from, incarnation: Incarnation(bits: ID128(high: 1, low: 1)), destination: to, lane: kind.lane),
            position: 1, kind: kind, id: ID128(high: 0, low: 7), created: Timestamp(milliseconds: 1),
            topologyVersion: version)
    }

    @Test("Every cell of the matrix decides at the sender, at the first relay and at the receiver; no other cell does")
    func everyCell() throws {
        let kinds = MessageKind.named.filter { !$0.isExchangeOwn }
        #expect(kinds.count == 7 && MessageKind.named.count == 12)
        var looked = 0
        for from in Self.segments {
            for to in Self.segments {
                for kind in kinds {
                    // Only this cell, besides one that the file needs for its link.
                    let topology = try Self.topology(
                        3, [(from, to, kind)].filter { $0 != ("oszn", "centre", .topology) })
                    let inForce = TopologyInForce(topology)
                    for (one, others) in Self.nodes {
                        for (other, them) in Self.nodes {
                            let (sender, receiver) = (try Self.id(others[0]), try Self.id(them.last ?? ""))
                            for tried in kinds {
                                let isAllowed =
                                    (one, other, tried) == (from, to, kind)
                                    || (one, other, tried) == ("oszn", "centre", .topology)
                                let header = Self.header(tried, from: sender, to: receiver, under: 3)
                                looked += 1
                                // Sender, first relay, receiver.
                                #expect(inForce.allows(tried, from: sender, to: receiver) == isAllowed)
                                #expect(topology.verdict(on: header) == (isAllowed ? .allowed : .denied))
                                #expect(
                                    inForce.admission(of: header, at: receiver) == .by(isAllowed ? .allowed : .denied))
                            }
                        }
                    }
                }
            }
        }
        #expect(looked == 63 * 63)
        // What the exchange needs for its promises is not named, and not denied.
        let nothing = try Self.topology(1, [])
        for kind in MessageKind.named where kind.isExchangeOwn {
            #expect(nothing.allows(kind, from: try Self.id("cc-fss"), to: try Self.id("subject-77")))
        }
    }

    @Test("A version decides what becomes of what is denied: newer waits, older that was allowed is held, else refused")
    func versions() throws {
        var topology = try Self.topology(5, [])
        var history = RightsHistory()
        let pair = Rights.Pair(from: "oszn", to: "centre")
        var old = Rights()
        old.allow(.answer, pair)
        history.note(old, of: 3)
        history.note(Rights(), of: 4)
        topology.history = history
        let (from, to) = (try Self.id("subject-77"), try Self.id("centre"))
        for (version, expected) in [
            (6, RightVerdict.awaitsTopology), (5, .denied), (4, .denied), (3, .changed),
            // Of the second nothing is known any more.
            (2, .changed),
        ] as [(UInt64, RightVerdict)] {
            #expect(
                topology.verdict(on: Self.header(.answer, from: from, to: to, under: version)) == expected, "\(version)"
            )
        }
        // There is no version 0: whoever names it has not looked at any topology.
        #expect(topology.verdict(on: Self.header(.answer, from: from, to: to, under: 0)) == .denied)
        let stranger = try Self.id("nobody")
        #expect(topology.verdict(on: Self.header(.answer, from: stranger, to: to, under: 5)) == .denied)
        #expect(topology.verdict(on: Self.header(.answer, from: stranger, to: to, under: 6)) == .awaitsTopology)
    }

    @Test("What is published is judged at the first relay by the right of some segment to have it")
    func everyone() throws {
        let centre = try Self.id("centre")
        for (cells, version, expected) in [
            ([("centre", "fss", .entry)], 5, .allowed), ([], 5, .denied), ([], 6, .awaitsTopology),
            ([], 3, .changed), ([], 4, .denied), ([("fss", "oszn", .entry)], 5, .denied),
        ] as [([(String, String, MessageKind)], UInt64, RightVerdict)] {
            var topology = try Self.topology(5, cells)
            var old = Rights()
            old.allow(.entry, Rights.Pair(from: "centre", to: "oszn"))
            topology.history.note(old, of: 3)
            topology.history.note(Rights(), of: 4)
            let header = Self.header(.entry, from: centre, to: .everyone, under: version)
            #expect(topology.verdict(on: header) == expected, "\(cells) \(version)")
        }
    }

    private func known(
        through last: UInt64, gap: UInt64 = 0, _ rights: (UInt64) -> Rights
    ) throws -> RightsHistory {
        let folder = try TemporaryFolder()
        let store = try Store.open(
            directory: folder.path + "/store", tables: [], newIncarnation: Incarnation(bits: Random.id128()))
        defer { store.close() }
        for version in 1...last where version != gap {
            let rights = rights(version)
            try store.write(.essential) { transaction in
                try RightsHistory.write(rights, of: version, in: transaction)
            }
        }
        return try store.read { transaction throws(StoreError) in try RightsHistory(in: transaction) }
    }

    @Test("Versions that say the same are one row: of two hundred topologies without a change of rights all are known")
    func eras() throws {
        let pair = Rights.Pair(from: "oszn", to: "centre")
        let known = try known(through: 200, gap: 60) { version in
            var rights = Rights()
            if version == 100 { rights.allow(.answer, pair) }
            return rights
        }
        for version in 1...200 as ClosedRange<UInt64> {
            // Version 60 was never in force here: who claims it is held, not refused.
            #expect(
                known.allowed(.answer, from: "oszn", to: "centre", under: version) == (version == 100 || version == 60))
        }
    }

    @Test("The last sixteen changes of rights are kept in the store, and no more")
    func history() throws {
        let pair = Rights.Pair(from: "oszn", to: "centre")
        let known = try known(through: 40) { version in
            var rights = Rights()
            if version % 2 == 0 { rights.allow(.answer, pair) }
            return rights
        }
        for version in 25...40 as ClosedRange<UInt64> {
            #expect(known.allowed(.answer, from: "oszn", to: "centre", under: version) == (version % 2 == 0))
        }
        // Older ones count as allowed.
        #expect(known.allowed(.answer, from: "oszn", to: "centre", under: 23))
        #expect(!known.allowed(.answer, from: "oszn", to: "centre", under: 0))
    }

    // MARK: The first relay

    private struct Judged: Routes {
        var topologyVersion: UInt64
        var says: RightVerdict
        var publisher: NodeID? = FrameTests.here
        func nextHop(from: NodeID, to: NodeID) -> NodeID? {
            if from == to { return nil }
            return from == FrameTests.here ? to : FrameTests.here
        }
        func verdict(on header: EnvelopeHeader) -> RightVerdict { says }
    }

    private func relay(_ verdict: RightVerdict, publisher: NodeID = FrameTests.here) -> Exchange {
        var exchange = Exchange(
            node: FrameTests.here, incarnation: Incarnation(bits: ID128(high: 9, low: 9)),
            routes: Judged(topologyVersion: 1, says: verdict, publisher: publisher), rows: [], peers: [])
        _ = exchange.sessionOpened(1, peer: FrameTests.peer, dialled: true)
        let hello = Hello(
            topologyVersion: 2, incarnation: Incarnation(bits: ID128(high: 1, low: 1)), knownIncarnation: nil,
            tokens: [],
            held: [], offered: [])
        _ = arrive(.hello, hello.encoded(), &exchange)
        return exchange
    }

    private func arrive(_ kind: FrameKind, _ bytes: [UInt8], _ exchange: inout Exchange) -> [ExchangeAction] {
        exchange.arrived(
            FramedMessage(kind: kind, flags: 0, bytes: bytes), in: 1, reading: FrameTests.NoPacks(),
            random: { ID128(high: 5, low: 5) })
    }

    private func acks(_ actions: [ExchangeAction]) throws -> [Ack] {
        try actions.flatMap { action -> [Ack] in
            guard case .send(_, let bytes) = action else { return [] }
            var assembler = FrameAssembler()
            bytes.withUnsafeBytes { assembler.append($0) }
            var found: [Ack] = []
            while let message = try assembler.next() {
                if message.kind == .ack { found += try LinkCodec.acks(message.bytes) }
            }
            return found
        }
    }

    @Test(
        "A first relay takes what is or was allowed, waits for a topology it lacks, and ends with who was never allowed"
    )
    func firstRelay() throws {
        let envelope = EnvelopeCodec.encode(FrameTests.envelope(1, from: FrameTests.peer, to: FrameTests.other))
        for verdict in [RightVerdict.allowed, .changed] {
            var exchange = relay(verdict)
            let actions = arrive(.envelope, envelope, &exchange)
            #expect(actions.contains { if case .submit(.receive, _) = $0 { true } else { false } }, "\(verdict)")
        }
        var exchange = relay(.denied)
        let ended = arrive(.envelope, envelope, &exchange)
        #expect(ended.contains { if case .close(_, "right-denied", _) = $0 { true } else { false } }, "\(ended)")
        // What is published is judged too; under a newer topology it is taken: it is for this node as well.
        let published = Envelope(
            header: Self.header(.entry, from: FrameTests.peer, to: .everyone, under: 1),
            body: EnvelopeBody(bytes: [1]))
        for (verdict, isTaken) in [
            (RightVerdict.allowed, true), (.changed, true), (.awaitsTopology, true), (.denied, false),
        ] {
            var exchange = relay(verdict, publisher: FrameTests.peer)
            let actions = arrive(.envelope, EnvelopeCodec.encode(published), &exchange)
            #expect(actions.contains { if case .submit(.receive, _) = $0 { true } else { false } } == isTaken)
            #expect(actions.contains { if case .close(_, "right-denied", _) = $0 { true } else { false } } != isTaken)
        }
        // Of the newer topology: nothing is kept here, and the origin has no credit.
        exchange = relay(.awaitsTopology)
        let waiting = arrive(.envelope, envelope, &exchange)
        let held = try #require(try acks(waiting).first)
        #expect(!held.resend && held.credit == 0 && held.through == 0, "\(held)")
        #expect(waiting.contains { if case .note("topology-awaited", _, _) = $0 { true } else { false } })
        #expect(!waiting.contains { if case .submit = $0 { true } else { false } })
        // It is here: the origin may go on, and what it sends again is taken.
        let here = exchange.routesChanged(Judged(topologyVersion: 2, says: .allowed))
        let again = try #require(try acks(here).first)
        #expect(again.resend && again.credit > 0, "\(again)")
        let taken = arrive(.envelope, envelope, &exchange)
        #expect(taken.contains { if case .submit(.receive, _) = $0 { true } else { false } }, "\(taken)")
    }
}
