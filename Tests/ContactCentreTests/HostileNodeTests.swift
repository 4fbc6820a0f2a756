import FederationTestKit
import Foundation
import Testing

@testable import ContactCentre
@testable import Federation

/// A node of the federation that sends what is not its to send: it is refused with a code, and nobody's rows change.
@Suite("A hostile node")
struct HostileNodeTests {
    private func send(
        _ kind: MessageKind, _ body: some Encodable & Sendable, from origin: String, to destination: String,
        _ office: TestOffice
    ) throws {
        let destination = try #require(NodeID(destination))
        let bytes = Array(try JSONEncoder().encode(body))
        try office.write(origin) { desk, transaction in
            try desk.sender.send(
                kind, id: ID128(high: 1, low: UInt64(bytes.count)), to: destination, body: EnvelopeBody(bytes: bytes),
                in: transaction)
        }
        try office.courier()
    }

    @Test("Epochs and instants beyond all sense are refused or held within it", arguments: [Int.min, .max, 0])
    func extremes(_ number: Int) throws {
        let office = try TestOffice()
        let id = try office.escalated(.special, "MSE")
        let back = ReturnBody(id: id.description, ownershipEpoch: number, code: "general", history: "[]")
        try send(.returned, back, from: "cc-mse", to: "centre", office)
        #expect(try office.appeal("centre", id)?.state == .handedOver)
        let answer = AnswerBody(
            id: id.description, ownershipEpoch: 2, outcome: "answered", at: Int64(number), text: "ответ")
        try send(.answer, answer, from: "cc-mse", to: "centre", office)
        let appeal = try #require(try office.appeal("centre", id))
        #expect(appeal.state == .resolved)
        #expect((appeal.receivedAt...office.now).contains(try #require(appeal.resolvedAt)))
        office.now += 73 * 3_600_000
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try office.appeal("centre", id)?.state == .closed)
    }

    @Test("Only the centre publishes", arguments: ["centre", "subject-77"])
    func entries(_ target: String) throws {
        let office = try TestOffice()
        let entry = KnowledgeEntry(
            id: "KB-1", organisation: "OSZN", subject: nil, topic: "t", line: "1", question: "q", answer: "poison")
        try send(.entry, PublishedEntry(entry: entry, revision: .max), from: "subject-78", to: target, office)
        #expect(
            try office.read(target) { transaction throws(StoreError) in try Knowledge.entry("KB-1", in: transaction) }
                == nil)
    }

    @Test("Only the centre escalates: another's appeal is not overwritten")
    func escalations() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal)
        var forged = try #require(try office.appeal("subject-77", id))
        forged.ownershipEpoch = 99
        let history = try History([Utterance(at: "2026-11-24T09:14:00.000Z", author: .citizen, text: "FORGED")])
        try send(
            .escalation, EscalationBody(forged, history: history.bytes), from: "subject-78", to: "subject-77", office)
        #expect(try office.appeal("subject-77", id)?.ownershipEpoch == 2)
        let text = try office.read("subject-77") { transaction throws(StoreError) in
            try transaction.get(.text, id.key) ?? []
        }
        #expect(text == (try History(TestOffice.said)).bytes)
    }

    @Test("A home that has answered and then says that it refused the escalation changes nothing")
    func refusalAfterAnswer() throws {
        let office = try TestOffice()
        let id = try office.escalated(.special, "MSE")
        let answer = AnswerBody(id: id.description, ownershipEpoch: 2, outcome: "answered", at: 1, text: "x")
        try send(.answer, answer, from: "cc-mse", to: "centre", office)
        let record = try #require(try office.appeal("centre", id))
        let body = EscalationBody(record, history: try History(TestOffice.said).bytes)
        try office.write("centre") { desk, transaction in
            try desk.takeBack(body, code: "stale-owner", in: transaction)
        }
        #expect(try office.appeal("centre", id)?.state == .resolved)
    }

    @Test(
        "A reason is one of a list: no text reaches the centre through it",
        arguments: ["Иванов, 112-233-445 95", "ivanov-petr-112-233-445-95", "", "General"])
    func reasons(_ code: String) throws {
        let office = try TestOffice()
        let id = try office.escalated(.special, "MSE")
        let person = TestOffice.second("MSE/centre", "2")
        let (_, claim) = try office.claim("cc-mse", person, id)
        #expect {
            try office.write("cc-mse") { desk, transaction in
                try desk.giveBack(
                    id, claim: claim.number, code: code, by: person, in: transaction)
            }
        } throws: { ($0 as? DomainError)?.code == "bad-code" }
    }
}
