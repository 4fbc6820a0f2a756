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

        var node: String
        /// What waits here for nodes that could not be reached any more.
        var mail: [Mail]
        /// Open appeals that would be left with nobody, by tenancy.
        var appeals: [String: Int]
        /// Nodes that cannot hear of it: denied, or with keys that are refused.
        var cannotVerify: [String: String]
    }

    static func underWay(_ request: HTTPRequest, _ node: FederationNode) throws -> UnderWay {
        let text = try JSONBody.decode(NextTopology.self, from: request.body).topology
        let next = node.settings.seen(try TopologyDiffCommand.read(Array(text.utf8)))
        let current = node.topology
        let appeals = try node.store.read { transaction throws(StoreError) in
            try Stranded.appeals(at: node.id, of: current, under: next, in: transaction)
        }
        let state = node.trust.state
        var cannot = Dictionary(
            state.denied.map { ($0.node.text, "denied: \($0.reason)") }, uniquingKeysWith: { first, _ in first })
        for (node, fault) in state.faults {
            cannot[node.text] = cannot[node.text] ?? "its keys: \(fault.code.rawValue)"
        }
        return UnderWay(
            node: node.id.text,
            mail: try node.mailForNobody(under: next).map {
                UnderWay.Mail(destination: $0.room.destination.text, lane: "\($0.room.lane)", count: $0.count)
            }, appeals: appeals, cannotVerify: cannot)
    }
}
