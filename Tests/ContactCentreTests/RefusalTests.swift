import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

/// What is refused goes nowhere half way: what was given up comes back, and what cannot be meant is said so.
@Suite("What is refused, and what then")
struct RefusalTests {
    private func refused(_ code: String, _ body: () throws -> Any) {
        #expect { _ = try body() } throws: { ($0 as? DomainError)?.code == code }
    }

    private func active(_ office: TestOffice, _ person: Operator) throws -> (AppealID, Claim) {
        let id = try office.escalated(.personal)
        let (_, claim) = try office.claim("subject-77", person, id)
        try office.write("subject-77") { desk, transaction in
            try desk.confirmIdentity(
                id, claim: claim.number, citizen: JourneyTests.citizen, by: person, in: transaction)
        }
        return (id, claim)
    }

    /// The centre has forgotten that it handed the appeal over: what comes from the home now is refused.
    private func forget(_ id: AppealID, _ office: TestOffice) throws {
        try office.write("centre") { desk, transaction in
            guard var appeal = try desk.appeal(id, in: transaction) else { return }
            appeal.home = nil
            try desk.save(appeal, id, in: transaction)
        }
    }

    @Test("A return that the centre refuses is the home's again, with its history and under the same epoch")
    func refusedReturn() throws {
        let office = try TestOffice()
        let person = TestOffice.second("OSZN/77")
        let (id, claim) = try active(office, person)
        try forget(id, office)
        try office.write("subject-77") { desk, transaction in
            try desk.giveBack(id, claim: claim.number, code: "general", by: person, in: transaction)
        }
        #expect(try office.appeal("subject-77", id)?.owner == nil)
        try office.courier()
        let back = try #require(try office.appeal("subject-77", id))
        #expect(back.state == .queuedL2 && back.owner == "subject-77" && back.ownershipEpoch == 2)
        let text = try office.read("subject-77") { transaction throws(StoreError) in
            try transaction.get(.text, id.key)
        }
        #expect(text == (try History(TestOffice.said)).bytes)
        let story = try office.read("subject-77") { transaction throws(StoreError) in
            try AppealLookup.events(of: id, in: transaction)
        }
        #expect(story.last?.event == .rejected && story.last?.code == "stale-owner")
        #expect(try office.claim("subject-77", person).0.id == id.description)
    }

    @Test("An answer that the centre refuses is noted at the home")
    func refusedAnswer() throws {
        let office = try TestOffice()
        let person = TestOffice.second("OSZN/77")
        let (id, claim) = try active(office, person)
        try forget(id, office)
        try office.write("subject-77") { desk, transaction in
            try desk.answer(id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        let story = try office.read("subject-77") { transaction throws(StoreError) in
            try AppealLookup.events(of: id, in: transaction)
        }
        #expect(story.last?.event == .rejected && story.last?.code == "stale-owner")
        #expect(try office.appeal("subject-77", id)?.state == .resolved)
    }

    /// The centre's store was put back from before it handed the appeal over: it does so again.
    private func handOverAgain(_ id: AppealID, _ office: TestOffice) throws {
        let (_, claim) = try office.claim("centre", TestOffice.first, id)
        try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: claim.number, reason: .personal, by: TestOffice.first, in: transaction)
        }
        try office.courier()
    }

    /// As `backup restore` does it: an older row, in a new life.
    private func putBack(_ id: AppealID, _ office: TestOffice, epoch: Int) throws {
        try office.write("centre") { desk, transaction in
            _ = try transaction.nextNumber(MetaKey.incarnationCount)
            guard var appeal = try desk.appeal(id, in: transaction) else { return }
            (appeal.state, appeal.owner, appeal.tenancy, appeal.home) = (.queuedL1, "centre", nil, nil)
            (appeal.reason, appeal.ownershipEpoch, appeal.outcome) = (nil, epoch, nil)
            try transaction.put(.text, id.key, try History(TestOffice.said).bytes)
            try desk.enqueue(appeal, id, in: transaction)
            try desk.save(appeal, id, in: transaction)
        }
    }

