import FederationTestKit
import Glibc
import Testing

@testable import Federation

/// Takes everything; refuses what begins with 77 once it has been told to.
private final class TakingApplication: Application {
    let refuses = Monitor<String?>(nil)
    let log = Monitor<[String]>([])

    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        if envelope.body.bytes.first == 77, let code = refuses.changeQuietly({ $0 }) { throw Rejection(code) }
    }
    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {
        log.change { $0.append("applied \(envelope.header.id.low)") }
    }
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {
        log.change { $0.append("rejected \(envelope.header.id.low) \(code)") }
    }
    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError) {
        log.change { $0.append("held \(envelope.header.id.low)") }
    }
    func lost(at destination: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        log.change { $0.append("lost at \(destination)") }
    }

    var told: [String] { log.changeQuietly { $0 } }
}

/// What an origin keeps of what is decided, and what it says when it is asked for it.
@Suite("The refill log")
struct RefillTests {
    private let origin = NodeID("subject-77") ?? .everyone
    private let destination = NodeID("centre") ?? .everyone
    private let lives = [Incarnation(bits: ID128(high: 1, low: 1)), Incarnation(bits: ID128(high: 2, low: 1))]

    /// One end of a stream, in memory; the other is played by the test.
    private final class End {
        let engine = MemoryEngine()
        let application = TakingApplication()
        let attempts = MemoryAttempts()
        let inbox: Inbox
        let outbox: Outbox

        init(_ node: NodeID, _ life: Incarnation) {
            outbox = Outbox(node: node, incarnation: life, topologyVersion: 1)
            inbox = Inbox(
                node: node, application: application, sender: outbox, attempts: attempts, topologyVersion: { 1 })
        }

        func write<Result>(_ body: @escaping (borrowing WriteTransaction) throws -> Result) throws -> Result {
            var result: Result?
            let job = WriteJob(.essential) { transaction in
                result = try body(transaction)
            } completion: { _ in
            }
            let sealed = try GroupCommit.run([job], on: engine, quota: 0, now: Timestamp(milliseconds: 1000))
            try sealed.outcomes[0].result.get()
            return try #require(result)
        }

        func row(_ stream: StreamID) throws -> StreamRow {
            try write { transaction in try #require(try transaction.group.streams.row(of: stream, in: transaction)) }
        }

        /// Sends bodies and hears that all are decided.
        func settle(_ bodies: [[UInt8]], to peer: NodeID, refused: [RejectedPosition] = []) throws {
            try write { [outbox] transaction in
                for (index, body) in bodies.enumerated() {
                    try outbox.send(
                        .escalation, id: ID128(high: 7, low: UInt64(index + 1)), to: peer,
                        body: EnvelopeBody(bytes: body), in: transaction)
                }
            }
            try write { [outbox, inbox] transaction in
                let stream = StreamID(
                    origin: inbox.node, incarnation: outbox.incarnation, destination: peer, lane: .appeals)
                let state = ReceiptState(stream: stream, applied: UInt64(bodies.count), rejections: refused)
                _ = try inbox.perform(.receipts([state]), in: transaction)
            }
        }
    }

    private func stream(_ lane: Lane = .appeals) -> StreamID {
        StreamID(origin: origin, incarnation: lives[0], destination: destination, lane: lane)
    }

