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
        _ = try ProposalContent(proposal)
        let current = node.topology
        let state = try node.trust.publish(proposal) { next in
            let topology = node.settings.seen(next.topology)
            try node.requireNoMail(under: topology)
            if let finding = TopologyDiff(from: current, to: topology).findings.first(where: {
                $0.code == "home-not-live" && $0.isLoss
            }) {
                throw FederationError(
                    "home-taken-away", finding.text,
                    remedy: "make the node live first, or let the home move later: ekc topology diff says all of it")
            }
            let stranded = try node.store.read { transaction throws(StoreError) in
                try Stranded.appeals(at: node.id, of: current, under: topology, in: transaction)
            }
            // Kept before it is in force: what was published can be gone back to, whatever happens in between.
            guard !stranded.isEmpty else { return try node.folder.keep(proposal) }
            let list = stranded.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            throw FederationError(
                "tenancy-has-appeals", "open appeals would be left with nobody: \(list)",
                remedy: "let them be answered or returned first, and route new ones elsewhere by a dated home")
        }
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