    @Test(
        "A centre that was put back and hands over once more has one owner after it, and hears what was answered",
        arguments: [1, 5])
    func handedOverTwice(epoch: Int) throws {
        let office = try TestOffice()
        let person = TestOffice.second("OSZN/77")
        let (id, claim) = try active(office, person)
        try putBack(id, office, epoch: epoch)
        try handOverAgain(id, office)
        let home = try #require(try office.appeal("subject-77", id))
        // Who is at work on it goes on, under the epoch that the centre knows now.
        #expect(home.state == .active && home.owner == "subject-77" && home.ownershipEpoch == 1001)
        #expect(try office.appeal("centre", id)?.owner == nil && office.appeal("centre", id)?.state == .handedOver)
        try office.write("subject-77") { desk, transaction in
            try desk.answer(id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", id)?.outcome == "answered")

        // And once more, when all is answered, under the same epoch or a later one.
        try putBack(id, office, epoch: epoch == 1 ? 1 : epoch + 3)
        try handOverAgain(id, office)
        #expect(try office.appeal("centre", id)?.outcome == "answered")
        #expect(try office.appeal("subject-77", id)?.answer == "Да.")
        refused("queue-empty") { try office.claim("subject-77", person) }
    }

    @Test("What a home has given back to a centre that was put back since comes to it again, and is somebody's")
    func givenBackAndForgotten() throws {
        let office = try TestOffice()
        let person = TestOffice.second("OSZN/77")
        let (id, claim) = try active(office, person)
        try office.write("subject-77") { desk, transaction in
            try desk.giveBack(id, claim: claim.number, code: "general", by: person, in: transaction)
        }
        try office.courier()
        try putBack(id, office, epoch: 1)
        try handOverAgain(id, office)
        let home = try #require(try office.appeal("subject-77", id))
        #expect(home.state == .queuedL2 && home.owner == "subject-77" && home.ownershipEpoch == 1001)
        #expect(try office.appeal("centre", id)?.owner == nil)
        #expect(try office.claim("subject-77", person).0.id == id.description)
    }

    @Test("A home that has gone on with an appeal is its owner, whatever the centre has forgotten")
    func staleHandOver() throws {
        let office = try TestOffice()
        let id = try office.accept()
        var stranger = try #require(try office.appeal("centre", id))
        (stranger.ownershipEpoch, stranger.owner) = (9, nil)
        let gone = stranger
        try office.write("subject-77") { desk, transaction in try desk.save(gone, id, in: transaction) }
        try handOverAgain(id, office)
        let centre = try #require(try office.appeal("centre", id))
        #expect(centre.state == .handedOver && centre.owner == nil)
    }

    @Test("One deadline that cannot be met stops no other, and an entry of a queue that is stale no desk")
    func stale() throws {
        let office = try TestOffice()
        let id = try office.accept()
        _ = try office.claim("centre", TestOffice.first, id)
        let other = try office.accept()
        _ = try office.claim("centre", TestOffice.first, other)
        try office.write("centre") { desk, transaction in
            guard var broken = try desk.appeal(id, in: transaction) else { return }
            broken.state = .resolved
            try desk.save(broken, id, in: transaction)
            try desk.enqueue(broken, id, in: transaction)
        }
        office.now += 15 * 60_000
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try office.appeal("centre", other)?.state == .queuedL1)
        #expect(try office.claim("centre", TestOffice.first).0.id == other.description)
    }

    @Test("A lease that has run out is no reason to wait: whoever asks for the appeal gets it")
    func endedLease() throws {
        let office = try TestOffice()
        let id = try office.accept()
        let (_, old) = try office.claim("centre", TestOffice.first, id)
        office.now += 15 * 60_000
        let other = Operator(name: "o-9", desk: .firstLine)
        let (_, claim) = try office.claim("centre", other, id)
        #expect(claim.number == old.number + 1 && claim.operator == "o-9")
        let isDue = { () throws -> Bool in
            let desk = try office.place("centre").desk
            return try office.read("centre") { transaction throws(StoreError) in
                try desk.isSomethingDue(at: Timestamp(milliseconds: office.now), in: transaction)
            }
        }
        #expect(try isDue(), "the reminder of the old lease")
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try !isDue())
        #expect(try office.appeal("centre", id)?.state == .activeL1)
    }

