import ContactCentre
import Federation
import Foundation
import Testing

@testable import Node

@Suite("The demo's ledger")
struct LedgerTests {
    private func appeal(_ id: String, _ state: String, owner: String?, tenancy: String? = nil, outcome: String? = nil)
        throws -> AppealRecord
    {
        var fields: [String: Any] = [
            "id": id, "number": "00-0000-0001-3", "channel": "form", "receivedAt": 0, "organisation": "OSZN",
            "subject": "77",
            "state": state, "ownershipEpoch": 1, "returns": 0, "claimNumber": 0, "place": 0,
        ]
        fields["owner"] = owner
        fields["tenancy"] = tenancy
        fields["outcome"] = outcome
        return try JSONDecoder().decode(AppealRecord.self, from: JSONSerialization.data(withJSONObject: fields))
    }

    private func stores(_ centre: [AppealRecord], _ home: [AppealRecord]) -> [String: DemoProcess.Count] {
        ["centre": DemoProcess.Count(appeals: centre), "subject-78": DemoProcess.Count(appeals: home)]
    }

    @Test("Each appeal is counted once, where it is")
    func counts() throws {
        let centre = [
            try appeal("a", "resolved", owner: "centre", outcome: "first-line"),
            try appeal("b", "resolved", owner: nil, tenancy: "OSZN/78", outcome: "answered"),
            try appeal("c", "handed_over", owner: nil, tenancy: "OSZN/78"),
            try appeal("d", "queued_l1", owner: "centre"),
        ]
        let home = [try appeal("c", "queued_l2", owner: "subject-78", tenancy: "OSZN/78")]
        let ledger = try DemoLedger.count(
            accepted: ["a", "b", "c", "d"], stores: stores(centre, home), closed: ["OSZN/78"])
        #expect(ledger.submitted == 4 && ledger.resolvedFirstLine == 1 && ledger.answered == 1)
        #expect(ledger.waiting == 1 && ledger.inFlight == 1 && ledger.isClean)
    }

    @Test("An appeal that is taken away behind its back is lost; one with two owners, or told twice, is doubled")
    func notices() throws {
        let one = try appeal("a", "queued_l1", owner: "centre")
        let gone = try DemoLedger.count(accepted: ["a", "b"], stores: stores([one], []), closed: [])
        #expect(gone.lost == 1 && gone.duplicated == 0)
        let other = try appeal("a", "queued_l2", owner: "subject-78")
        #expect(try DemoLedger.count(accepted: ["a"], stores: stores([one], [other]), closed: []).duplicated == 1)
        #expect(try DemoLedger.count(accepted: ["a", "a"], stores: stores([one], []), closed: []).duplicated == 1)
        #expect(try DemoLedger.count(accepted: [], stores: stores([one], []), closed: []).duplicated == 1)
    }
}
