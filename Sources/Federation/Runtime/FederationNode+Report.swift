/// What this node says of itself.
extension FederationNode {
    /// - Parameter queues: the application's.
    package func report(queues: [NodeReport.Queue]) throws -> NodeReport {
        let facts = links.look { loop in
            (
                rows: loop.exchange.rows, isRewound: loop.exchange.isRewound,
                unbalanced: loop.exchange.unbalanced.count,
                closed: loop.exchange.closedRooms.count, ends: loop.configuration.context.expires,
                authority: loop.configuration.context.authorityExpires
            )
        }
        var report = NodeReport(at: Clocks.wall(), started: links.started)
        report.isRewound = facts.isRewound
        report.isControlOnly = isControlOnly.changeQuietly { $0 }
        report.topologyVersion = topology.version
        report.metadataAge = UInt64(clamping: trust.freshness.age)
        report.certificateEnds = Timestamp(milliseconds: facts.ends * 1000)
        report.authorityEnds = Timestamp(milliseconds: facts.authority * 1000)
        report.closedRooms = UInt32(clamping: facts.closed)
        report.unbalanced = UInt32(clamping: facts.unbalanced)
        for (stream, row) in facts.rows { report.count(stream, row, at: id) }
        let waiting = facts.rows.filter { isMail($0.key) && $0.value.last > $0.value.base }
        report.mail = Dictionary(grouping: waiting, by: \.key.destination).map { node, rows in
            NodeReport.Mail(
                name: NodeReport.name(of: node.text),
                waiting: UInt32(clamping: rows.reduce(UInt64(0)) { $0 + $1.value.last - $1.value.base }))
        }
        let (oldest, isDraining, used, lostThere) = try store.read { [id, tables] transaction throws(StoreError) in
            var used = 0
            for table in Table.exchange + tables { used += try transaction.size(table).bytes }
            return (
                try Outbox.oldest(of: Array(waiting.values), in: transaction),
                try Draining.since(in: transaction) != nil, used,
                try Gaps.lostThere(from: id, in: transaction)
            )
        }
        report.oldest = oldest
        report.isDraining = isDraining
        report.lost += lostThere
        report.usedBytes = UInt64(used)
        report.quotaBytes = UInt64(settings.limits.quota)
        report.diskBytes = UInt64(max(0, store.engine.roomBytes()))
        report.queues = queues
        return report
    }

    /// What waits here for each other node: how many, and since when.
    package func mail() throws -> [NodeID: (waiting: UInt64, oldest: Timestamp?)] {
        let rows = links.look { $0.exchange.rows }.filter { isMail($0.key) && $0.value.last > $0.value.base }
        let byNode = Dictionary(grouping: rows, by: \.key.destination).mapValues { $0.map(\.value) }
        return try store.read { transaction throws(StoreError) in
            var mail: [NodeID: (waiting: UInt64, oldest: Timestamp?)] = [:]
            for (node, rows) in byNode {
                mail[node] = (
                    rows.reduce(0) { $0 + $1.last - $1.base }, try Outbox.oldest(of: rows, in: transaction)
                )
            }
            return mail
        }
    }

    private func isMail(_ stream: StreamID) -> Bool { stream.destination != id && stream.destination != .everyone }
}

extension NodeReport {
    fileprivate mutating func count(_ stream: StreamID, _ row: StreamRow, at node: NodeID) {
        // Each life of the centre's store has numbered from 1: the log is all of them, one after another.
        if stream.destination == .everyone { return knowledge += row.last }
        guard stream.destination == node else {
            waiting += row.last - row.base
            return heldElsewhere += UInt64(row.held)
        }
        quarantined += UInt64(row.held)
        missing += row.missing
        lost += row.lostCount
    }
}

extension Outbox {
    /// When the oldest of what waits in these streams was created, by the clock of its origin.
    static func oldest<Transaction: Readable & ~Copyable>(
        of rows: [StreamRow], in transaction: borrowing Transaction
    ) throws(StoreError) -> Timestamp? {
        var oldest: Timestamp?
        for row in rows where row.last > row.base {
            guard let pack = try pack(holding: row.base + 1, of: row.ordinal, in: transaction) else { continue }
            var reader = ByteReader(Array(pack.envelope(at: row.base + 1)))
            guard let header = try? EnvelopeCodec.decodeHeader(&reader) else { continue }
            oldest = min(oldest ?? header.created, header.created)
        }
        return oldest
    }
}
