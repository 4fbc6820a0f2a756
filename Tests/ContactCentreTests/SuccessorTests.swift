import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

/// PFR and FSS become the Social Fund on a day: by data, and nothing is lost.
@Suite("A participant that another goes on for")
struct SuccessorTests {
    /// 2026-11-24, noon; the day on which they end is the next.
    private static let noon: Int64 = 1_795_521_600_000
    private static let day = "2026-11-25"

    /// The demo's topology, in which both end on the day: PFR's homes go to tenancies of SFR on the same nodes, FSS's to the
    /// nodes of the subjects.
    static func merged(_ text: String) -> String {
        var text = text
        var sfr: [String] = []
        var tenancies: [String] = []
        for (tenancy, subjects) in [("77", ["77", "50"]), ("78", ["78", "47"]), ("54", ["54"])] {
            tenancies.append(
                #"{"id": "SFR/\#(tenancy)", "organisation": "SFR", "node": "subject-\#(tenancy)", "lines": ["2"], "#
                    + #""open": true, "dueMinutes": 240}"#)
            for subject in subjects {
                let old =
                    #"{"organisation": "PFR", "subjects": ["\#(subject)"], "tenancy": "PFR/\#(tenancy)", "from": "2022-01-01"}"#
                precondition(text.contains(old))
                text = text.replacing(old, with: old.dropLast() + #", "to": "\#(day)"}"#)
                for organisation in ["PFR", "FSS", "SFR"] {
                    sfr.append(
                        #"{"organisation": "\#(organisation)", "subjects": ["\#(subject)"], "tenancy": "SFR/\#(tenancy)", "from": "\#(day)"}"#
                    )
                }
            }
        }
        let fss =
            #"{"organisation": "FSS", "subjects": ["47", "50", "54", "77", "78"], "tenancy": "FSS/centre", "from": "2022-01-01"}"#
        precondition(text.contains(fss))
        let participants = #"""
            "participants": [
              {"id": "OSZN"}, {"id": "MSE"}, {"id": "ROSTRUD"},
              {"id": "PFR", "name": "ПФР", "to": "\#(day)", "successor": "SFR"},
              {"id": "FSS", "name": "ФСС", "to": "\#(day)", "successor": "SFR"},
              {"id": "SFR", "name": "СФР", "from": "\#(day)"}],
            """#
        return text.replacing(fss, with: fss.dropLast() + #", "to": "\#(day)"}, "# + sfr.joined(separator: ",\n"))
            .replacing(
                #""from": ["oszn", "mse"], "to": ["oszn"]"#, with: #""from": ["oszn", "mse", "fss"], "to": ["oszn"]"#
            )
            .replacing(
                #""tenancies": ["#, with: participants + #""tenancies": ["# + tenancies.joined(separator: ",\n") + ",")
    }

    private func office() throws -> TestOffice {
        let office = try TestOffice(Self.merged)
        office.now = Self.noon
        return office
    }

    private func dayBegins(
        _ office: TestOffice, _ names: [String], after milliseconds: Int64 = 24 * 3_600_000
    ) throws {
        office.now += milliseconds
        for name in names {
            let (desk, now) = (try office.place(name).desk, Timestamp(milliseconds: office.now))
            let found = try office.read(name) { transaction throws(StoreError) in
                try desk.moved(after: [], at: now, in: transaction).found
            }
            try office.write(name) { desk, transaction in try desk.pass(found, in: transaction) }
            try office.write(name) { desk, transaction in while try desk.passTime(in: transaction) {} }
        }
        try office.courier()
    }

    @Test(
        "Appeals of both follow on the day: one owner, once, with what was promised; new ones go to the successor at once"
    )
    func merge() throws {
        let office = try office()
        let pension = try office.escalated(.personal, "PFR")
        let benefit = try office.escalated(.personal, "FSS")
        let due = try [pension, benefit].map { id in
            try office.appeal("subject-77", id)?.dueAt ?? office.appeal("cc-fss", id)?.dueAt
        }
        #expect(try office.appeal("subject-77", pension)?.tenancy == "PFR/77")
        #expect(try office.appeal("cc-fss", benefit)?.tenancy == "FSS/centre")
        try dayBegins(office, ["subject-77", "cc-fss"])
        for (id, promised) in zip([pension, benefit], due) {
            let here = try #require(try office.appeal("subject-77", id))
            #expect(here.tenancy == "SFR/77" && here.owner == "subject-77" && here.state == .queuedL2)
            #expect(here.dueAt == promised && here.organisation == (id == pension ? "PFR" : "FSS"))
            #expect(try office.appeal("centre", id)?.home == "subject-77")
        }
        #expect(try office.appeal("cc-fss", benefit)?.owner == nil)
        // Whoever names the predecessor after its end is understood.
        let later = try office.escalated(.personal, "PFR")
        #expect(try office.appeal("subject-77", later)?.tenancy == "SFR/77")
        let named = try office.escalated(.personal, "SFR")
        #expect(try office.appeal("subject-77", named)?.tenancy == "SFR/77")
        // The successor's people answer, once.
        let person = TestOffice.second("SFR/77")
        for id in [pension, benefit, later, named] {
            let (_, claim) = try office.claim("subject-77", person, id)
            try office.write("subject-77") { desk, transaction in
                _ = try desk.confirmIdentity(
                    id, claim: claim.number,
                    citizen: CitizenRecord(
                        name: "Образцова Мария", birthDate: "1960-02-29", snils: "112-233-445 95", phone: nil,
                        address: nil),
                    by: person, in: transaction)
                return try desk.answer(
                    id, claim: claim.number, text: "Да.", delivery: "call", by: person, in: transaction)
            }
        }
        try office.courier()
        for id in [pension, benefit, later, named] {
            #expect(try office.appeal("centre", id)?.outcome == "answered")
        }
    }

    @Test("Who is at work on one at midnight ends it for the predecessor; given back, it is the successor's")
    func working() throws {
        let office = try office()
        // Five to midnight, by Moscow's or anybody's clock: the day is the topology's, in UTC.
        office.now = Self.noon + 12 * 3_600_000 - 300_000
        for (organisation, place, tenancy) in [("PFR", "subject-77", "PFR/77"), ("FSS", "cc-fss", "FSS/centre")] {
            let person = TestOffice.second(tenancy)
            let (answered, released) = (
                try office.escalated(.personal, organisation), try office.escalated(.personal, organisation)
            )
            var claims: [AppealID: Int] = [:]
            for id in [answered, released] {
                claims[id] = try office.claim(place, person, id).1.number
                try office.write(place) { desk, transaction in
                    try desk.confirmIdentity(
                        id, claim: claims[id] ?? 0,
                        citizen: CitizenRecord(
                            name: "Образцова Мария", birthDate: "1960-02-29", snils: "112-233-445 95", phone: nil,
                            address: nil),
                        by: person, in: transaction)
                }
            }
            let before = office.now
            try dayBegins(office, ["subject-77", "cc-fss"], after: 600_000)
            #expect(try office.appeal(place, answered)?.tenancy == tenancy, "it is not taken out of anybody's hands")
            try office.write(place) { desk, transaction in
                _ = try desk.answer(
                    answered, claim: claims[answered] ?? 0, text: "Да.", delivery: "call", by: person, in: transaction)
                return try desk.release(released, claim: claims[released] ?? 0, by: person, in: transaction)
            }
            try dayBegins(office, ["subject-77", "cc-fss"], after: 0)
            try office.courier()
            #expect(try office.appeal("centre", answered)?.outcome == "answered")
            let here = try #require(try office.appeal("subject-77", released))
            #expect(
                here.tenancy == "SFR/77" && here.owner == "subject-77" && here.state == .queuedL2, "\(organisation)")
            #expect(throws: DomainError.self) { try office.claim(place, person, released) }
            office.now = before
        }
    }

    @Test("Who acts is a matter of the day; a special question goes to the successor's centre, or home")
    func routes() throws {
        let text = Self.merged(String(decoding: try RouterTests.file("demo.json"), as: UTF8.self))
        let topology = try Topology.read(Array(text.utf8))
        let router = Router(topology)
        for (day, organisation, reason, tenancy) in [
            ("2026-11-24", "PFR", .personal, "PFR/77"), ("2026-11-25", "PFR", .personal, "SFR/77"),
            ("2026-11-24", "FSS", .special, "FSS/centre"), ("2026-11-25", "FSS", .special, "SFR/77"),
            ("2026-11-25", "MSE", .special, "MSE/centre"),
        ] as [(String, String, EscalationReason, String)] {
            let route = router.route(organisation: organisation, subject: "77", reason: reason, on: day)
            #expect(route?.tenancy.id == tenancy, "\(day) \(organisation)")
        }
        #expect(topology.acting("PFR", on: "2026-11-24") == "PFR" && topology.acting("PFR", on: "2026-11-25") == "SFR")
        #expect(topology.isServed("PFR", by: "SFR") && !topology.isServed("SFR", by: "PFR"))
    }

    @Test("topology diff says who ends, who goes on, and where the homes go")
    func diff() throws {
        let live = String(decoding: try RouterTests.file("demo.json"), as: UTF8.self)
        let next = Self.merged(live).replacing(#""version": 1"#, with: #""version": 2"#, maxReplacements: 1)
        let said = TopologyDiff(
            from: try Topology.read(Array(live.utf8)), to: try Topology.read(Array(next.utf8)), today: "2026-11-24"
        ).findings.map(\.text)
        for line in [
            "PFR ends on 2026-11-25, SFR goes on", "SFR takes part from 2026-11-25 on",
            "from 2026-11-25 on PFR 50 and 77 are at home at SFR/77 on subject-77, not at PFR/77 on subject-77",
            "from 2026-11-25 on FSS 54 is at home at SFR/54 on subject-54, not at FSS/centre on cc-fss",
        ] {
            #expect(said.contains(line), "\(line): \(said)")
        }
    }

    @Test(
        "What does not fit is one fault each",
        arguments: [
            (#""successor": "SFR"}"#, #""successor": "SFX"}"#, "unknown-participant"),
            (
                #"{"id": "SFR", "name": "СФР", "from": "2026-11-25"}"#, #"{"id": "SFR", "from": "2026-11-26"}"#,
                "successor-late"
            ),
            (
                #"{"id": "SFR", "name": "СФР", "from": "2026-11-25"}"#,
                #"{"id": "SFR", "from": "2026-11-25", "to": "2027-01-01", "successor": "PFR"}"#, "successor-loop"
            ),
            (#""to": "2026-11-25", "successor": "SFR"}"#, #""successor": "SFR"}"#, "successor-without-end"),
            (#"{"id": "OSZN"}"#, #"{"id": "OSZN"}, {"id": "OSZN"}"#, "duplicate-participant"),
            (
                #"{"organisation": "SFR", "subjects": ["54"], "tenancy": "SFR/54", "from": "2026-11-25"}"#,
                #"{"organisation": "SFR", "subjects": ["54"], "tenancy": "SFR/54", "from": "2026-11-01"}"#,
                "participant-not-yet"
            ),
            (
                #"{"organisation": "PFR", "subjects": ["54"], "tenancy": "PFR/54", "from": "2022-01-01", "to": "2026-11-25"}"#,
                #"{"organisation": "PFR", "subjects": ["54"], "tenancy": "PFR/54", "from": "2022-01-01", "to": "2026-12-25"}"#,
                "participant-ended"
            ),
            (
                #"{"organisation": "FSS", "subjects": ["54"], "tenancy": "SFR/54", "from": "2026-11-25"}"#,
                #"{"organisation": "FSS", "subjects": ["54"], "tenancy": "SFR/54", "from": "2026-11-20"}"#,
                "successor-early"
            ),
            (#"{"id": "OSZN"}"#, #"{"id": "oszn"}"#, "bad-name"),
        ])
    func faults(from: String, to: String, code: String) throws {
        let text = Self.merged(String(decoding: try RouterTests.file("demo.json"), as: UTF8.self))
        #expect(text.contains(from))
        do throws(TopologyFaults) {
            _ = try Topology.read(Array(text.replacing(from, with: to, maxReplacements: 1).utf8))
            Issue.record("\(code) was not found")
        } catch { #expect(error.faults.contains { $0.code == code }, "\(error.faults)") }
    }
}
