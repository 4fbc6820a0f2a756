import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

/// A centre and homes over memory stores, with the real outbox and inbox between them and a courier in place of links.
final class TestOffice {
    struct Place {
        var engine: MemoryEngine
        var desk: Desk<Outbox>
        var inbox: Inbox
        var incarnation: Incarnation
    }

    var now: Int64 = 1_795_511_700_000
    private(set) var places: [String: Place] = [:]
    /// Envelopes delivered, in order, for tests that deliver them again.
    private(set) var delivered: [(to: String, item: ReceivedBatch.Item)] = []

    /// - Parameter change: what is different from the demo's topology.
    init(_ change: (String) -> String = { $0 }) throws {
        let text = change(String(decoding: try RouterTests.file("demo.json"), as: UTF8.self))
        let topology = try Topology.read(Array(text.utf8))
        let centre = try #require(topology.centre)
        for (index, node) in topology.nodes.enumerated() {
            let incarnation = Incarnation(bits: ID128(high: 77, low: UInt64(index) + 1))
            let engine = MemoryEngine()
            _ = try Startup.run(on: engine, newIncarnation: incarnation, now: Timestamp(milliseconds: now))
            let outbox = Outbox(node: node.id, incarnation: incarnation, topologyVersion: topology.version)
            let bits = Monitor(SeededRandom(seed: UInt64(index) + 9))
            let desk = Desk(
                node: node.id, centre: centre, router: Router(topology), sender: outbox,
                random: { bits.change { ID128(high: $0.next(), low: $0.next()) } })
            places[node.id.text] = Place(
                engine: engine, desk: desk,
                inbox: Inbox(
                    node: node.id, application: ContactCentreApplication(desk), incarnation: incarnation),
                incarnation: incarnation)
        }
    }

    func place(_ name: String) throws -> Place { try #require(places[name]) }

    /// One part of a commit at a node; it is durable when this returns.
    @discardableResult
    func write<Result>(
        _ name: String, _ body: @escaping (Desk<Outbox>, borrowing WriteTransaction) throws -> Result
    ) throws -> Result {
        let place = try place(name)
        var outcome: Result?
        let job = WriteJob(.intake) { transaction in
            outcome = try body(place.desk, transaction)
        } completion: { _ in
        }
        let sealed = try GroupCommit.run([job], on: place.engine, quota: 0, now: Timestamp(milliseconds: now))
        try sealed.outcomes[0].result.get()
        return try #require(outcome)
    }

    func read<Result>(_ name: String, _ body: (borrowing ReadTransaction) throws(StoreError) -> Result) throws -> Result
    {
        try Store.read(try place(name).engine, body)
    }

    private func perform(_ name: String, _ work: ExchangeWork) throws {
        let place = try place(name)
        let job = WriteJob(.essential, nested: false) { transaction in
            _ = try place.inbox.perform(work, in: transaction)
        } completion: { _ in
        }
        _ = try GroupCommit.run([job], on: place.engine, quota: 0, now: Timestamp(milliseconds: now))
    }

    /// Carries everything that waits, and the receipts back, until nothing waits.
    func courier() throws {
        var moved = true
        while moved {
            moved = false
            for name in places.keys.sorted() {
                for stream in try read(
                    name, { transaction throws(StoreError) in try Sessions.streams(in: transaction) })
                where stream.id.origin.text == name && stream.row.last > stream.row.base {
                    try carry(stream)
                    moved = true
                }
            }
        }
    }

    private func carry(_ stream: StreamChange) throws {
        let (origin, destination) = (stream.id.origin.text, stream.id.destination.text)
        var items: [ReceivedBatch.Item] = []
        for position in stream.row.base + 1...stream.row.last {
            let reading = SimpleReading(engine: try place(origin).engine)
            let bytes = Array(try #require(try reading.pack(position, stream.row.ordinal)).envelope(at: position))
            items.append(ReceivedBatch.Item(header: try EnvelopeCodec.decode(bytes).header, bytes: bytes))
        }
        delivered += items.map { (destination, $0) }
        try perform(destination, .receive(ReceivedBatch(incarnation: try place(origin).incarnation, envelopes: items)))
        let rows = try read(destination) { transaction throws(StoreError) in try Sessions.streams(in: transaction) }
        let row = try #require(rows.first { $0.id == stream.id }?.row)
        try perform(
            origin,
            .receipts([ReceiptState(stream: stream.id, applied: row.applied, rejections: row.rejections)]))
    }

    /// Hands a message to a node's application once more, past the window that would drop it.
    func applyAgain(_ index: Int) throws -> Rejection? {
        let (name, item) = delivered[index]
        let place = try place(name)
        let envelope = try EnvelopeCodec.decode(item.bytes)
        var refusal: Rejection?
        let job = WriteJob(.essential) { transaction in
            try ContactCentreApplication(place.desk).apply(envelope, in: transaction)
        } completion: { _ in
        }
        let sealed = try GroupCommit.run([job], on: place.engine, quota: 0, now: Timestamp(milliseconds: now))
        if case .failure(let error) = sealed.outcomes[0].result { refusal = try #require(error as? Rejection) }
        return refusal
    }

    // MARK: What people do

    static let first = Operator(name: "o-1", desk: .firstLine)
    static func second(_ tenancy: String, _ line: String = "2") -> Operator {
        Operator(name: "o-2", desk: .secondLine(tenancy: tenancy, line: line))
    }

    static let said = [
        Utterance(at: "2026-11-24T09:14:00.000Z", author: .bot, text: "Здравствуйте! Чем помочь?"),
        Utterance(
            at: "2026-11-24T09:15:00.123Z", author: .citizen, text: "Мне \"отказали\" в пособии /не знаю почему/ 😀"),
    ]

    func accept(_ organisation: String = "OSZN", _ subject: String = "77") throws -> AppealID {
        let history = try History(TestOffice.said)
        let appeal = try write("centre") { desk, transaction in
            let intake = Intake(
                channel: .chat, site: "fss.example", organisation: organisation, subject: subject, topic: nil,
                history: history)
            return try desk.accept(intake, in: transaction)
        }
        return try #require(AppealID(appeal.id))
    }

    func claim(_ name: String, _ person: Operator, _ id: AppealID? = nil) throws -> (AppealRecord, Claim) {
        try write(name) { desk, transaction in try desk.claim(id, by: person, in: transaction) }
    }

    /// Intake, first line, and away: the appeal is at its home when this returns.
    func escalated(_ reason: EscalationReason, _ organisation: String = "OSZN", _ subject: String = "77") throws
        -> AppealID
    {
        let id = try accept(organisation, subject)
        let (_, claim) = try claim("centre", TestOffice.first, id)
        try write("centre") { desk, transaction in
            try desk.escalate(id, claim: claim.number, reason: reason, by: TestOffice.first, in: transaction)
        }
        try courier()
        return id
    }

    func appeal(_ name: String, _ id: AppealID) throws -> AppealRecord? {
        let desk = try place(name).desk
        return try read(name) { transaction throws(StoreError) in try desk.appeal(id, in: transaction) }
    }
}

private struct SimpleReading {
    let engine: MemoryEngine

    func pack(_ position: UInt64, _ ordinal: UInt32) throws -> Pack? {
        try Store.read(engine) { transaction throws(StoreError) in
            try Outbox.pack(holding: position, of: ordinal, in: transaction)
        }
    }
}
