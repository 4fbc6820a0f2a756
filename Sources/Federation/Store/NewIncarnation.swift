/// The way out of `node-rewound`: the store goes on as a new life of the node.
///
/// What was accepted before the copy was taken stays in its streams: peers take what they have not got. What was accepted
/// after, by a store that nobody had met, may collide with positions that the lost life has used: it is accepted anew,
/// in streams of the new incarnation. What the lost life had received and its senders have let go is a gap, recorded
/// when it is met.
package enum NewIncarnation {
    package struct Outcome: Sendable, Hashable {
        package var incarnation: Incarnation
        package var parent: Incarnation
        /// Envelopes that were accepted anew.
        package var reminted: Int
        /// Lives that the node's stores have begun behind the first, this one the last.
        package var life: UInt64
    }

    /// - Parameters:
    ///   - reason: in the administrator's words; kept.
    ///   - actor: the administrator's uid; kept.
    ///   - isBackup: it was never run since it was copied: everything in it has been within the sight of peers, and
    ///     nothing is accepted anew.
    ///   - livesBefore: that other copies of this store have begun: no two lives may number alike.
    /// - Precondition: no daemon has the store open.
    package static func open(
        _ engine: any StorageEngine, node: NodeID, as incarnation: Incarnation, reason: String, actor: UInt32,
        now: Timestamp, isBackup: Bool = false, livesBefore: UInt64 = 0
    ) throws(StoreError) -> Outcome {
        // Counts as a start: where peers have accepted this store since, nothing needs to be accepted anew.
        let parent = try Startup.run(on: engine, newIncarnation: incarnation, now: now)
        var reminted = 0
        var life: UInt64 = 0
        let job = WriteJob(.essential) { transaction in
            reminted = try remint(node, from: parent, to: incarnation, isBackup: isBackup, in: transaction)
            if isBackup { try Inbox.doubtHeld(at: node, in: transaction) }
            try forgetPeers(in: transaction)
            var writer = ByteWriter(capacity: 16)
            writer.append(incarnation.bits)
            try transaction.put(.meta, MetaKey.incarnation, writer.bytes)
            try transaction.setNumber(MetaKey.rewound, 0)
            try transaction.setNumber(MetaKey.reconcile, 1)
            // What came back with the store may be old: who is denied, and what is no right any more.
            try transaction.setNumber(MetaKey.controlOnly, 1)
            life = max(livesBefore, try transaction.number(MetaKey.incarnationCount)) + 1
            try transaction.setNumber(MetaKey.incarnationCount, life)
            try record(life, parent, incarnation, reason, actor, in: transaction)
        } completion: { _ in
        }
        let sealed = try GroupCommit.run([job], on: engine, quota: 0, now: now)
        if case .failure(let error) = sealed.outcomes[0].result {
            throw (error as? StoreError) ?? StoreError(.engine, "\(error)", remedy: "see the system's log")
        }
        return Outcome(incarnation: incarnation, parent: parent, reminted: reminted, life: life)
    }

    private static func remint(
        _ node: NodeID, from parent: Incarnation, to incarnation: Incarnation, isBackup: Bool,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Int {
        let outbox = Outbox(node: node, incarnation: incarnation, permit: { _, _ in 0 })
        var count = 0
        for change in try Sessions.streams(in: transaction) {
            guard var row = try transaction.group.streams.row(of: change.id, in: transaction) else { continue }
            row.isReopened = change.id.origin != node
            transaction.group.streams.update(change.id, row)
            guard !isBackup, change.id.origin == node, change.id.incarnation == parent else { continue }
            let kept = max(row.startBase, row.base)
            guard row.last > kept else { continue }
            for envelope in try cut(change.id, &row, after: kept, in: transaction) {
                try outbox.send(
                    envelope.header.kind, id: envelope.header.id, to: change.id.destination, body: envelope.body,
                    in: transaction)
                count += 1
            }
        }
        return count
    }

    /// Takes everything after a position out of a stream.
    private static func cut(
        _ stream: StreamID, _ row: inout StreamRow, after kept: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> [Envelope] {
        var taken: [Envelope] = []
        var stale: [([UInt8], Pack)] = []
        try Outbox.eachPack(of: row.ordinal, from: 0, in: transaction) { key, pack throws(StoreError) in
            if pack.last > kept { stale.append((key, pack)) }
            return true
        }
        let digest = try Outbox.digest(through: kept, of: row, in: transaction)
        for (key, pack) in stale {
            var rest = Pack(first: pack.first, digestBefore: pack.digestBefore)
            for position in pack.first...pack.last {
                let bytes = Array(pack.envelope(at: position))
                if position <= kept {
                    rest.append(bytes)
                } else if let envelope = try? EnvelopeCodec.decode(bytes) {
                    taken.append(envelope)
                } else {
                    throw StoreError.missing(position, row.ordinal)
                }
            }
            try transaction.delete(.outbox, key)
            // Nobody follows the rooms here: whoever opens the store counts anew.
            if rest.count > 0 { try transaction.put(.outbox, key, rest.encoded()) }
        }
        row.last = kept
        row.lastDigest = digest
        transaction.group.streams.update(stream, row)
        return taken
    }

    /// Tokens were of the old life; peers meet the new one for the first time.
    private static func forgetPeers(in transaction: borrowing WriteTransaction) throws(StoreError) {
        for (peer, old) in try Sessions.peers(in: transaction) {
            var row = old
            row.tokens = []
            try Sessions.setPeer(peer, row, in: transaction)
        }
    }

    private static func record(
        _ life: UInt64, _ parent: Incarnation, _ incarnation: Incarnation, _ reason: String, _ actor: UInt32,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        var writer = ByteWriter(capacity: 128)
        writer.append(incarnation.bits)
        writer.append(parent.bits)
        writer.append(transaction.now.milliseconds)
        writer.append(actor)
        writer.append(short: reason)
        try transaction.put(.meta, MetaKey.incarnationRecord(life), writer.bytes)
    }
}
