import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

/// A home that is put back from a backup hears from the centre what it has forgotten.
@Suite("A home that was put back")
struct ReconcilingTests {
    private func working(_ office: TestOffice) throws -> (AppealID, Claim, Operator) {
        let id = try office.escalated(.special, "MSE")
        let person = TestOffice.second("MSE/centre")
        let (_, claim) = try office.claim("cc-mse", person, id)
        return (id, claim, person)
    }

    private func putBack(_ office: TestOffice, _ tables: MemoryEngine.Tables) throws {
        try office.place("cc-mse").engine.restore(tables)
        try office.write("cc-mse") { desk, transaction in
            var last: [UInt8]? = []
            while let start = last { last = try desk.askWhatIsMine(after: start, in: transaction) }
        }
        try office.courier()
    }

    @Test("What it had answered is concluded: nobody answers the citizen twice")
    func answered() throws {
        let office = try TestOffice()
        let (id, claim, person) = try working(office)
        let backup = try office.place("cc-mse").engine.committed
        try office.write("cc-mse") { desk, transaction in
            try desk.answer(id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        try putBack(office, backup)
        let home = try #require(try office.appeal("cc-mse", id))
        #expect(home.state == .resolved && home.outcome == "answered" && home.owner == "cc-mse")
        #expect(try office.read("cc-mse") { transaction throws(StoreError) in try transaction.count(.queue) } == 0)
        #expect(try office.read("cc-mse") { transaction throws(StoreError) in try transaction.count(.claims) } == 0)
    }

    @Test("What it had given back is the centre's alone")
    func returned() throws {
        let office = try TestOffice()
        let (id, claim, person) = try working(office)
        let backup = try office.place("cc-mse").engine.committed
        try office.write("cc-mse") { desk, transaction in
            try desk.giveBack(id, claim: claim.number, code: "general", by: person, in: transaction)
        }
        try office.courier()
        try putBack(office, backup)
        #expect(try office.appeal("cc-mse", id)?.owner == nil)
        #expect(try office.appeal("cc-mse", id)?.state == .returnedL1)
        #expect(try office.appeal("centre", id)?.owner == "centre")
        // And it may come again.
        let (_, again) = try office.claim("centre", TestOffice.first, id)
        try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: again.number, reason: .special, by: TestOffice.first, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("cc-mse", id)?.state == .queuedL2)
    }

    @Test("What is still its own stays as it is")
    func own() throws {
        let office = try TestOffice()
        let (id, claim, person) = try working(office)
        try putBack(office, try office.place("cc-mse").engine.committed)
        #expect(try office.appeal("cc-mse", id)?.state == .active)
        try office.write("cc-mse") { desk, transaction in
            try desk.answer(id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", id)?.outcome == "answered")
    }

    @Test("Only the centre tells, and a home asks of its own")
    func strangers() throws {
        let office = try TestOffice()
        let (id, _, _) = try working(office)
        let told = StatusBody(told: [.init(id: id.description, ownershipEpoch: 9, outcome: "answered", at: 1)])
        try office.write("subject-77") { desk, transaction in
            try desk.sender.send(
                .status, id: ID128(high: 1, low: 1), to: NodeID("cc-mse") ?? .everyone,
                body: try MessageBody.encode(told), in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("cc-mse", id)?.state == .active)
    }
}
