package import Federation

/// Messages that do nothing, over nodes whose application counts them.
extension FederationNode {
    /// - Parameter size: bytes of each.
    package func sendProbes(_ count: Int, to destination: String, size: Int = 500) throws {
        for number in 0..<count {
            try store.write { [outbox] transaction in
                try outbox.send(
                    .probe, id: ID128(high: 1, low: UInt64(number)), to: .known(destination),
                    body: EnvelopeBody(bytes: [UInt8](repeating: 7, count: size)), in: transaction)
            }
        }
    }

    package func appliedProbes() throws -> UInt64 {
        try store.read { transaction throws(StoreError) in try transaction.number(Array("probes".utf8)) }
    }
}

extension NodeID {
    /// A name that a test has written itself.
    package static func known(_ text: String) -> NodeID {
        guard let id = NodeID(text) else { preconditionFailure("\(text) is no node's name") }
        return id
    }
}
