import Testing

@testable import Federation
@testable import Node

@Suite("Topology routes")
struct TopologyRoutesTests {
    private static let day = "2026-12-01"

    /// FSS ends on the day, and SFR begins.
    private static func topology() throws -> Topology {
        func tenancy(_ id: String) -> String {
            #"{"id": "\#(id)", "organisation": "\#(id.split(separator: "/")[0])", "node": "subject-77", "lines": ["2"], "#
                + #""open": true, "dueMinutes": 240}"#
        }
        func home(_ organisation: String, _ tenancy: String, _ days: String) -> String {
            #"{"organisation": "\#(organisation)", "subjects": ["77"], "tenancy": "\#(tenancy)", \#(days)}"#
        }
        let begin = #""from": "2022-01-01""#
        let homes = [
            home("OSZN", "OSZN/77", begin), home("FSS", "FSS/77", begin + #", "to": "\#(day)""#),
            home("FSS", "SFR/77", #""from": "\#(day)""#), home("SFR", "SFR/77", #""from": "\#(day)""#),
        ]
        let text = """
            {"format": 2, "version": 1, "federation": "ekc.test",
             "segments": [{"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"}],
             "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:1"]},
                       {"id": "subject-77", "segment": "oszn", "state": "live", "addresses": []}],
             "rights": [
               {"from": ["centre"], "to": ["oszn"], "kinds": ["escalation", "status"]},
               {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status"]}],
             "participants": [{"id": "OSZN"}, {"id": "FSS", "to": "\(day)", "successor": "SFR"}, {"id": "SFR", "from": "\(day)"}],
             "tenancies": [\(["OSZN/77", "FSS/77", "SFR/77"].map(tenancy).joined(separator: ", "))],
             "homes": [\(homes.joined(separator: ", "))], "special": [],
             "links": [{"dials": "subject-77", "listens": "centre"}]}
            """
        return try Topology.read(Array(text.utf8))
    }

    @Test(
        "Of whom takes no part yet nothing is asked; whoever names one that has ended is understood",
        arguments: [
            ("2026-11-30", ["FSS → FSS/77", "OSZN → OSZN/77"], 0),
            (day, ["FSS → SFR/77", "OSZN → OSZN/77", "SFR → SFR/77"], 0), ("2021-12-31", [], 4),
        ])
    func participants(date: String, routes: [String], missing: Int) throws {
        let said = TopologyCommands.rows(try Self.topology(), on: date)
        #expect(said.rows.filter { $0.reason == "PERSONAL" }.map { "\($0.organisation) → \($0.tenancy)" } == routes)
        #expect(said.rows.count == 2 * routes.count && said.missing == missing)
    }
}
