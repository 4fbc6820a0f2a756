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
        let content = try ProposalContent(proposal)
        try proposal.requireEnough()
        // A store of years is read through for it: metadata of others does not wait.
        if let next = try content.topology() {
            let diff = TopologyDiff(
                from: node.topology, to: node.settings.seen(next), today: TopologyDiffCommand.today)
            if let objection = try TopologyObjections(diff, at: node).errors.first { throw objection }
        }
        // Kept before it is in force: what was published can be gone back to, whatever happens in between.
        let state = try node.trust.publish(proposal) { _ in try node.folder.keep(proposal) }
        let metadata = state.metadata
        let published = Published(
            topology: state.topology.version, root: metadata.root.common.version,
            targets: state.targets.common.version,
            timestamp: metadata.timestamp?.common.version ?? 0)
        let actor = actor(request)
        do {
            try node.store.write(.essential) { transaction in
                try Events.note(
                    "topology-published", of: "targets \(published.targets)", by: actor, in: transaction)
            }
        } catch {
            // It is published all the same.
            Log.write(
                LinkLoop.Event(code: "event-not-kept", peer: nil, detail: "topology-published by \(actor): \(error)"))
        }
        return published
    }
}
