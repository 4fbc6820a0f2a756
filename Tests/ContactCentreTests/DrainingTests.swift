import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

/// A node that drains takes nothing new, finishes what it has, and loses nothing.
@Suite("Draining")
struct DrainingTests {
    private func drain(_ office: TestOffice, _ name: String) throws {
        #expect(try office.write(name) { _, transaction in try Draining.begin(in: transaction) })
    }

    @Test("A centre that drains takes no new appeal, says so as 503, and lets its people go on with the old ones")
    func intake() throws {
        let office = try TestOffice()
        let before = try office.accept()
        try drain(office, "centre")
        #expect { _ = try office.accept() } throws: { error in
            let refusal = error as? DomainError
            return refusal?.code == "draining" && refusal?.kind == .unavailable && refusal?.remedy.isEmpty == false
        }
        let (_, claim) = try office.claim("centre", TestOffice.first, before)
        try office.write("centre") { desk, transaction in
            try desk.escalate(before, claim: claim.number, reason: .personal, by: TestOffice.first, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("subject-77", before)?.state == .queuedL2)
        #expect(try office.write("centre") { _, transaction in try Draining.end(in: transaction) })
        _ = try office.accept()
    }

    @Test("An escalation to a home that drains is the first line's again; what is at home there is answered")
    func escalation() throws {
        let office = try TestOffice()
        let person = TestOffice.second("OSZN/77")
        let before = try office.escalated(.personal)
        try drain(office, "subject-77")
        let id = try office.escalated(.personal)
        #expect(try office.appeal("subject-77", id) == nil)
        let back = try #require(try office.appeal("centre", id))
        #expect(back.state == .queuedL1 && back.owner == "centre")
        let story = try office.read("centre") { transaction throws(StoreError) in
            try AppealLookup.events(of: id, in: transaction)
        }
        #expect(story.last?.event == .rejected && story.last?.code == "draining")
        let (_, claim) = try office.claim("subject-77", person, before)
        try office.write("subject-77") { desk, transaction in
            _ = try desk.confirmIdentity(
                before, claim: claim.number, citizen: JourneyTests.citizen, by: person, in: transaction)
            _ = try desk.answer(
                before, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", before)?.outcome == "answered")
        #expect(try office.write("subject-77") { _, transaction in try Draining.end(in: transaction) })
        let again = try office.escalated(.personal)
        #expect(try office.appeal("subject-77", again)?.owner == "subject-77")
    }

    @Test(
        "Begun twice is begun once; a store that was put back as a new life drains no more, for it must take what comes"
    )
    func lives() throws {
        let office = try TestOffice()
        try drain(office, "subject-77")
        let seen = try office.write("subject-77") { _, transaction in
            var seen = [try Draining.begin(in: transaction), try Draining.since(in: transaction) != nil]
            try transaction.setNumber(
                MetaKey.incarnationCount, try transaction.number(MetaKey.incarnationCount) + 1)
            seen += [try Draining.since(in: transaction) != nil, try Draining.end(in: transaction)]
            return seen
        }
        #expect(seen == [false, true, false, false])
    }

    @Test("Queues are counted by tenancy, with what is overdue and how old the oldest is")
    func queues() throws {
        let office = try TestOffice()
        _ = try office.accept()
        let received = Timestamp(milliseconds: office.now)
        _ = try office.escalated(.personal)
        office.now += 1_000
        _ = try office.escalated(.personal)
        func list(_ name: String, at now: Int64) throws -> [QueueSummary] {
            try office.read(name) { transaction throws(StoreError) in
                try QueueSummary.list(at: Timestamp(milliseconds: now), in: transaction)
            }
        }
        #expect(
            try list("centre", at: office.now + 1 << 40)
                == [QueueSummary(tenancy: "L1", waiting: 1, overdue: 0, oldest: received)])
        let home = QueueSummary(tenancy: "OSZN/77", waiting: 2, overdue: 0, oldest: received)
        #expect(try list("subject-77", at: office.now) == [home])
        // Four hours: the first is due, the second in a second.
        let due = office.now + 240 * 60_000 - 500
        #expect(try list("subject-77", at: due).map(\.overdue) == [1])
    }
}
