/// The node's own part of the signed metadata: what it says of its keys, signed anew in time. Nobody else has to do anything.
extension FederationNode {
    /// Signed anew when a third of its life is left.
    private static let renewalMilliseconds = PublishedKeys.days * 86_400_000 / 3

    /// Looks whether what is published of this node's keys is there, right and fresh; if not, signs it and sends it to the
    /// centre.
    /// - Returns: at the centre, which sends nothing to itself, what is to be published.
    func offerKeys(_ state: SignedFederation, _ now: Timestamp) throws -> (NodeID, SignedKeys)? {
        guard let centre = topology.centre, let version = version(in: state, now) else { return nil }
        let keys = try folder.publishedKeys(version: version, now: now)
        if centre == id { return (id, keys) }
        let bytes = try TrustFile.encode(keys)
        let random = Random.id128()
        try store.write(.essential) { [outbox] transaction in
            try outbox.send(.topology, id: random, to: centre, body: EnvelopeBody(bytes: bytes), in: transaction)
        }
        log(LinkLoop.Event(code: "keys-offered", peer: centre, detail: "signed anew, under version \(version)"))
        return nil
    }

    /// The version under which the keys are to be signed anew; nil: they are good, or nobody would believe this node.
    private func version(in state: SignedFederation, _ now: Timestamp) -> UInt64? {
        let role = PublishedKeys.role(of: id)
        guard state.targets.delegation(role) != nil else { return nil }
        let next = (state.metadata.snapshot?.meta[role]?.version ?? 0) + 1
        guard let own = state.metadata.targets[role], state.faults[id] == nil else { return next }
        let isFresh = own.common.expires.milliseconds - now.milliseconds > FederationNode.renewalMilliseconds
        return isFresh ? nil : next
    }
}