    @Test("Refill logs give way before intake stops, and what waits does not")
    func crowded() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: TakingApplication.init)
        defer { federation.stopAll() }
        var settings = try federation.place("subject-77").settings()
        settings.quotaBytes = 8 << 20
        try TrustFile.write(settings, to: federation.place("subject-77").path + "/node.json")
        try federation.start("centre")
        let subject = try federation.start("subject-77")
        for round in 0..<60 {
            for _ in 0..<4 {
                try subject.store.write(.intake) { transaction in
                    for _ in 0..<16 {
                        try subject.outbox.send(
                            .escalation, id: Random.id128(), to: destination,
                            body: EnvelopeBody(bytes: Array(repeating: UInt8(round), count: 4000)), in: transaction)
                    }
                }
            }
            let isDrained = try TestFederation.wait(milliseconds: 10_000) {
                try subject.store.read { transaction throws(StoreError) in
                    try Sessions.streams(in: transaction).allSatisfy {
                        $0.id.origin != origin || $0.row.base == $0.row.last
                    }
                }
            }
            #expect(isDrained, "\(federation.log.all)")
        }
    }

    /// What comes from the peer, as its first and only message in that lane.
    private func receive(
        _ kind: MessageKind, _ body: [UInt8], at end: End, position: UInt64 = 1, topologyVersion: UInt64 = 1
    ) throws -> ExchangeOutcome {
        let header = EnvelopeHeader(
            stream: StreamID(
                origin: end.inbox.node == origin ? destination : origin, incarnation: lives[1],
                destination: end.inbox.node, lane: kind.lane),
            position: position, kind: kind, id: ID128(high: 8, low: position), created: Timestamp(milliseconds: 1),
            topologyVersion: topologyVersion, extensions: HeaderExtension.understandsHolding.encoded)
        let bytes = EnvelopeCodec.encode(Envelope(header: header, body: EnvelopeBody(bytes: body)))
        let batch = ReceivedBatch(
            incarnation: lives[1], envelopes: [ReceivedBatch.Item(header: header, bytes: bytes)])
        return try end.write { [inbox = end.inbox] transaction in try inbox.perform(.receive(batch), in: transaction) }
    }

    @Test("Who asks and does not fetch the answers is not answered before it does")
    func unfetched() throws {
        let end = End(origin, lives[0])
        try end.settle([[1], [2]], to: destination)
        let request = RefillRequest(lane: .appeals, incarnation: lives[0], first: 1, count: 64).encoded().bytes
        func fill() throws {
            try end.write { [outbox = end.outbox, destination] transaction in
                for _ in 0...Exchange.window {
                    try outbox.send(
                        .escalation, id: Random.id128(), to: destination, body: EnvelopeBody(bytes: [3]),
                        in: transaction)
                }
            }
        }
        try fill()
        let outcome = try receive(.refillRequest, request, at: end)
        #expect(outcome.refused.map(\.lane) == [.control])
        let before = try end.row(stream()).last
        try end.write { [inbox = end.inbox, stream = stream()] transaction in
            // The next hop has them, decided or not.
            let held = StreamPosition(stream: stream, position: before)
            _ = try inbox.perform(.forwarded([held], by: inbox.sender.incarnation), in: transaction)
        }
        #expect(try receive(.refillRequest, request, at: end).refused.isEmpty)
        #expect(try end.row(stream()).last > before)
    }

    @Test("What an origin may have waiting here for a decision has an end, whatever topology it names")
    func heldBytes() throws {
        let end = End(destination, lives[1])
        end.application.refuses.change { $0 = "does-not-fit" }
        let body: [UInt8] = [77] + Array(repeating: 0, count: 200_000)
        var held = 0
        for position in 1...UInt64(400) {
            held += try receive(.escalation, body, at: end, position: position, topologyVersion: 9).held.count
        }
        #expect(held > 300 && held < 340)
        let listed = try end.write { transaction in try Quarantine.list(limit: .max, .held, in: transaction) }
        #expect(listed.count == held)
        // One that is decided makes room for another.
        try end.write { [inbox = end.inbox] transaction in
            _ = try inbox.decide(listed[0].number, .return, by: "uid/0", why: "too many", in: transaction)
        }
        #expect(try receive(.escalation, body, at: end, position: 401, topologyVersion: 9).held.count == 1)
        #expect(try receive(.escalation, body, at: end, position: 402, topologyVersion: 9).held.isEmpty)
    }

    @Test("What is remembered of refusals has an end")
    func refusals() throws {
        let end = End(destination, lives[1])
        for position in [1, 2, 3, 50_000, 100_003] as [UInt64] {
            try end.write { [inbox = end.inbox, stream = stream()] transaction in
                try inbox.noteRefusal(stream, position, "not-here", in: transaction)
            }
        }
        let kept = try end.write { transaction in try transaction.count(.refusals) }
        #expect(kept == 3)
    }

    @Test("What was parked in a backup, and its origin has forgotten, is applied when its topology is here")
    func parkedAgain() throws {
        let end = End(destination, lives[0])
        end.application.refuses.change { $0 = "does-not-fit" }
        #expect(try receive(.escalation, [77], at: end, topologyVersion: 2).held.map(\.reason) == [.parked])
        let stream = StreamID(origin: origin, incarnation: lives[1], destination: destination, lane: .appeals)
        try end.write { [destination] transaction in try Inbox.doubtHeld(at: destination, in: transaction) }
        // The process that has the newer topology looks before its origin has answered.
        let inbox = Inbox(
            node: destination, application: end.application, sender: end.outbox, attempts: end.attempts,
            topologyVersion: { 2 })
        end.application.refuses.change { $0 = nil }
        let due = try end.write { transaction in try inbox.releaseParked(after: 0, in: transaction).count }
        #expect(due == 0)
        let header = EnvelopeHeader(
            stream: StreamID(
                origin: origin, incarnation: lives[1], destination: destination, lane: MessageKind.refill.lane),
            position: 2, kind: .refill, id: Random.id128(), created: Timestamp(milliseconds: 1), topologyVersion: 2)
        let gone = Refill(.gone, of: stream, 1, isLast: true).encoded()
        let refusal = try end.write { transaction in
            var outcome = ExchangeOutcome()
            return try inbox.open(
                EnvelopeCodec.encode(Envelope(header: header, body: gone)), &outcome, in: transaction) ?? ""
        }
        #expect(refusal.isEmpty)
        let row = try end.row(stream)
        #expect(row.appliedCount == 1 && row.held == 0 && row.missing == 0 && row.imbalance == 0)
    }

    @Test("Gaps of a stream that are kept have an end, and what is counted stays")
    func mostGaps() throws {
        let end = End(destination, lives[1])
        let stream = stream()
        for number in 1...UInt64(100) {
            try end.write { [inbox = end.inbox, lives] transaction in
                let base = StreamBase(stream: stream, base: number * 10, digest: .zero)
                _ = try inbox.perform(.adopt([base], from: lives[0]), in: transaction)
            }
        }
        #expect(try end.row(stream).missing == UInt64(Inbox.mostGaps) * 10)
        let given = try end.write { [inbox = end.inbox, origin] transaction in
            try inbox.giveUp(origin, in: transaction)
        }
        let row = try end.row(stream)
        #expect(
            given == UInt64(Inbox.mostGaps) * 10 && row.missing == 0 && row.lostCount == given && row.imbalance == 0)
        try end.write { [inbox = end.inbox, lives] transaction in
            _ = try inbox.perform(
                .adopt([StreamBase(stream: stream, base: 5_000, digest: .zero)], from: lives[0]), in: transaction)
        }
        let gaps = try end.write { transaction in try Gaps.list(of: stream, in: transaction) }
        #expect(gaps.count == Inbox.mostGaps && gaps.filter(\.gap.isOpen).count == 1)
    }

    @Test("What a destination has lost is counted once at the origin too, and the domain hears of it, once all is told")
    func lost() throws {
        let end = End(origin, lives[0])
        try end.settle(Array(repeating: [1], count: 100), to: destination)
        func hear(lost: UInt64, missing: UInt64) throws -> [LostThere] {
            var row = StreamRow(ordinal: 1)
            (row.appliedCount, row.lostCount, row.missing) = (100 - lost - missing, lost, missing)
            let state = ReceiptState(stream: stream(), applied: 100, rejections: [], tally: Tally(row))
            return try end.write { [inbox = end.inbox] transaction in
                try inbox.perform(.receipts([state]), in: transaction).lostThere
            }
        }
        #expect(try hear(lost: 10, missing: 5).isEmpty)
        #expect(try hear(lost: 15, missing: 0) == [LostThere(stream: stream(), count: 15)])
        #expect(try hear(lost: 15, missing: 0).isEmpty)
        // Put back once more, it has lost others.
        #expect(try hear(lost: 4, missing: 0) == [LostThere(stream: stream(), count: 4)])
        let counted = try end.write { [origin] transaction in try Gaps.lostThere(from: origin, in: transaction) }
        #expect(counted == 19)
        #expect(end.application.told.filter { $0 == "lost at centre" }.count == 2)
        #expect(try end.row(stream()).imbalance == 0)
    }

    @Test("What a destination refuses after it was put back is its origin's again, counted as that, and said")
    func refusedLate() throws {
        let end = End(origin, lives[0])
        try end.settle([[1], [77], [3]], to: destination)
        func hear(_ position: UInt64, _ outcome: HoldOutcome) throws -> [TakenBack] {
            var about = EnvelopeHeader(
                stream: stream(), position: position, kind: .escalation, id: Random.id128(),
                created: Timestamp(milliseconds: 1), topologyVersion: 1)
            let body = OutcomeBody(about, outcome).encoded()
            about.stream = StreamID(origin: destination, incarnation: lives[1], destination: origin, lane: .control)
            about.kind = .receipt
            return try end.write { [inbox = end.inbox, about] transaction in
                var outcome = ExchangeOutcome()
                _ = try inbox.open(
                    EnvelopeCodec.encode(Envelope(header: about, body: body)), &outcome, in: transaction)
                return outcome.takenBack
            }
        }
        #expect(try hear(1, .applied).isEmpty)
        #expect(try hear(2, .rejected("not-here")).map(\.code) == ["late-not-here"])
        #expect(try hear(2, .rejected("not-here")).isEmpty)
        #expect(end.application.told.last == "rejected 2 not-here")
        let row = try end.row(stream())
        #expect(row.appliedCount == 2 && row.rejectedCount == 1 && row.imbalance == 0)
    }

    @Test(
        "A refill that is refused is counted as applied only when something newer stands in its place",
        arguments: [(Rejection.superseded, UInt64(1)), ("not-here", 0)])
    func refusedRefill(code: String, applied: UInt64) throws {
        let end = End(destination, lives[1])
        end.application.refuses.change { $0 = code }
        let stream = stream()
        try end.write { [inbox = end.inbox, lives] transaction in
            let base = StreamBase(stream: stream, base: 1, digest: .zero)
            _ = try inbox.perform(.adopt([base], from: lives[0]), in: transaction)
        }
        let lost = EnvelopeHeader(
            stream: stream, position: 1, kind: .escalation, id: ID128(high: 7, low: 1),
            created: Timestamp(milliseconds: 1), topologyVersion: 1)
        let bytes = EnvelopeCodec.encode(Envelope(header: lost, body: EnvelopeBody(bytes: [77])))
        let header = EnvelopeHeader(
            stream: StreamID(
                origin: origin, incarnation: lives[0], destination: destination, lane: MessageKind.refill.lane),
            position: 1, kind: .refill, id: Random.id128(), created: Timestamp(milliseconds: 1), topologyVersion: 1)
        let refill = Refill(.applied, of: stream, 1, envelope: bytes, isLast: true)
        let refusal = try end.write { [inbox = end.inbox] transaction in
            var outcome = ExchangeOutcome()
            return try inbox.open(
                EnvelopeCodec.encode(Envelope(header: header, body: refill.encoded())), &outcome, in: transaction) ?? ""
        }
        #expect(refusal.isEmpty)
        let row = try end.row(stream)
        #expect(row.appliedCount == applied && row.rejectedCount == 1 - applied && row.missing == 0)
        // Its origin has counted it as applied: it hears of anything else.
        let told = try end.write { transaction in
            try Sessions.streams(in: transaction).filter { $0.id.origin.text == "centre" }.reduce(0) {
                $0 + $1.row.last
            }
        }
        #expect(told == (applied == 1 ? 1 : 2))
    }
}
