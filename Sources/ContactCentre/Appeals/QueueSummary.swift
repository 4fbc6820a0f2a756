package import Federation

/// How many appeals wait at one tenancy, or at the first line: counts and an instant, nothing of any appeal.
package struct QueueSummary: Sendable, Hashable {
    /// A tenancy, or `L1`.
    package var tenancy: String
    package var waiting = 0
    /// Past their due time, at a home.
    package var overdue = 0
    /// When the oldest of the first ones was received at the centre.
    package var oldest: Timestamp?

    /// Appeals of a queue that are looked at for the oldest: a queue is in the order of due times.
    private static let looked = 8

    /// Every queue that has something, by name. It walks the keys of table `queue`.
    package static func list<Transaction: Readable & ~Copyable>(
        at now: Timestamp, in transaction: borrowing Transaction
    ) throws(StoreError) -> [QueueSummary] {
        var found: [String: QueueSummary] = [:]
        var first: [String: [[UInt8]]] = [:]
        try transaction.scan(.queue, from: []) { key, _ in
            let key = Array(key)
            var reader = ByteReader(key)
            guard let scope = try? reader.shortText(), let place = try? reader.number(UInt64.self) else { return true }
            let tenancy = String(scope.prefix { $0 != " " })
            var summary = found[tenancy] ?? QueueSummary(tenancy: tenancy)
            summary.waiting += 1
            // At the first line a place is when it came, not when it is due.
            if scope != QueueScope.firstLine, Int64(bitPattern: place ^ 1 << 63) < now.milliseconds {
                summary.overdue += 1
            }
            found[tenancy] = summary
            if first[scope, default: []].count < looked { first[scope, default: []].append(Array(key.suffix(16))) }
            return true
        }
        for (scope, keys) in first {
            let tenancy = String(scope.prefix { $0 != " " })
            for key in keys {
                guard let appeal = try AppealRows.read(AppealRecord.self, .appeals, key, in: transaction) else {
                    continue
                }
                let received = Timestamp(milliseconds: appeal.receivedAt)
                let before = found[tenancy]?.oldest ?? received
                found[tenancy]?.oldest = min(before, received)
            }
        }
        return found.values.sorted { $0.tenancy < $1.tenancy }
    }
}
