import Federation
import FoundationEssentials
import SampleData

/// Which federation the demo runs, as a topology file, and as the newer one by which a home moves.
struct DemoScheme {
    let text: String
    /// Entries of knowledge that are published unless told otherwise.
    let entries: Int
    /// Nodes whose lines are cut together. Subject 77 is one of them.
    let behindTheLine: [String]

    /// The scheme with so many nodes.
    /// - Parameter count: 10, or 103: the country, as planned in 2022, all of it live.
    static func of(_ count: Int) -> DemoScheme? {
        switch count {
        case 10:
            DemoScheme(
                text: String(decoding: SampleData.demoTopology, as: UTF8.self), entries: 2000,
                behindTheLine: ["subject-77"])
        case 103:
            DemoScheme(
                text: String(decoding: SampleData.federationTopology, as: UTF8.self)
                    .replacing(#""state": "planned", "addresses": []"#, with: listening, maxReplacements: 1)
                    .replacing(#""state": "planned""#, with: #""state": "live""#),
                entries: 30_000, behindTheLine: ["subject-77"] + (20...49).map { "subject-\($0)" })
        default: nil
        }
    }

    /// The centre is the first node of its file.
    private static let listening = #""state": "live", "addresses": ["127.0.0.1:0"]"#

    /// The topology file of one node.
    /// - Parameters:
    ///   - port: at which that node finds the centre.
    ///   - day: ISO 8601, when there is a newer version by which the PFR of subject 50 moves to its own node on that day.
    func file(port: UInt16, movedOn day: String? = nil) -> [UInt8] {
        let text = text.replacing("127.0.0.1:0", with: "127.0.0.1:\(port)")
        guard let day else { return Array(text.utf8) }
        return Array(
            text.replacing(#""version": 1"#, with: #""version": 2"#)
                .replacing(DemoScheme.tenancy("PFR/77", "77"), with: newTenancy + DemoScheme.tenancy("PFR/77", "77"))
                .replacing(
                    DemoScheme.home + "}",
                    with: DemoScheme.home + #", "to": "\#(day)"}, "#
                        + #"{"organisation": "PFR", "subjects": ["50"], "tenancy": "PFR/50", "from": "\#(day)"}"#
                ).utf8)
    }

    /// The same in format 1, for the release before.
    static func withoutRights(_ file: [UInt8]) throws -> [UInt8] {
        let root = try JSONText.read(file, lenient: true, maximum: file.count)
        guard case .object(let members) = root.value else { return file }
        return JSONText.write(
            .table(
                members.filter { $0.name != "rights" }
                    .map { ($0.name, $0.name == "format" ? .integer(1) : $0.node.value) }))
    }

    /// The tenancy to which it moves.
    static let newHome = "PFR/50"

    private static let home =
        #"{"organisation": "PFR", "subjects": ["50"], "tenancy": "PFR/77", "from": "2022-01-01""#

    private static func tenancy(_ id: String, _ subject: String) -> String {
        #"{"id": "\#(id)", "organisation": "PFR", "node": "subject-\#(subject)","#
    }

    private var newTenancy: String {
        DemoScheme.tenancy(DemoScheme.newHome, "50") + #" "lines": ["2"], "open": true, "dueMinutes": 240},"# + "\n    "
    }
}
