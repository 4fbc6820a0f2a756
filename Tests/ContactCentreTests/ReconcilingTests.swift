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

    /// Its disk is an older one; it asks, and is told.
    private func putBack(_ office: TestOffice, _ tables: MemoryEngine.Tables, _ id: AppealID) throws {
        let home = try #require(NodeID("cc-mse"))
        try office.place("cc-mse").engine.restore(tables)
        let before = try office.read("cc-mse") { transaction throws(StoreError) in
            try Sessions.streams(in: transaction).reduce(0) { $0 + $1.row.last }
        }
        try office.write("cc-mse") { desk, transaction in
            var last: [UInt8]? = []
            while let start = last { last = try desk.askWhatIsMine(after: start, in: transaction) }
        }
        // One message is on its way: here it is carried by hand, for in this office nobody gets a new life.
        let after = try office.read("cc-mse") { transaction throws(StoreError) in
            try Sessions.streams(in: transaction).reduce(0) { $0 + $1.row.last }
        }
        #expect(after == before + 1)
        let epoch = try #require(try office.appeal("cc-mse", id)?.ownershipEpoch)
        let known = try office.write("centre") { desk, transaction in
            try desk.standing(id.description, epoch, at: home, in: transaction)
        }
        try office.write("cc-mse") { desk, transaction in
            try desk.statusCame(
                StatusBody(told: known.map { [$0] } ?? []), from: desk.centre, under: 1, in: transaction)
        }
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
        try putBack(office, backup, id)
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
        try putBack(office, backup, id)
        #expect(try office.appeal("cc-mse", id)?.owner == nil)
        #expect(try office.appeal("cc-mse", id)?.state == .returnedL1)
        #expect(try office.appeal("centre", id)?.owner == "centre")
    }

    @Test("A centre that was put back hears who has what, and what was answered", arguments: [false, true])
    func centre(isAnswered: Bool) throws {
        let office = try TestOffice()
        let id = try office.accept("MSE")
        let backup = try office.appeal("centre", id)
        let (_, first) = try office.claim("centre", TestOffice.first, id)
        try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: first.number, reason: .special, by: TestOffice.first, in: transaction)
        }
        try office.courier()
        let person = TestOffice.second("MSE/centre")
        let (_, claim) = try office.claim("cc-mse", person, id)
        if isAnswered {
            try office.write("cc-mse") { desk, transaction in
                try desk.answer(id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
            }
            try office.courier()
        }
        let old = try #require(backup)
        try office.write("centre") { desk, transaction in
            _ = try transaction.nextNumber(MetaKey.incarnationCount)
            try desk.save(old, id, in: transaction)
            try desk.enqueue(old, id, in: transaction)
            try desk.askForEverything(NodeID("cc-mse") ?? desk.node, in: transaction)
        }
        try office.courier()
        let centre = try #require(try office.appeal("centre", id))
        #expect(centre.owner == nil && centre.home == "cc-mse" && centre.tenancy == "MSE/centre")
        #expect(centre.state == (isAnswered ? .resolved : .handedOver))
        #expect(try office.read("centre") { transaction throws(StoreError) in try transaction.count(.queue) } == 0)
        #expect(throws: DomainError.self) { try office.claim("centre", TestOffice.first) }
        guard !isAnswered else { return }
        try office.write("cc-mse") { desk, transaction in
            try desk.answer(id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", id)?.outcome == "answered")
    }

    @Test("What a home refuses after it was put back is the first line's again, with its text; not once it is answered")
    func refusedLate() throws {
        let office = try TestOffice()
        let (id, claim, person) = try working(office)
        let sent = try #require(office.delivered.first { $0.item.header.kind == .escalation })
        let body = try MessageBody.decode(EscalationBody.self, try EnvelopeCodec.decode(sent.item.bytes))
        let before = try office.place("centre").engine.committed
        try office.write("centre") { desk, transaction in
            try desk.takeBack(body, code: "wrong-home", in: transaction)
        }
        let appeal = try #require(try office.appeal("centre", id))
        #expect(appeal.owner == "centre" && appeal.state == .queuedL1 && appeal.ownershipEpoch > body.ownershipEpoch)
        let (claimed, _) = try office.claim("centre", TestOffice.first, id)
        #expect(claimed.id == id.description)
        try office.place("centre").engine.restore(before)
        try office.write("cc-mse") { desk, transaction in
            try desk.answer(id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        try office.write("centre") { desk, transaction in
            try desk.takeBack(body, code: "wrong-home", in: transaction)
        }
        #expect(try office.appeal("centre", id)?.state == .resolved)
    }

    @Test(
        "What nobody could give a home again is the first line's again, with its text while that is kept",
        arguments: [false, true])
    func lost(textIsGone: Bool) throws {
        let office = try TestOffice()
        let kept = try office.escalated(.special, "MSE")
        let withIt = try office.place("cc-mse").engine.committed
        let gone = try office.escalated(.special, "MSE")
        let elsewhere = try office.escalated(.personal, "OSZN")
        // Of two it knows one again; streams are as they were: in this office nobody gets a new life.
        var tables = try office.place("cc-mse").engine.committed
        tables[.appeals] = withIt[.appeals]
        try office.place("cc-mse").engine.restore(tables)
        if textIsGone {
            office.now += 25 * 3_600_000
            try office.write("centre") { desk, transaction in
                while try desk.passTime(in: transaction) {}
            }
        }
        try office.write("centre") { desk, transaction in
            try desk.lost(at: NodeID("cc-mse") ?? .everyone, in: transaction)
            while try desk.passTime(in: transaction) {}
        }
        try office.courier()
        #expect(try office.appeal("centre", kept)?.state == .handedOver)
        #expect(try office.appeal("centre", elsewhere)?.state == .handedOver)
        let back = try #require(try office.appeal("centre", gone))
        #expect(back.state == .queuedL1 && back.owner == "centre" && back.home == nil)
        let (claimed, _) = try office.claim("centre", TestOffice.first)
        #expect(claimed.id == gone.description)
        let text = try office.read("centre") { transaction throws(StoreError) in try transaction.get(.text, gone.key) }
        #expect(String(decoding: text ?? [], as: UTF8.self).contains(textIsGone ? "утрачен" : "отказали"))
        // A second answer, or a late one, changes nothing.
        try office.write("centre") { desk, transaction in
            try desk.takeBackLost(
                .init(id: gone.description, ownershipEpoch: back.ownershipEpoch - 1),
                from: NodeID("cc-mse") ?? .everyone, in: transaction)
        }
        #expect(try office.appeal("centre", gone)?.state == .activeL1)
    }

    @Test("What is still its own stays as it is")
    func own() throws {
        let office = try TestOffice()
        let (id, claim, person) = try working(office)
        try putBack(office, try office.place("cc-mse").engine.committed, id)
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
