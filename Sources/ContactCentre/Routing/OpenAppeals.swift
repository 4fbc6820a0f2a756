package import Federation

/// Counts what is open at homes, some rows at a time: a store of years is read through.
package struct OpenAppeals {
    package struct Group: Sendable, Hashable {
        package var tenancy: String
        package var organisation: String
        package var subject: String
        package var isSpecial: Bool
    }

    /// Of rows that cannot be read it cannot be said whose they are.
    package static let unreadable = Group(tenancy: "unreadable", organisation: "", subject: "", isSpecial: false)

    /// At the centre: of those that are at a home; at a home: of its own.
    package private(set) var found: [Group: Int] = [:]
    private let node: NodeID
    private let isCentre: Bool
    private let tenancies: Set<String>
    /// The last key that was looked at; nil: there are no more.
    private var last: [UInt8]? = []

    package init(at node: NodeID, of topology: Topology, tenancies: Set<String>) {
        self.node = node
        isCentre = node == topology.centre
        self.tenancies = tenancies
        if tenancies.isEmpty { last = nil }
    }

    /// - Returns: whether there is more to look at.
    package mutating func look<Transaction: Readable & ~Copyable>(
        rows: Int = 2_000, in transaction: borrowing Transaction
    ) throws(StoreError) -> Bool {
        guard let start = last else { return false }
        var count = 0
        var found = found
        var end: [UInt8]?
        try transaction.scan(.appeals, from: start) { key, value in
            let key = Array(key)
            guard key != start else { return true }
            group(Array(value)).map { found[$0, default: 0] += 1 }
            count += 1
            end = count == rows ? key : nil
            return count < rows
        }
        self.found = found
        last = end
        return end != nil
    }

    private func group(_ value: [UInt8]) -> Group? {
        guard let appeal: AppealRecord = AppealRows.decoded(value) else { return OpenAppeals.unreadable }
        guard !appeal.state.isFinal, let tenancy = appeal.tenancy, tenancies.contains(tenancy),
            // On its way it may come back.
            appeal.owner == node.text || appeal.state == .escalating || isCentre && appeal.home != nil
        else { return nil }
        return Group(
            tenancy: tenancy, organisation: appeal.organisation, subject: appeal.subject,
            isSpecial: appeal.reason == .special)
    }
}

extension Topology {
    /// Tenancies of which open appeals would be left with nobody: while there are any, a newer topology is not published. Who
    /// stays where it is leaves nothing behind.
    package func tenanciesLeaving(for next: Topology) -> Set<String> {
        Set(
            tenancies.filter { tenancy in
                next.tenancy(tenancy.id)?.node != tenancy.node || next.node(tenancy.node)?.state == .retired
            }.map(\.id))
    }
}
