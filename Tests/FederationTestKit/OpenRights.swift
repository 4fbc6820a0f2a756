package import Federation

/// Without rights: for tests that are not about them.
extension Outbox {
    package init(node: NodeID, incarnation: Incarnation, topologyVersion: @escaping @Sendable () -> UInt64) {
        self.init(node: node, incarnation: incarnation, permit: { _, _ in topologyVersion() })
    }
}

extension Inbox {
    package init(
        node: NodeID, application: any Application, sender: Outbox, attempts: any AttemptLog,
        topologyVersion: @escaping @Sendable () -> UInt64
    ) {
        self.init(
            node: node, application: application, sender: sender, attempts: attempts, topologyVersion: topologyVersion,
            admission: { _ in .by(.allowed) })
    }
}

extension Routes {
    package func verdict(on header: EnvelopeHeader) -> RightVerdict { .allowed }
}
