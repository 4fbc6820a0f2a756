import ContactCentre
import Federation

/// A newer topology, put in force.
extension AdminAPI {
    struct NewTopology: Codable, APIRequest {
        static let fields: Set = ["text"]
        /// The topology file, as it is.
        var text: String
    }

    struct TopologyApplied: Codable {
        var version: UInt64
        /// Messages that waited for it and are decided now.
        var released: Int
    }

    static func applyTopology(_ request: HTTPRequest, _ node: FederationNode) throws -> TopologyApplied {
        let text = try JSONBody.decode(NewTopology.self, from: request.body).text
        let current = node.topology
        let released = try node.apply(Array(text.utf8)) { next in
            let stranded = try node.store.read { transaction throws(StoreError) in
                try Stranded.appeals(at: node.id, of: current, under: next, in: transaction)
            }
            guard !stranded.isEmpty else { return }
            let list = stranded.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            throw FederationError(
                "tenancy-has-appeals", "open appeals would be left with nobody: \(list)",
                remedy: "let them be answered or returned first, and route new ones elsewhere by a dated home")
        }
        let version = node.topology.version
        let actor = actor(request)
        try node.store.write(.essential) { transaction in
            try Events.note("topology-applied", of: "version \(version)", by: actor, in: transaction)
        }
        return TopologyApplied(version: version, released: released)
    }
}
