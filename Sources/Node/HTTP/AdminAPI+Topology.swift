import ContactCentre
import Federation

/// What holders have signed is published, at the centre.
extension AdminAPI {
    struct NewPublication: Codable, APIRequest {
        static let fields: Set = ["proposal"]
        /// The proposal with its signatures, as it is.
        var proposal: String
    }

    struct Published: Codable {
        /// Of the topology.
        var topology: UInt64
        var root: UInt64
        var targets: UInt64
        var timestamp: UInt64
    }

    static func publishTopology(_ request: HTTPRequest, _ node: FederationNode) throws -> Published {
        let text = try JSONBody.decode(NewPublication.self, from: request.body).proposal
        let proposal = try Proposal(Array(text.utf8), from: "the proposal")
        let current = node.topology
        let state = try node.trust.publish(proposal) { next in
            let diff = TopologyDiff(
                from: current, to: node.settings.seen(next.topology), today: TopologyDiffCommand.today)
            if let objection = try TopologyObjections(diff, at: node).errors.first { throw objection }
        }
        let metadata = state.metadata
        let published = Published(
            topology: state.topology.version, root: metadata.root.common.version,
            targets: metadata.targets["targets"]?.common.version ?? 0,
            timestamp: metadata.timestamp?.common.version ?? 0)
        try node.folder.keep(proposal)
        let actor = actor(request)
        try node.store.write(.essential) { transaction in
            try Events.note(
                "topology-published", of: "targets \(published.targets)", by: actor, in: transaction)
        }
        return published
    }
}
