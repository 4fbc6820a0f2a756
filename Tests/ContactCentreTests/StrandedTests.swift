import FederationTestKit
import Testing

@testable import ContactCentre
@testable import Federation

@Suite("A topology that would leave open appeals with nobody")
struct StrandedTests {
    private static func topology(_ change: (String) -> String = { $0 }) throws -> Topology {
        try Topology.read(Array(change(String(decoding: try RouterTests.file("demo.json"), as: UTF8.self)).utf8))
    }

    @Test("Counts what is open where a tenancy leaves; nothing when it stays, or all is done")
    func counts() throws {
        let office = try TestOffice()
        let id = try office.escalated(.special, "MSE")
        let current = try StrandedTests.topology()
        let home = try #require(current.tenancy("MSE/centre")?.node)
        let moved = try StrandedTests.topology { text in
            text.replacing(
                #""MSE/centre", "organisation": "MSE", "node": "cc-mse""#,
                with: #""MSE/centre", "organisation": "MSE", "node": "cc-fss""#
            )
            // Its line 2 passes on to line 2.1.
            .replacing(#""from": ["oszn", "mse"]"#, with: #""from": ["oszn", "fss"]"#)
        }
        #expect(moved.tenancy("MSE/centre")?.node != home)
        func stranded(_ name: String, _ next: Topology) throws -> [String: Int] {
            let node = try #require(NodeID(name))
            var appeals = OpenAppeals(at: node, of: current, tenancies: current.tenanciesLeaving(for: next))
            // One row at a time, as long as there are any.
            while try office.read(
                name, { transaction throws(StoreError) in try appeals.look(rows: 1, in: transaction) })
            {}
            return appeals.found.reduce(into: [:]) { $0[$1.key.tenancy, default: 0] += $1.value }
        }
        for name in ["centre", home.text] {
            #expect(try stranded(name, moved) == ["MSE/centre": 1])
            #expect(try stranded(name, current).isEmpty)
        }
        #expect(try stranded("subject-78", moved).isEmpty)
        let person = TestOffice.second("MSE/centre")
        let (_, claim) = try office.claim(home.text, person, id)
        try office.write(home.text) { desk, transaction in
            _ = try desk.giveBack(id, claim: claim.number, code: "unclear", by: person, in: transaction)
        }
        try office.courier()
        #expect(try office.appeal("centre", id)?.home == nil)
        for name in ["centre", home.text] { #expect(try stranded(name, moved).isEmpty) }
        // What cannot be read may be anybody's.
        try office.write("centre") { _, transaction in try transaction.put(.appeals, [1], [0]) }
        #expect(try stranded("centre", moved) == ["unreadable": 1])
    }
}
