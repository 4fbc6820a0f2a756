import FederationTestKit
import Testing

@testable import Federation

/// How a node is goes to the centre: as state, over sessions that run, from who may say it.
@Suite("Reports")
struct ReportTests {
    private struct NoPacks: OutboxReading {
        func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? { nil }
    }

    /// leaf — relay — centre, and a neighbour of the centre's own.
    private struct Chain: Routes {
        static let centre = ReportTests.id("centre")
        static let relay = ReportTests.id("relay")
        static let leaf = ReportTests.id("leaf")
        static let other = ReportTests.id("other")

        var topologyVersion: UInt64 { 1 }
        var publisher: NodeID? { Chain.centre }
        func nextHop(from: NodeID, to: NodeID) -> NodeID? {
            let ways: [NodeID: [NodeID]] = [
                Chain.centre: [Chain.centre], Chain.other: [Chain.other, Chain.centre],
                Chain.relay: [Chain.relay, Chain.centre], Chain.leaf: [Chain.leaf, Chain.relay, Chain.centre],
            ]
            guard let here = ways[from], let there = ways[to], from != to else { return nil }
            if let place = there.firstIndex(of: from) { return there[place - 1] }
            return here[1]
        }
    }

    private static func id(_ text: String) -> NodeID { .known(text) }

    private static var whole: NodeReport {
        var report = NodeReport(at: Timestamp(milliseconds: 1_000), started: Timestamp(milliseconds: 500))
        report.isDraining = true
        report.isControlOnly = true
        report.topologyVersion = 7
        report.knowledge = 2000
        report.certificateEnds = Timestamp(milliseconds: 9_000)
        report.authorityEnds = Timestamp(milliseconds: 90_000)
        report.waiting = 12
        report.oldest = Timestamp(milliseconds: 900)
        report.closedRooms = 1
        report.quarantined = 2
        report.heldElsewhere = 3
        report.missing = 4
        report.lost = 5
        report.unbalanced = 6
        report.usedBytes = 7 << 20
        report.quotaBytes = 8 << 30
        report.diskBytes = 9 << 30
        report.queues = [
            .init(name: NodeReport.name(of: "OSZN/77"), waiting: 8, overdue: 1, oldest: Timestamp(milliseconds: 100)),
            .init(name: NodeReport.name(of: "PFR/77"), waiting: 0, overdue: 0, oldest: nil),
        ]
        report.metadataAge = 4_000
        report.mail = [.init(name: NodeReport.name(of: "subject-78"), waiting: 9)]
        return report
    }

    /// An exchange whose sessions with these peers run.
    private func exchange(_ node: NodeID, met peers: [NodeID], version: UInt16 = 2) -> Exchange {
        var exchange = Exchange(
            node: node, incarnation: Incarnation(bits: ID128(high: 9, low: 9)), routes: Chain(), rows: [], peers: [])
        for (index, peer) in peers.enumerated() { _ = meet(peer, SessionNumber(index + 1), version, &exchange) }
        return exchange
    }

    private func meet(
        _ peer: NodeID, _ session: SessionNumber, _ version: UInt16, _ exchange: inout Exchange
    ) -> [ExchangeAction] {
        _ = exchange.sessionOpened(session, peer: peer, dialled: true)
        var hello = Hello(
            topologyVersion: 1, incarnation: Incarnation(bits: ID128(high: 1, low: 1)), knownIncarnation: nil,
            tokens: [],
            held: [], offered: [])
        hello.highest = version
        return arrive(.hello, hello.encoded(), session, &exchange)
    }

    private func arrive(
        _ kind: FrameKind, _ bytes: [UInt8], _ session: SessionNumber, _ exchange: inout Exchange
    ) -> [ExchangeAction] {
        exchange.arrived(
            FramedMessage(kind: kind, flags: 0, bytes: bytes), in: session, reading: NoPacks(),
            random: { ID128(high: 5, low: 5) })
    }

    /// The reports that are sent, and in which session.
    private func sent(_ actions: [ExchangeAction]) throws -> [SessionNumber: [NodeID]] {
        var found: [SessionNumber: [NodeID]] = [:]
        for case .send(let session, let bytes) in actions {
            var assembler = FrameAssembler()
            bytes.withUnsafeBytes { assembler.append($0) }
            while let message = try assembler.next() {
                guard message.kind == .report else { continue }
                found[session, default: []].append(try LinkCodec.report(message.bytes).origin)
            }
        }
        return found
    }

