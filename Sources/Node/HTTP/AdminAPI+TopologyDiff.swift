import ContactCentre
import Federation

/// What a newer topology would meet at this node.
extension AdminAPI {
    struct NextTopology: Codable, APIRequest {
        static let fields: Set = ["topology"]
        /// The file, as it is.
        var topology: String
    }

    struct UnderWay: Codable {
        struct Mail: Codable {
            var destination: String
            var lane: String
            var count: UInt64
        }

        /// Open appeals of one subject, at a home that moves or whose node is live no more.
        struct Open: Codable {
            var tenancy: String
            var organisation: String
            var subject: String
            var isSpecial: Bool
            var count: Int
        }

        struct Objection: Codable {
            var code: String
            var detail: String
            var remedy: String
        }

        var node: String
        var isCentre: Bool
        /// What waits here for nodes to which there would be no way, not even later.
        var mail: [Mail]
        /// What waits here, by destination.
        var outbox: [String: UInt64]
        /// Open appeals that would be left with nobody, by tenancy.
        var appeals: [String: Int]
        /// Those at homes that move or rest, as far as this node knows of them.
        var open: [Open]
        /// Nodes that cannot hear of it: denied, or with keys that are refused.
        var cannotVerify: [String: String]
        /// Why it would not be published now.
        var objections: [Objection]
    }

    static func underWay(_ request: HTTPRequest, _ node: FederationNode) throws -> UnderWay {
        let text = try JSONBody.decode(NextTopology.self, from: request.body).topology
        let next = node.settings.seen(try TopologyDiffCommand.read(Array(text.utf8)))
        let current = node.topology
        let diff = TopologyDiff(from: current, to: next, today: TopologyDiffCommand.today)
        let objections = try TopologyObjections(
            diff, at: node, counting: Set(diff.moves.flatMap(\.oldTenancies) + diff.resting))
        let state = node.trust.state
        var cannot = Dictionary(
            state.denied.map { ($0.node.text, "denied: \($0.reason)") }, uniquingKeysWith: { first, _ in first })
        for (node, fault) in state.faults {
            cannot[node.text] = cannot[node.text] ?? "its keys: \(fault.code.rawValue)"
        }
        return UnderWay(
            node: node.id.text, isCentre: current.centre == node.id,
            mail: try node.mailForNobody(under: next).map {
                UnderWay.Mail(destination: $0.room.destination.text, lane: "\($0.room.lane)", count: $0.count)
            },
            outbox: Dictionary(
                try node.mail().map { ($0.text, $1.waiting) }, uniquingKeysWith: { first, _ in first }),
            appeals: objections.stranded,
            open: objections.open.map {
                UnderWay.Open(
                    tenancy: $0.tenancy, organisation: $0.organisation, subject: $0.subject, isSpecial: $0.isSpecial,
                    count: $1)
            },
            cannotVerify: cannot,
            objections: objections.errors.map {
                UnderWay.Objection(code: $0.code, detail: $0.detail, remedy: $0.remedy)
            })
    }
}
