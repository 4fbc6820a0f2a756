package import Federation

extension Inbox {
    /// As it is in a process that never ends: tries are counted in memory, the topology has version 1.
    package init(
        node: NodeID, application: any Application, incarnation: Incarnation = Incarnation(bits: ID128(high: 1, low: 9))
    ) {
        let sender = Outbox(node: node, incarnation: incarnation, topologyVersion: { 1 })
        self.init(
            node: node, application: application, sender: sender, attempts: MemoryAttempts(), topologyVersion: { 1 })
    }
}

extension Outbox {
    package init(node: NodeID, incarnation: Incarnation, topologyVersion: UInt64) {
        self.init(node: node, incarnation: incarnation, topologyVersion: { topologyVersion })
    }
}
