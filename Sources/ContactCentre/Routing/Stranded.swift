package import Federation

/// Open appeals that a newer topology would leave with nobody: while there are any, it is not put in force.
package enum Stranded {
    /// - Returns: how many there are, by tenancy. At the centre: of those that are at a home; at a home: of its own.
    package static func appeals<Transaction: Readable & ~Copyable>(
        at node: NodeID, of current: Topology, under next: Topology, in transaction: borrowing Transaction
    ) throws(StoreError) -> [String: Int] {
        // Who stays where it is leaves nothing behind, and nothing needs to be read.
        let leaving = Set(
            current.tenancies.filter { tenancy in
                next.tenancy(tenancy.id)?.node != tenancy.node || next.node(tenancy.node)?.state == .retired
            }.map(\.id))
        guard !leaving.isEmpty else { return [:] }
        var found: [String: Int] = [:]
        try transaction.scan(.appeals, from: []) { _, value in
            guard let appeal: AppealRecord = AppealRows.decoded(Array(value)) else {
                // Whose it is cannot be said.
                found["unreadable", default: 0] += 1
                return true
            }
            guard !appeal.state.isFinal, let tenancy = appeal.tenancy, leaving.contains(tenancy),
                // On its way it may come back.
                appeal.owner == node.text || appeal.state == .escalating || node == current.centre && appeal.home != nil
            else { return true }
            found[tenancy, default: 0] += 1
            return true
        }
        return found
    }
}
