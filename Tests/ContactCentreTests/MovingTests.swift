import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

/// Homes that move, and line 2 of MSE that passes to line 2.1: one owner at every instant, nothing twice, nothing lost.
@Suite("From one home to another")
struct MovingTests {
    /// PFR of subject 77 is at subject 78 from the day on which the office opens.
    private func moving(_ text: String) -> String {
        text.replacing(
            #"{"organisation": "PFR", "subjects": ["77"], "tenancy": "PFR/77", "from": "2022-01-01"}"#,
            with: #"{"organisation": "PFR", "subjects": ["77"], "tenancy": "PFR/77", "from": "2022-01-01", "#
                + #""to": "2026-11-25"}, {"organisation": "PFR", "subjects": ["77"], "tenancy": "PFR/78", "#
                + #""from": "2026-11-25"}"#)
    }

    private static let old = TestOffice.second("PFR/77")
    private static let new = TestOffice.second("PFR/78")

    /// The office on the day before the move.
    private func office() throws -> TestOffice {
        let office = try TestOffice(moving)
        // 2026-11-24, noon.
        office.now = 1_795_521_600_000
        return office
    }

    private func dayBegins(_ office: TestOffice) throws {
        office.now += 24 * 3_600_000
        try follow(office, "subject-77")
    }

    private func follow(_ office: TestOffice, _ name: String) throws {
        let (desk, now) = (try office.place(name).desk, Timestamp(milliseconds: office.now))
        let found = try office.read(name) { transaction throws(StoreError) in
            try desk.moved(after: [], at: now, in: transaction).found
        }
        try office.write(name) { desk, transaction in try desk.pass(found, in: transaction) }
        try passTime(office, name)
    }

    private func passTime(_ office: TestOffice, _ name: String) throws {
        try office.write(name) { desk, transaction in while try desk.passTime(in: transaction) {} }
    }

    private func count(_ office: TestOffice, _ name: String, _ table: Table) throws -> Int {
        try office.read(name) { transaction throws(StoreError) in try transaction.count(table) }
    }

    @Test("What waits follows, under a raised epoch, and what was promised stays promised")
    func waiting() throws {
        let office = try office()
        let id = try office.escalated(.personal, "PFR")
        let due = try #require(try office.appeal("subject-77", id)?.dueAt)
        office.now += 3_600_000
        try follow(office, "subject-77")
        #expect(try office.appeal("subject-77", id)?.owner == "subject-77", "it is not the day yet")
        try dayBegins(office)
        #expect(try office.appeal("subject-77", id)?.state == .escalating)
        #expect(try count(office, "subject-77", .text) == 1, "until the new home has it")
        try office.courier()
        let (old, new) = (
            try #require(try office.appeal("subject-77", id)), try #require(try office.appeal("subject-78", id))
        )
        #expect(old.state == .handedOver && old.owner == nil && old.home == "subject-78" && old.ownershipEpoch == 3)
        #expect(new.state == .queuedL2 && new.owner == "subject-78" && new.ownershipEpoch == 3)
        #expect(new.tenancy == "PFR/78" && new.dueAt == due)
        let centre = try #require(try office.appeal("centre", id))
        #expect(centre.home == "subject-78" && centre.ownershipEpoch == 3 && centre.tenancy == "PFR/78")
        for table in [Table.queue, .text, .claims, .citizens] { #expect(try count(office, "subject-77", table) == 0) }
        // Nobody at the old home may touch it, the new home answers, and the centre hears it.
        #expect(throws: DomainError.self) { try office.claim("subject-77", MovingTests.old, id) }
        try answer(office, id)
        #expect(try office.appeal("centre", id)?.outcome == "answered")
        #expect(try office.appeal("centre", id)?.state == .resolved)
    }

    private func answer(_ office: TestOffice, _ id: AppealID) throws {
        let (_, claim) = try office.claim("subject-78", MovingTests.new, id)
        try office.write("subject-78") { desk, transaction in
            _ = try desk.confirmIdentity(
                id, claim: claim.number, citizen: MovingTests.citizen, by: MovingTests.new, in: transaction)
            return try desk.answer(
                id, claim: claim.number, text: "Да.", delivery: "call", by: MovingTests.new, in: transaction)
        }
        try office.courier()
    }

    private static let citizen = CitizenRecord(
        name: "Образцова Мария", birthDate: "1960-02-29", snils: "112-233-445 95", phone: nil, address: nil)

    @Test("Who is at work on one goes on; released, it follows, and what was found out stays nowhere else")
    func working() throws {
        let office = try office()
        let answered = try office.escalated(.personal, "PFR")
        let released = try office.escalated(.personal, "PFR")
        var claims: [AppealID: Int] = [:]
        for id in [answered, released] {
            let (_, claim) = try office.claim("subject-77", MovingTests.old, id)
            claims[id] = claim.number
            try office.write("subject-77") { desk, transaction in
                try desk.confirmIdentity(
                    id, claim: claim.number, citizen: MovingTests.citizen, by: MovingTests.old, in: transaction)
            }
        }
        office.now += 12 * 3_600_000 - 60_000
        for id in [answered, released] { try renew(office, id, try #require(claims[id])) }
        office.now += 120_000
        try follow(office, "subject-77")
        try office.write("subject-77") { desk, transaction in
            _ = try desk.answer(
                answered, claim: claims[answered] ?? 0, text: "Да.", delivery: "call", by: MovingTests.old,
                in: transaction)
            return try desk.release(released, claim: claims[released] ?? 0, by: MovingTests.old, in: transaction)
        }
        try passTime(office, "subject-77")
        try office.courier()
        #expect(try office.appeal("centre", answered)?.home == "subject-77")
        #expect(try office.appeal("centre", answered)?.outcome == "answered")
        #expect(try office.appeal("subject-78", answered) == nil)
        #expect(try office.appeal("centre", released)?.home == "subject-78")
        // The citizen of the answered one is at the old home, of the other nowhere until the new home has asked.
        #expect(try count(office, "subject-77", .citizens) == 1)
        #expect(try count(office, "subject-78", .citizens) == 0)
        try answer(office, released)
        #expect(try count(office, "subject-78", .citizens) == 1)
    }

    /// A lease is 15 minutes: the person claims again.
    private func renew(_ office: TestOffice, _ id: AppealID, _ number: Int) throws {
        let now = office.now
        try office.write("subject-77") { _, transaction in
            let claim = Claim(operator: MovingTests.old.name, number: number, until: now + 900_000)
            try AppealRows.write(claim, .claims, id.key, in: transaction)
        }
    }

    @Test("One that was on its way is forwarded as it comes")
    func onItsWay() throws {
        let office = try office()
        let id = try office.accept("PFR")
        let (_, claim) = try office.claim("centre", TestOffice.first, id)
        try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: claim.number, reason: .personal, by: TestOffice.first, in: transaction)
        }
        office.now += 24 * 3_600_000
        try office.courier()
        #expect(try office.appeal("subject-77", id)?.state == .handedOver)
        #expect(try office.appeal("subject-78", id)?.owner == "subject-78")
        try answer(office, id)
        #expect(try office.appeal("centre", id)?.outcome == "answered")
    }

    @Test("A home that refuses leaves it where it was, and the centre hears its answer from there")
    func refused() throws {
        let office = try office()
        let id = try office.escalated(.personal, "PFR")
        try dayBegins(office)
        // What comes back is a refusal.
        let record = try #require(try office.appeal("subject-77", id))
        var body = EscalationBody(record, history: try History(TestOffice.said).bytes)
        body.tenancy = "PFR/78"
        try office.write("subject-77") { desk, transaction in
            try desk.takeBack(body, code: "line-not-served", in: transaction)
        }
        let back = try #require(try office.appeal("subject-77", id))
        #expect(back.state == .queuedL2 && back.owner == "subject-77" && back.ownershipEpoch == 4 && back.home == nil)
        #expect(try count(office, "subject-77", .queue) == 1)
    }

    @Test("Line 2 of MSE passes to line 2.1 in the subject, which asks who it is")
    func lineTwoOne() throws {
        let office = try TestOffice()
        let id = try office.escalated(.special, "MSE")
        let person = TestOffice.second("MSE/centre")
        let (_, claim) = try office.claim("cc-mse", person, id)
        try office.write("cc-mse") { desk, transaction in
            try desk.passToSubject(id, claim: claim.number, by: person, in: transaction)
        }
        try office.courier()
        let home = try #require(try office.appeal("subject-77", id))
        #expect(home.state == .queuedL21 && home.line == "2.1" && home.reason == .personal)
        #expect(try office.appeal("centre", id)?.home == "subject-77")
        #expect(try office.appeal("centre", id)?.reason == .personal)
        let local = TestOffice.second("MSE/77", "2.1")
        let (claimed, second) = try office.claim("subject-77", local, id)
        #expect(claimed.state == .identityCheck)
        try office.write("subject-77") { desk, transaction in
            _ = try desk.confirmIdentity(
                id, claim: second.number, citizen: MovingTests.citizen, by: local, in: transaction)
            return try desk.answer(
                id, claim: second.number, text: "Тайна", delivery: "letter", by: local, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", id)?.outcome == "answered")
        #expect(
            try office.read("centre") { transaction throws(StoreError) in
                try transaction.get(.text, AppealRows.answerKey(id))
            } == nil, "of a PERSONAL one the centre hears no word")
    }

    @Test(
        "Nobody else passes to line 2.1",
        arguments: [("FSS", "FSS/centre", "cc-fss"), ("MSE", "MSE/77", "subject-77")])
    func notPassed(_ organisation: String, _ tenancy: String, _ node: String) throws {
        let office = try TestOffice()
        let isHome = tenancy == "MSE/77"
        let id = try office.escalated(isHome ? .personal : .special, organisation)
        let person = TestOffice.second(tenancy, isHome ? "2.1" : "2")
        let (_, claim) = try office.claim(node, person, id)
        #expect {
            try office.write(node) { desk, transaction in
                try desk.passToSubject(id, claim: claim.number, by: person, in: transaction)
            }
        } throws: { ($0 as? DomainError)?.code == "no-line-2.1" }
    }

    @Test("The new home gives back, and it may be escalated again")
    func returned() throws {
        let office = try office()
        let id = try office.escalated(.personal, "PFR")
        try dayBegins(office)
        try office.courier()
        let (_, claim) = try office.claim("subject-78", MovingTests.new, id)
        try office.write("subject-78") { desk, transaction in
            _ = try desk.confirmIdentity(
                id, claim: claim.number, citizen: MovingTests.citizen, by: MovingTests.new, in: transaction)
            return try desk.giveBack(id, claim: claim.number, code: "general", by: MovingTests.new, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", id)?.state == .queuedL1)
        let (_, first) = try office.claim("centre", TestOffice.first, id)
        try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: first.number, reason: .personal, by: TestOffice.first, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("subject-78", id)?.state == .queuedL2)
        try answer(office, id)
        #expect(try office.appeal("centre", id)?.outcome == "answered")
    }

    @Test("An old home that was put back from before the move hears that it has it no more")
    func putBack() throws {
        let office = try office()
        let id = try office.escalated(.personal, "PFR")
        let before = try #require(try office.appeal("subject-77", id))
        try dayBegins(office)
        let backup = before
        try office.courier()
        try office.write("subject-77") { desk, transaction in
            try desk.save(backup, id, in: transaction)
            try desk.enqueue(backup, id, in: transaction)
            _ = try desk.askWhatIsMine(after: [], in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("subject-77", id)?.owner == nil)
        #expect(try office.appeal("subject-78", id)?.owner == "subject-78")
        #expect(try count(office, "subject-77", .queue) == 0)
    }

    @Test("A home that has forgotten its answer gets it from the centre when the old home sends once more")
    func sentOnceMore() throws {
        let office = try office()
        let id = try office.escalated(.personal, "PFR")
        try dayBegins(office)
        try office.courier()
        let queued = try #require(try office.appeal("subject-78", id))
        try answer(office, id)
        let body = EscalationBody(queued, history: try History(TestOffice.said).bytes)
        try office.write("subject-78") { desk, transaction in
            // As if it had never come: put back from before.
            try transaction.delete(.appeals, id.key)
            try desk.receive(body, from: NodeID("subject-77") ?? desk.node, under: 1, in: transaction)
        }
        try office.courier()
        let home = try #require(try office.appeal("subject-78", id))
        #expect(home.state == .resolved && home.outcome == "answered")
        #expect(try count(office, "subject-78", .queue) == 0)
    }

    @Test("A stranger takes nothing: not by a claim, not by passing on what is not its own")
    func strangers() throws {
        let office = try office()
        let id = try office.escalated(.personal, "OSZN")
        let appeal = try #require(try office.appeal("subject-77", id))
        // 78 has OSZN, but not of this subject.
        var mine = try #require(StatusBody.Mine(appeal))
        mine.ownershipEpoch = 9
        mine.tenancy = "OSZN/78"
        let body = StatusBody(mine: [mine])
        #expect(throws: Rejection("wrong-home"), "it may be right by a topology that is to come") {
            try claim(body, by: "subject-78", under: 2, office)
        }
        try claim(body, by: "subject-78", under: 1, office)
        #expect(try office.appeal("centre", id)?.home == "subject-77")
        var forged = EscalationBody(appeal, history: try History(TestOffice.said).bytes)
        forged.ownershipEpoch = 9
        let again = forged
        for origin in ["subject-78", "cc-fss"] {
            #expect(throws: Rejection("not-allowed")) {
                try office.write("subject-77") { desk, transaction in
                    try desk.receive(again, from: NodeID(origin) ?? desk.node, under: 1, in: transaction)
                }
            }
        }
        #expect(try office.appeal("subject-77", id)?.ownershipEpoch == 2)
    }

    @Test("Another tenancy of the same node takes over without a journey")
    func sameNode() throws {
        let office = try TestOffice { text in
            self.moving(text).replacing(
                #"{"id": "PFR/77", "organisation": "PFR", "node": "subject-77""#,
                with: #"{"id": "PFR/77", "organisation": "PFR", "node": "subject-78""#)
        }
        office.now = 1_795_521_600_000
        let id = try office.escalated(.personal, "PFR")
        office.now += 24 * 3_600_000
        try follow(office, "subject-78")
        try office.courier()
        let appeal = try #require(try office.appeal("subject-78", id))
        #expect(appeal.tenancy == "PFR/78" && appeal.ownershipEpoch == 3 && appeal.state == .queuedL2)
        #expect(try count(office, "subject-78", .queue) == 1)
        #expect(try office.appeal("centre", id)?.tenancy == "PFR/78")
        try answer(office, id)
        #expect(try office.appeal("centre", id)?.outcome == "answered")
    }

    private func claim(_ body: StatusBody, by home: String, under version: UInt64, _ office: TestOffice) throws {
        try office.write("centre") { desk, transaction in
            try desk.statusCame(body, from: NodeID(home) ?? desk.node, under: version, in: transaction)
        }
    }

    /// What a node says that it has.
    private func mine(_ id: AppealID, _ epoch: Int, _ tenancy: String, _ reason: EscalationReason = .personal)
        -> StatusBody
    {
        StatusBody(mine: [.init(id: id.description, ownershipEpoch: epoch, tenancy: tenancy, reason: reason)])
    }

    @Test("A home that has ended takes nothing back by saying so, and nobody takes from the first line")
    func formerHome() throws {
        let office = try office()
        let id = try office.escalated(.personal, "PFR")
        let waits = try office.accept("PFR")
        try dayBegins(office)
        try office.courier()
        try claim(mine(id, 10, "PFR/77"), by: "subject-77", under: 1, office)
        try claim(mine(waits, 10, "PFR/78"), by: "subject-78", under: 1, office)
        try office.courier()
        #expect(try office.appeal("centre", id)?.home == "subject-78")
        #expect(try office.appeal("subject-78", id)?.state == .queuedL2)
        #expect(try office.appeal("centre", waits)?.owner == "centre")
        // Nor does an epoch beyond all sense come in.
        try claim(mine(id, 900_000, "PFR/78"), by: "subject-78", under: 1, office)
        #expect(try office.appeal("centre", id)?.ownershipEpoch == 3)
    }

    @Test("One claim that nobody believes leaves the others of its message alone")
    func page() throws {
        let office = try office()
        let (one, other) = (try office.escalated(.personal, "OSZN"), try office.escalated(.personal, "PFR"))
        try dayBegins(office)
        try office.courier()
        let wrong = try #require(mine(one, 9, "PFR/78").mine)
        let right = try #require(mine(other, 7, "PFR/78").mine)
        try claim(StatusBody(mine: wrong + right), by: "subject-78", under: 1, office)
        #expect(try office.appeal("centre", one)?.home == "subject-77")
        #expect(try office.appeal("centre", other)?.ownershipEpoch == 7)
    }

    @Test("Answers and returns are for the centre: a former home takes neither")
    func answersForTheCentre() throws {
        let office = try office()
        let id = try office.escalated(.personal, "PFR")
        try dayBegins(office)
        try office.courier()
        let before = try office.appeal("subject-77", id)
        let history = String(decoding: try History(TestOffice.said).bytes, as: UTF8.self)
        let back = try MessageBody.encode(
            ReturnBody(id: id.description, ownershipEpoch: 4, code: "general", history: history))
        let answer = try MessageBody.encode(
            AnswerBody(id: id.description, ownershipEpoch: 3, outcome: "answered", at: 1, text: "Тайна"))
        try office.write("subject-78") { desk, transaction in
            let to = NodeID("subject-77") ?? desk.node
            try desk.sender.send(.returned, id: ID128(high: 1, low: 1), to: to, body: back, in: transaction)
            try desk.sender.send(.answer, id: ID128(high: 1, low: 2), to: to, body: answer, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("subject-77", id) == before)
        for table in [Table.queue, .text] { #expect(try count(office, "subject-77", table) == 0) }
    }

    @Test("A home that was put back and believes that it has the appeal leaves it with whoever passes it on")
    func ownedHere() throws {
        let office = try TestOffice()
        // Personal first, given back, then special: the centre of MSE passes it to the subject once more.
        let id = try office.escalated(.personal, "MSE")
        let old = try #require(try office.appeal("subject-77", id))
        let local = TestOffice.second("MSE/77", "2.1")
        let (_, claim) = try office.claim("subject-77", local, id)
        try office.write("subject-77") { desk, transaction in
            _ = try desk.confirmIdentity(
                id, claim: claim.number, citizen: MovingTests.citizen, by: local, in: transaction)
            return try desk.giveBack(id, claim: claim.number, code: "general", by: local, in: transaction)
        }
        try office.courier()
        let (_, first) = try office.claim("centre", TestOffice.first, id)
        try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: first.number, reason: .special, by: TestOffice.first, in: transaction)
        }
        try office.courier()
        let person = TestOffice.second("MSE/centre")
        let (_, second) = try office.claim("cc-mse", person, id)
        // The subject's disk is an older one.
        try office.write("subject-77") { desk, transaction in
            try desk.save(old, id, in: transaction)
            try desk.enqueue(old, id, in: transaction)
            try transaction.put(.text, id.key, try History(TestOffice.said).bytes)
        }
        try office.write("cc-mse") { desk, transaction in
            try desk.passToSubject(id, claim: second.number, by: person, in: transaction)
        }
        try office.courier()
        try office.write("subject-77") { desk, transaction in
            _ = try desk.askWhatIsMine(after: [], in: transaction)
        }
        try office.courier()
        let kept = try #require(try office.appeal("cc-mse", id))
        #expect(kept.state == .queuedL2 && kept.owner == "cc-mse")
        #expect(try count(office, "cc-mse", .text) == 1)
        #expect(try office.appeal("subject-77", id)?.owner == nil)
        #expect(try office.appeal("centre", id)?.home == "cc-mse")
    }
}
