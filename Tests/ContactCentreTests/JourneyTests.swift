import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

@Suite("The journey of an appeal")
struct JourneyTests {
    static let citizen = CitizenRecord(
        name: "Образцова Мария Ивановна", birthDate: "1960-02-29", snils: "112-233-445 95", phone: "+7 000 000-00-01",
        address: nil)

    private func refused(_ code: String, _ body: () throws -> Any) {
        #expect { _ = try body() } throws: { ($0 as? DomainError)?.code == code }
    }

    @Test("A PERSONAL appeal is answered at home; the centre hears outcome and time, and no text")
    func personal() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal)
        #expect(try office.appeal("centre", id)?.state == .handedOver)
        #expect(try office.appeal("centre", id)?.owner == nil)
        let home = try #require(try office.appeal("subject-77", id))
        #expect(home.state == .queuedL2 && home.owner == "subject-77" && home.ownershipEpoch == 2)
        #expect(home.dueAt == office.now + 240 * 60_000)

        let person = TestOffice.second("OSZN/77")
        let (_, claim) = try office.claim("subject-77", person)
        try office.write("subject-77") { desk, transaction in
            try desk.confirmIdentity(
                id, claim: claim.number, citizen: JourneyTests.citizen, by: person, in: transaction)
        }
        try office.write("subject-77") { desk, transaction in
            try desk.answer(
                id, claim: claim.number, text: "Пособие назначено.", delivery: "call", by: person, in: transaction)
        }
        try office.courier()
        let told = try #require(try office.appeal("centre", id))
        #expect(told.state == .resolved && told.outcome == "answered" && told.answer == nil)
        #expect(try office.appeal("subject-77", id)?.answer == "Пособие назначено.")
        #expect(
            try office.read("subject-77") { transaction throws(StoreError) in try transaction.count(.citizens) } == 1)
        #expect(try office.read("centre") { transaction throws(StoreError) in try transaction.count(.citizens) } == 0)
    }

    @Test("A SPECIAL appeal needs no identity, and its answer's text comes to the centre")
    func special() throws {
        let office = try TestOffice()
        let id = try office.escalated(.special, "MSE")
        let person = TestOffice.second("MSE/centre")
        let (appeal, claim) = try office.claim("cc-mse", person)
        #expect(appeal.state == .active)
        try office.write("cc-mse") { desk, transaction in
            try desk.answer(
                id, claim: claim.number, text: "Порядок такой.", delivery: "letter", by: person, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", id)?.answer == nil)
        func told() throws -> String? {
            var answer: String?
            try office.read("centre") { transaction throws(StoreError) in
                answer = try? office.place("centre").desk.show(id, for: TestOffice.first, in: transaction).appeal.answer
            }
            return answer
        }
        #expect(try told() == "Порядок такой.")
        // Like every text at the centre, it goes.
        office.now += 25 * 3_600_000
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try told() == nil)
        #expect(try office.read("centre") { transaction throws(StoreError) in try transaction.count(.text) } == 0)
    }

    @Test("MSE PERSONAL goes to line 2.1 in the subject")
    func line21() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal, "MSE")
        #expect(try office.appeal("subject-77", id)?.state == .queuedL21)
        refused("not-yours") { try office.claim("subject-77", TestOffice.second("OSZN/77"), id) }
        #expect(try office.claim("subject-77", TestOffice.second("MSE/77", "2.1"), id).0.state == .identityCheck)
    }

    @Test("The history's bytes at the home equal those accepted at intake")
    func history() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal)
        let bytes = try Store.read(try office.place("subject-77").engine) { transaction throws(StoreError) in
            try transaction.get(.text, id.key)
        }
        #expect(bytes == (try History(TestOffice.said)).bytes)
    }

    @Test("An answer under an old epoch is stale-owner, under an old claim stale-claim")
    func stale() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal)
        let person = TestOffice.second("OSZN/77")
        let (_, old) = try office.claim("subject-77", person)
        try office.write("subject-77") { desk, transaction in
            try desk.release(id, claim: old.number, by: person, in: transaction)
        }
        let (_, claim) = try office.claim("subject-77", person)
        refused("stale-claim") {
            try office.write("subject-77") { desk, transaction in
                try desk.refuseIdentity(id, claim: old.number, by: person, in: transaction)
            }
        }
        // The first answer counts; a second one, or one of an earlier epoch, finds the appeal gone.
        try office.write("subject-77") { desk, transaction in
            try desk.refuseIdentity(id, claim: claim.number, by: person, in: transaction)
        }
        try office.courier()
        let answer = try #require(office.delivered.lastIndex { $0.item.header.kind == .answer })
        #expect(try office.applyAgain(answer)?.code == "stale-owner")
        let escalation = try #require(office.delivered.firstIndex { $0.item.header.kind == .escalation })
        // What is at home there already is applied, and changes nothing.
        let before = try office.appeal("subject-77", id)
        #expect(try office.applyAgain(escalation) == nil)
        #expect(try office.appeal("subject-77", id) == before)
        #expect(try office.appeal("centre", id)?.outcome == "refused")
    }

    @Test("Another tenancy's appeal and an id that does not exist are the same refusal")
    func notYours() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal, "PFR")
        let nobody = AppealID(at: Timestamp(milliseconds: 1), random: ID128(high: 1, low: 1))
        var refusals: Set<DomainError> = []
        for wanted in [id, nobody] {
            do { _ = try office.claim("subject-77", TestOffice.second("OSZN/77"), wanted) } catch {
                refusals.insert(try #require(error as? DomainError))
            }
        }
        #expect(refusals.count == 1 && refusals.first?.code == "not-yours")
        refused("not-yours") { try office.claim("centre", TestOffice.first, id) }
    }

    @Test("A returned appeal is at the front with its text; the third return is refused")
    func returns() throws {
        let office = try TestOffice()
        let id = try office.escalated(.special, "ROSTRUD")
        let person = TestOffice.second("ROSTRUD/centre")
        for round in 1...2 {
            office.now += 60_000
            let other = try office.accept()
            let (_, claim) = try office.claim("cc-rostrud", person, id)
            // 25 h: the centre has let go of the text.
            office.now += 25 * 3_600_000
            _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
            #expect(
                try office.read("centre") { transaction throws(StoreError) in try transaction.get(.text, id.key) }
                    == nil)
            office.now -= 25 * 3_600_000
            try office.write("cc-rostrud") { desk, transaction in
                try desk.giveBack(id, claim: claim.number, code: "general", by: person, in: transaction)
            }
            try office.courier()
            let back = try #require(try office.appeal("centre", id))
            #expect(back.state == .queuedL1 && back.owner == "centre" && back.returns == round)
            #expect(
                try office.read("centre") { transaction throws(StoreError) in try transaction.get(.text, id.key) }
                    == (try History(TestOffice.said)).bytes)
            // In front of one that came before it was back.
            let (first, again) = try office.claim("centre", TestOffice.first)
            #expect(first.id == id.description && first.id != other.description)
            try office.write("centre") { desk, transaction in
                try desk.escalate(id, claim: again.number, reason: .special, by: TestOffice.first, in: transaction)
            }
            try office.courier()
        }
        let (_, claim) = try office.claim("cc-rostrud", person, id)
        refused("too-many-returns") {
            try office.write("cc-rostrud") { desk, transaction in
                try desk.giveBack(id, claim: claim.number, code: "general", by: person, in: transaction)
            }
        }
    }

    @Test("Leases end at their time, renewed by any act; the appeal keeps its place")
    func leases() throws {
        let office = try TestOffice()
        let id = try office.accept()
        office.now += 1000
        let later = try office.accept()
        let (_, claim) = try office.claim("centre", TestOffice.first)
        office.now += 15 * 60_000 - 1
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try office.appeal("centre", id)?.state == .activeL1)
        office.now += 1
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try office.appeal("centre", id)?.state == .queuedL1)
        refused("stale-claim") {
            try office.write("centre") { desk, transaction in
                try desk.resolve(
                    id, claim: claim.number, entry: nil, reason: "no-entry", by: TestOffice.first, in: transaction)
            }
        }
        #expect(try office.claim("centre", TestOffice.first).0.id == id.description)
        #expect(try office.claim("centre", TestOffice.first).0.id == later.description)
        refused("queue-empty") { try office.claim("centre", TestOffice.first) }
    }

    @Test("After a restart each claim gets one full term")
    func restartedLeases() throws {
        let office = try TestOffice()
        let id = try office.accept()
        _ = try office.claim("centre", TestOffice.first)
        office.now += 20 * 60_000
        try office.write("centre") { desk, transaction in try desk.renewClaims(in: transaction) }
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try office.appeal("centre", id)?.state == .activeL1)
        office.now += 15 * 60_000
        _ = try office.write("centre") { desk, transaction in try desk.passTime(in: transaction) }
        #expect(try office.appeal("centre", id)?.state == .queuedL1)
    }

    @Test("An escalation to a home that is not live stays where it is; a rejected one comes back")
    func refusedHomes() throws {
        let planned = try TestOffice { text in
            text.replacing(
                "Санкт-Петербург\", \"state\": \"live\"",
                with: "Санкт-Петербург\", \"state\": \"planned\"")
        }
        let stays = try planned.accept("OSZN", "78")
        let (_, claim) = try planned.claim("centre", TestOffice.first, stays)
        let state = try #require(try planned.appeal("centre", stays)?.state)
        do {
            try planned.write("centre") { desk, transaction in
                try desk.escalate(stays, claim: claim.number, reason: .personal, by: TestOffice.first, in: transaction)
            }
            Issue.record("it went away")
        } catch { #expect((error as? DomainError)?.code == "home-not-live", "\(error)") }
        #expect(try planned.appeal("centre", stays)?.state == state)

        // The home cannot take it: the centre owns it again.
        let office = try TestOffice()
        let id = try office.accept()
        let (_, held) = try office.claim("centre", TestOffice.first, id)
        let sent = try office.write("centre") { desk, transaction in
            try desk.escalate(id, claim: held.number, reason: .personal, by: TestOffice.first, in: transaction)
        }
        let body = EscalationBody(sent, history: try History(TestOffice.said).bytes)
        try office.write("centre") { desk, transaction in
            try desk.takeBack(body, code: "line-not-served", in: transaction)
        }
        let back = try #require(try office.appeal("centre", id))
        #expect(back.state == .queuedL1 && back.owner == "centre" && back.ownershipEpoch == 3 && back.tenancy == nil)
    }

    @Test("Input that cannot be meant is refused, and nothing is half done")
    func badInput() throws {
        let office = try TestOffice()
        refused("unknown-subject") { try office.accept("OSZN", "99") }
        refused("unknown-subject") { try office.accept("BANK", "77") }
        let id = try office.escalated(.personal)
        let person = TestOffice.second("OSZN/77")
        let (_, claim) = try office.claim("subject-77", person)
        var wrong = JourneyTests.citizen
        wrong.snils = "112-233-445 96"
        let citizen = wrong
        refused("bad-snils") {
            try office.write("subject-77") { desk, transaction in
                try desk.confirmIdentity(id, claim: claim.number, citizen: citizen, by: person, in: transaction)
            }
        }
        refused("unknown-transition") {
            try office.write("subject-77") { desk, transaction in
                try desk.answer(id, claim: claim.number, text: "x", delivery: "call", by: person, in: transaction)
            }
        }
        #expect(try office.appeal("subject-77", id)?.state == .identityCheck)
        #expect(
            try office.read("subject-77") { transaction throws(StoreError) in try transaction.count(.citizens) } == 0)
        refused("entry-or-reason") { () throws -> Any in
            let other = try office.accept()
            let (_, held) = try office.claim("centre", TestOffice.first, other)
            return try office.write("centre") { desk, transaction in
                try desk.resolve(
                    other, claim: held.number, entry: nil, reason: nil, by: TestOffice.first, in: transaction)
            }
        }
    }

    @Test("What happens is told in order, to who may touch the appeal or has done it, and nobody else")
    func events() throws {
        let office = try TestOffice()
        let id = try office.escalated(.personal)
        let person = TestOffice.second("OSZN/77")
        _ = try office.claim("subject-77", person)
        try office.write("subject-77") { _, transaction in
            try Events.note("operator-added", of: "boris", by: "uid/0", in: transaction)
        }
        func seen(_ place: String, _ who: Operator, after number: UInt64 = 0, limit: Int = 100) throws -> [String] {
            let desk = try office.place(place).desk
            return try office.read(place) { transaction throws(StoreError) in
                var told: [String] = []
                for row in try Events.transitions(after: number, limit: limit, in: transaction).found
                where try desk.mayFollow(who, row.event, in: transaction) {
                    told.append(row.event.event.rawValue)
                }
                return told
            }
        }
        #expect(try seen("subject-77", person) == ["queued", "claimed"])
        #expect(try seen("subject-77", person, after: 1) == ["claimed"])
        #expect(try seen("subject-77", person, limit: 1) == ["queued"])
        let other = Operator(name: "other", desk: .secondLine(tenancy: "PFR/77", line: "2"))
        #expect(try seen("subject-77", other).isEmpty)
        // The first line is told where every appeal is: whoever calls again is answered.
        #expect(try seen("centre", TestOffice.first) == ["queued", "claimed", "escalated", "handedOver"])
        let story = try office.read("centre") { transaction throws(StoreError) in
            try AppealLookup.events(of: id, in: transaction).map(\.event)
        }
        #expect(story == [.queued, .claimed, .escalated, .handedOver])
    }
}
