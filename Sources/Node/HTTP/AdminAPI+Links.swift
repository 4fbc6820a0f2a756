import ContactCentre
import Federation

/// Links to neighbours: how they are, and an administrator's hand on them.
extension AdminAPI {
    struct Links: Codable {
        struct Link: Codable {
            var peer: String
            /// running, metadata-only, greeting, refused, dark, paused.
            var state: String
            /// RFC 3339; not before the node's start.
            var since: String
            var why: String?
            /// Whether this node dials.
            var dials: Bool
        }

        var links: [Link]
    }

    static func links(of node: FederationNode) -> Links {
        Links(
            links: node.links.standings().map {
                Links.Link(
                    peer: $0.peer.text, state: $0.state.rawValue, since: $0.since.rfc3339, why: $0.why, dials: $0.dials)
            })
    }

    static func pause(_ request: HTTPRequest, _ node: FederationNode) throws -> Links {
        let peer = try peer(request, node)
        let reason = try reason(request)
        try node.store.write(.essential) { transaction in
            try PausedLinks.put(peer, why: reason, in: transaction)
            try Events.note("link-paused", of: peer.text, by: actor(request), in: transaction)
        }
        node.links.pause(peer, why: reason)
        return links(of: node)
    }

    static func resume(_ request: HTTPRequest, _ node: FederationNode) throws -> Links {
        let peer = try peer(request, node)
        let wasPaused = try node.store.write(.essential) { transaction in
            let wasPaused = try PausedLinks.delete(peer, in: transaction)
            if wasPaused { try Events.note("link-resumed", of: peer.text, by: actor(request), in: transaction) }
            return wasPaused
        }
        guard wasPaused else {
            throw Problem(
                409, "not-paused", "The link with \(peer) is not paused.", remedy: "ekc link list shows how it is.")
        }
        node.links.resume(peer)
        return links(of: node)
    }

    static func test(_ request: HTTPRequest, _ node: FederationNode) throws -> FederationNode.LinkTest {
        try node.testLink(try peer(request, node))
    }

    private static func peer(_ request: HTTPRequest, _ node: FederationNode) throws(Problem) -> NodeID {
        let text = request.parameters["peer"] ?? ""
        guard let peer = NodeID(text), node.topology.areLinked(node.id, peer) else {
            throw Problem(
                404, "not-linked", "The topology names no link of \(node.id) with \(text.prefix(64)).",
                remedy: "ekc link list names the neighbours.")
        }
        return peer
    }
}