    @Test("A report is the same at the other end; what a newer release adds behind it is passed over")
    func roundTrip() throws {
        let report = ReportTests.whole
        #expect(try NodeReport(decoding: report.encoded()) == report)
        #expect(try NodeReport(decoding: report.encoded() + [1, 2, 3]) == report)
        #expect(report.encoded().count == 140 + 24 * report.queues.count + 2 + 12)
        let earlier = 140 + 24 * report.queues.count
        for count in 0..<report.encoded().count where count != earlier {
            #expect(throws: WireError.self) { try NodeReport(decoding: Array(report.encoded().prefix(count))) }
        }
    }

    @Test("Of an earlier build it is not known for whom mail waits, here and wherever its report is passed on")
    func mailNotSaid() throws {
        var report = ReportTests.whole
        report.mail = nil
        let earlier = Array(report.encoded().dropLast(2))
        for bytes in [earlier, report.encoded(), try NodeReport(decoding: earlier).encoded() + [1, 2, 3]] {
            #expect(try NodeReport(decoding: bytes) == report)
        }
        // None is another thing than not known.
        report.mail = []
        #expect(try NodeReport(decoding: report.encoded()).mail == [])
        // So many that they have no room: rather none than some of them.
        let one = NodeReport.Mail(name: 1, waiting: 2)
        for (count, isSaid) in [(NodeReport.mostMail, true), (NodeReport.mostMail + 1, false)] {
            report.mail = Array(repeating: one, count: count)
            #expect(try NodeReport(decoding: report.encoded()).mail?.count == (isSaid ? count : nil))
        }
        #expect(throws: WireError.self) {
            try NodeReport(decoding: earlier + [0x01, 0x01] + Array(repeating: 0, count: 5000))
        }
    }

    @Test("Numbers that nobody can mean end the session")
    func extremes() {
        let bytes = LinkCodec.report(ReportTests.whole, of: Chain.other)
        // Instants and counts: each from its first byte.
        let start = 1 + "other".utf8.count + 2
        for place in [start, start + 8, start + 16, start + 24, start + 32, start + 40, start + 48] {
            var exchange = exchange(Chain.centre, met: [Chain.other])
            var bad = bytes
            bad[place] = 0xFF
            let actions = arrive(.report, bad, 1, &exchange)
            #expect(actions.contains { if case .close(_, "message-malformed", _) = $0 { true } else { false } })
        }
        var queues = ReportTests.whole
        queues.queues = Array(repeating: queues.queues[0], count: 300)
        #expect(try! NodeReport(decoding: queues.encoded()).queues.count == NodeReport.mostQueues)
    }

    @Test("A relay passes on what comes from behind it, at once and to whoever is met later, newest only")
    func relayed() throws {
        var relay = exchange(Chain.relay, met: [Chain.leaf])
        var report = ReportTests.whole
        _ = arrive(.report, LinkCodec.report(report, of: Chain.leaf), 1, &relay)
        report.knowledge += 1
        let kept = arrive(.report, LinkCodec.report(report, of: Chain.leaf), 1, &relay)
        #expect(try sent(kept) == [:] && kept == [.reported(Chain.leaf, report)])
        _ = relay.report(ReportTests.whole)
        #expect(try sent(meet(Chain.centre, 2, 2, &relay)) == [2: [Chain.leaf, Chain.relay]])
        #expect(try sent(arrive(.report, LinkCodec.report(report, of: Chain.leaf), 1, &relay)) == [2: [Chain.leaf]])
        #expect(try sent(relay.report(ReportTests.whole)) == [2: [Chain.relay]])
        // And nothing of it is mail.
        #expect(relay.rows.isEmpty)
    }

    @Test("A node speaks for itself and for who is behind it, and for nobody else")
    func notForOthers() {
        for (who, isHeard) in [(Chain.leaf, true), (Chain.relay, true), (Chain.other, false), (Chain.centre, false)] {
            var centre = exchange(Chain.centre, met: [Chain.relay, Chain.other])
            let actions = arrive(.report, LinkCodec.report(ReportTests.whole, of: who), 1, &centre)
            #expect(actions.contains(.reported(who, ReportTests.whole)) == isHeard, "\(who)")
            #expect((centre.reports[who] != nil) == isHeard)
            #expect(centre.isRunning(1))
            guard !isHeard else { continue }
            #expect(actions == [.note(code: "report-of-another", peer: Chain.relay, detail: "it speaks for \(who)")])
            #expect(arrive(.report, LinkCodec.report(ReportTests.whole, of: who), 1, &centre).isEmpty)
        }
    }

    @Test("Release 0.1.0 gets none, and one that comes under its protocol is against it")
    func earlierRelease() throws {
        var leaf = exchange(Chain.other, met: [Chain.centre], version: 1)
        #expect(try sent(leaf.report(ReportTests.whole)).isEmpty)
        var centre = exchange(Chain.centre, met: [Chain.other], version: 1)
        #expect(try sent(meet(Chain.other, 2, 1, &centre)).isEmpty)
        let actions = arrive(.report, LinkCodec.report(ReportTests.whole, of: Chain.other), 2, &centre)
        #expect(actions.contains { if case .close(2, "frame-unknown-kind", _) = $0 { true } else { false } })
    }

    @Test("A ping that came back says how long it took and how far the other clock is; of 0.1.0 only how long")
    func echo() throws {
        func payload(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropFirst(Frame.headerBytes)) }
        let ping = payload(LinkEcho.ping(at: Timestamp(milliseconds: 1_000_000), mark: 50_000))
        let pong = payload(LinkEcho.pong(to: ping, at: Timestamp(milliseconds: 1_000_510)))
        let echo = try #require(LinkEcho(pong: pong, mark: 50_000, monotonic: 70_000))
        #expect(echo == LinkEcho(roundTrip: 20_000, skew: 500))
        #expect(LinkEcho(pong: pong, mark: 50_001, monotonic: 70_000) == nil)
        #expect(LinkEcho(pong: ping, mark: 50_000, monotonic: 70_000) == LinkEcho(roundTrip: 20_000, skew: nil))
        #expect(LinkEcho(pong: Array(ping.prefix(8)), mark: 50_000, monotonic: 70_000) == nil)
    }

    @Test("The book keeps the newest of each, since when one is stuck, and writes once a minute or when a link ends")
    func book() {
        var book = ReportBook()
        func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }
        var report = ReportTests.whole
        book.heard(Chain.leaf, report, at: at(10), published: 2001)
        #expect(book.entries[Chain.leaf]?.stuckSince == at(10))
        #expect(book.due(at: at(10)).count == 1 && book.due(at: at(11)).isEmpty)
        // A relay shows once more what it heard last: the node itself has said nothing.
        book.heard(Chain.leaf, report, at: at(12), published: 2001)
        #expect(book.entries[Chain.leaf]?.heard == at(10))
        report.at = at(15)
        book.heard(Chain.leaf, report, at: at(15), published: 2001)
        #expect(book.entries[Chain.leaf]?.stuckSince == at(10) && book.entries[Chain.leaf]?.heard == at(15))
        #expect(book.due(at: at(20)).isEmpty)
        book.lost(Chain.leaf)
        #expect(book.due(at: at(20)).count == 1)
        (report.knowledge, report.at) = (2001, at(25))
        book.heard(Chain.leaf, report, at: at(25), published: 2002)
        #expect(book.entries[Chain.leaf]?.stuckSince == at(25))
        report.at = at(30)
        book.heard(Chain.leaf, report, at: at(30), published: 2001)
        #expect(book.entries[Chain.leaf]?.stuckSince == nil)
        #expect(book.due(at: at(79)).isEmpty && book.due(at: at(80)).count == 1)
    }

    @Test("What a relay shows again is no sign of life, and says nothing of a clock; what was said since is both")
    func shownAgain() {
        var book = ReportBook()
        func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }
        func say(_ seconds: Int64, started: Int64 = 0, heard: Int64) {
            var report = NodeReport(at: at(seconds), started: at(started))
            report.waiting = UInt64(seconds)
            book.heard(Chain.leaf, report, at: at(heard), published: 0)
        }
        func entry() -> (heard: Timestamp?, waiting: UInt64?, skew: Int64?) {
            let entry = book.entries[Chain.leaf]
            return (entry?.heard, entry?.report.waiting, entry?.skew)
        }
        say(3, heard: 10)
        #expect(entry() == (at(10), 3, nil))
        say(8, heard: 15)
        #expect(entry() == (at(15), 8, -7000))
        // Its relay's link comes back, again and again; once over another way with what is older.
        for later in [100, 200] as [Int64] { say(8, heard: later) }
        say(3, heard: 300)
        say(3, heard: 310)
        #expect(entry() == (at(15), 8, -7000))
        // It had gone on for a while, and this had not been heard: the last words of one that is dark.
        say(50, heard: 4000)
        #expect(entry() == (at(4000), 50, nil))
        // It runs again.
        say(1, started: 4100, heard: 4200)
        say(6, started: 4100, heard: 4205)
        #expect(entry() == (at(4205), 6, 6000 - 4_205_000))
        // Its clock is set back.
        say(2, started: 4000, heard: 4210)
        #expect(entry().heard == at(4205))
        say(7, started: 4000, heard: 4215)
        #expect(entry() == (at(4215), 7, 7000 - 4_215_000))
    }
}