    @Test("Two lines of one tenancy have a queue each")
    func lines() throws {
        let office = try TestOffice { text in
            text.replacing(
                "\"MSE/77\", \"organisation\": \"MSE\", \"node\": \"subject-77\", \"lines\": [\"2.1\"]",
                with: "\"MSE/77\", \"organisation\": \"MSE\", \"node\": \"subject-77\", \"lines\": [\"2\", \"2.1\"]")
        }
        _ = try office.escalated(.personal, "MSE")
        refused("queue-empty") { try office.claim("subject-77", TestOffice.second("MSE/77", "2")) }
        #expect(try office.claim("subject-77", TestOffice.second("MSE/77", "2.1")).0.state == .identityCheck)
    }

    @Test("An appeal is found by its number, with dashes or without, at the centre and at its home")
    func numbers() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal)
        let number = try #require(try office.appeal("centre", id)?.number)
        for place in ["centre", "subject-77"] {
            for text in [number, number.filter { $0 != "-" }, id.description] {
                let found = try office.read(place) { transaction throws(StoreError) in
                    try AppealLookup.id(text, in: transaction)
                }
                #expect(found == id)
            }
            for text in ["00-0000-0009-5", "00-0000-0001-4", "", "no"] {
                let found = try office.read(place) { transaction throws(StoreError) in
                    try AppealLookup.id(text, in: transaction)
                }
                #expect(found == nil)
            }
        }
    }

    @Test("A centre that was put back gives no number out twice")
    func numbersOfANewLife() throws {
        let office = try TestOffice()
        let first = try office.accept()
        try office.write("centre") { desk, transaction in
            try desk.stepNumbers(in: transaction)
            try transaction.setNumber(Array("incarnation-count".utf8), 1)
            for _ in 0..<2 { try desk.stepNumbers(in: transaction) }
        }
        let second = try office.accept()
        #expect(try office.appeal("centre", first)?.number == "00-0000-0001-3")
        #expect(try office.appeal("centre", second)?.number.hasPrefix("00-0020-0002-") == true)
    }

    @Test("Every history that intake accepts fits into an envelope", arguments: ["\"", "\\", "ю", "\u{301}", "\n"])
    func fits(_ piece: String) throws {
        let office = try TestOffice()
        let utterance = Utterance(
            at: "2026-11-24T09:15:00.123Z", author: .citizen, text: String(repeating: piece, count: 8000))
        var count = 1
        while (try? History(Array(repeating: utterance, count: count + 1))) != nil { count += 1 }
        let history = try History(Array(repeating: utterance, count: count))
        let appeal = try office.write("centre") { desk, transaction in
            let intake = Intake(
                channel: .form, site: String(repeating: "s", count: 253), organisation: "OSZN", subject: "77",
                topic: String(repeating: "t", count: 64), history: history)
            return try desk.accept(intake, in: transaction)
        }
        let id = try #require(AppealID(appeal.id))
        let (_, claim) = try office.claim("centre", TestOffice.first, id)
        try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: claim.number, reason: .personal, by: TestOffice.first, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("subject-77", id)?.state == .queuedL2)
    }

    @Test("Lengths are counted in code points: one character may be of any number of them")
    func lengths() throws {
        let long = "e" + String(repeating: "\u{301}", count: 8000)
        #expect(long.count == 1)
        #expect(throws: DomainError.self) {
            try History([Utterance(at: "2026-11-24T09:15:00.123Z", author: .citizen, text: long)])
        }
        let office = try TestOffice()
        let person = TestOffice.second("OSZN/77")
        let (id, claim) = try active(office, person)
        refused("bad-answer") {
            try office.write("subject-77") { desk, transaction in
                try desk.answer(id, claim: claim.number, text: long, delivery: "call", by: person, in: transaction)
            }
        }
    }

    @Test(
        "A citizen has a name, a birth date that has been and an insurance number",
        arguments: [
            (" ", "1960-02-29", "112-233-445 95"), ("Мария", "2099-12-31", "112-233-445 95"),
            ("Мария", "1960-02-29", "00000000000"), ("Ма\u{0}рия", "1960-02-29", "112-233-445 95"),
        ])
    func citizens(_ name: String, _ birthDate: String, _ snils: String) throws {
        let office = try TestOffice()
        let person = TestOffice.second("OSZN/77")
        _ = try office.escalated(.personal)
        let (appeal, claim) = try office.claim("subject-77", person)
        let id = try #require(AppealID(appeal.id))
        let citizen = CitizenRecord(name: name, birthDate: birthDate, snils: snils, phone: nil, address: nil)
        #expect(throws: DomainError.self) {
            try office.write("subject-77") { desk, transaction in
                try desk.confirmIdentity(id, claim: claim.number, citizen: citizen, by: person, in: transaction)
            }
        }
    }

    @Test(
        "A topic or a site is a name, and no number of a person", arguments: ["ivanov.89161234567", "Тема", "a b", ""])
    func names(_ text: String) throws {
        let office = try TestOffice()
        let history = try History(TestOffice.said)
        for (topic, site) in [(text, "fss.example"), ("family.large", text)] {
            refused("bad-name") {
                try office.write("centre") { desk, transaction in
                    try desk.accept(
                        Intake(
                            channel: .form, site: site, organisation: "OSZN", subject: "77", topic: topic,
                            history: history), in: transaction)
                }
            }
        }
    }

    @Test(
        "An entry that any node would refuse is no draft",
        arguments: [
            ("KB-1", "OSZN", "77", "family", "1", "q", "a", true),
            ("KB-1", "Bank", "77", "family", "1", "q", "a", false),
            ("KB-1", "OSZN", "zzzz", "family", "1", "q", "a", false),
            ("KB-1", "OSZN", "77", String(repeating: "t", count: 65), "1", "q", "a", false),
            ("KB-1", "OSZN", "77", "family", "1", "q", "a" + String(repeating: "\u{301}", count: 8000), false),
            ("KB-1", "OSZN", "77", "family", "1", "q", String(repeating: "😀", count: 8000), true),
            ("KB-1", "OSZN", "77", "family", "1", " ", "a", false), ("KB-1", "OSZN", "77", "", "1", "q", "a", false),
        ] as [(String, String, String, String, String, String, String, Bool)])
    func entries(_ fields: (String, String, String, String, String, String, String, Bool)) throws {
        let entry = KnowledgeEntry(
            id: fields.0, organisation: fields.1, subject: fields.2, topic: fields.3, line: fields.4,
            question: fields.5, answer: fields.6)
        #expect((entry.fault == nil) == fields.7, "\(entry.fault ?? "")")
        #expect(KnowledgeEntry.faults([entry, entry]).count == (fields.7 ? 1 : 2))
        guard fields.7 else { return }
        // What may be a draft can be published, and is taken everywhere.
        let office = try TestOffice()
        try office.write("centre") { desk, transaction in
            try Knowledge.draft(entry, in: transaction)
            _ = try Knowledge.publish(
                limit: 9, by: desk.sender, ids: { ID128(high: 1, low: 1) }, in: transaction)
        }
        let published = try office.read("centre") { transaction throws(StoreError) in
            try transaction.get(Knowledge.table, Array("eKB-1".utf8))
        }
        try office.write("subject-77") { _, transaction in
            try Knowledge.apply(EnvelopeBody(bytes: try #require(published)), in: transaction)
        }
    }
}
