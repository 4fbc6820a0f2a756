/// Does the exchange's work in a write transaction. Watermark, effect and receipt of an envelope become durable
/// together or not at all.
package struct Inbox: Sendable {
    private let node: NodeID
    private let application: any Application
    /// Positions of one stream that one commit settles at the origin.
    static let mostSettled: UInt64 = 256
    /// Refusals of one stream that wait for their origin: with so many, no more of it is taken.
    static let mostRejections = 1000

    package init(node: NodeID, application: any Application) {
        self.node = node
        self.application = application
    }

    /// - Parameter mayRelay: false when envelopes of others find no room in the store.
    package func perform(
        _ work: ExchangeWork, mayRelay: Bool = true, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> ExchangeOutcome {
        var outcome = ExchangeOutcome()
        switch work {
        case .receive(let batch): outcome.refused = try receive(batch, mayRelay: mayRelay, in: transaction)
        case .receipts(let states): for state in states { try settle(state, &outcome, in: transaction) }
        case .settled(let positions): for settled in positions { try forget(settled, in: transaction) }
        case .forwarded(let positions, let incarnation):
            for forwarded in positions { try letGo(forwarded, by: incarnation, in: transaction) }
        case .adopt(let bases, let incarnation):
            for base in bases { try adopt(base, from: incarnation, in: transaction) }
        case .session(let peer, let incarnation, let tokens):
            var row = try Sessions.peer(peer, in: transaction)
            row.incarnation = incarnation
            row.tokens = tokens
            row.acceptedInStart = try transaction.number(MetaKey.start)
            try Sessions.setPeer(peer, row, in: transaction)
        case .rewound: try transaction.setNumber(MetaKey.rewound, 1)
        }
        return outcome
    }

    private func receive(
        _ batch: ReceivedBatch, mayRelay: Bool, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Set<StreamID> {
        var refused: Set<StreamID> = []
        for item in batch.envelopes {
            let stream = item.header.stream
            guard !refused.contains(stream) else { continue }
            var row = try transaction.group.streams.open(stream, in: transaction)
            // A duplicate is done already; a gap cannot be: the session counts positions and closes on one.
            guard item.header.position == row.last + 1 else { continue }
            row.receivedFrom = batch.incarnation
            row.isReopened = false
            if stream.destination == node, row.rejections.count >= Inbox.mostRejections {
                refused.insert(stream)
            } else if stream.destination == node {
                try apply(item, &row, in: transaction)
            } else if stream.destination == .everyone {
                try read(item, in: transaction)
                Outbox.keep(item.bytes, as: stream, &row, in: transaction)
            } else if mayRelay, transaction.group.rooms.hasPlace(Room(stream), for: .relay) {
                Outbox.keep(item.bytes, as: stream, &row, in: transaction)
            } else {
                refused.insert(stream)
            }
        }
        return refused
    }

    /// What is published takes effect here and is kept for the nodes behind this one. Nobody takes it back.
    private func read(
        _ item: ReceivedBatch.Item, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let verdict: Swift.Result<Void, any Error> = try transaction.attempt { part in
            guard let envelope = try? EnvelopeCodec.decode(item.bytes) else { throw Rejection("envelope-invalid") }
            try application.apply(envelope, in: part)
        }
        if case .failure(let error) = verdict, !(error is Rejection) { throw StoreError.inside(error) }
    }

    private func apply(
        _ item: ReceivedBatch.Item, _ row: inout StreamRow, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let verdict: Swift.Result<Void, any Error> = try transaction.attempt { part in
            guard let envelope = try? EnvelopeCodec.decode(item.bytes) else { throw Rejection("envelope-invalid") }
            if envelope.header.kind == .probe {
                try part.setNumber(MetaKey.probes, try part.number(MetaKey.probes) + 1)
            } else {
                try application.apply(envelope, in: part)
            }
        }
        if case .failure(let error) = verdict {
            guard let rejection = error as? Rejection else { throw StoreError.inside(error) }
            row.rejections.append(RejectedPosition(position: item.header.position, code: rejection.code))
        }
        row.last = item.header.position
        row.lastDigest = row.lastDigest.extended(by: item.bytes[...])
        row.base = row.last
        row.baseDigest = row.lastDigest
        row.applied = row.last
        transaction.group.streams.update(item.header.stream, row)
    }

    private func settle(
        _ state: ReceiptState, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard var row = try transaction.group.streams.row(of: state.stream, in: transaction) else { return }
        guard state.stream.origin == node else {
            row.applied = max(row.applied, state.applied)
            row.rejections = state.rejections
            transaction.group.streams.update(state.stream, row)
            return
        }
        let applied = min(state.applied, row.last, row.base + Inbox.mostSettled)
        guard applied > row.base else { return }
        let refused = Dictionary(
            state.rejections.map { ($0.position, $0.code) }, uniquingKeysWith: { first, _ in first })
        var position = row.base + 1
        while position <= applied {
            guard let pack = try Outbox.pack(holding: position, of: row.ordinal, in: transaction) else {
                throw StoreError.missing(position, row.ordinal)
            }
            while position <= min(applied, pack.last) {
                if let code = refused[position] {
                    outcome.takenBack.append(TakenBack(stream: state.stream, position: position, code: code))
                }
                try decided(Array(pack.envelope(at: position)), refused[position], in: transaction)
                position += 1
            }
        }
        // Acting on a receipt may have sent something in the same stream.
        row = try transaction.group.streams.open(state.stream, in: transaction)
        row.applied = applied
        row.settled = applied
        try Outbox.release(through: applied, of: state.stream, &row, in: transaction)
        transaction.group.streams.update(state.stream, row)
    }

    private func decided(
        _ bytes: [UInt8], _ code: String?, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let envelope = try? EnvelopeCodec.decode(bytes) else {
            throw StoreError(
                .damaged, "an envelope of table outbox cannot be read", remedy: "restore the store from a backup")
        }
        if envelope.header.kind == .probe { return }
        if let code {
            try application.rejected(envelope, code: code, in: transaction)
        } else {
            try application.applied(envelope, in: transaction)
        }
    }

    private func forget(_ settled: StreamPosition, in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard var row = try transaction.group.streams.row(of: settled.stream, in: transaction) else { return }
        row.settled = max(row.settled, settled.position)
        row.rejections.removeAll { $0.position <= settled.position }
        transaction.group.streams.update(settled.stream, row)
    }

    private func letGo(
        _ forwarded: StreamPosition, by incarnation: Incarnation, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard var row = try transaction.group.streams.row(of: forwarded.stream, in: transaction) else { return }
        guard forwarded.position > row.forwarded || row.forwardedTo != incarnation else { return }
        row.forwarded = min(forwarded.position, row.last)
        row.forwardedTo = incarnation
        transaction.group.streams.update(forwarded.stream, row)
        if forwarded.stream.origin != node {
            try Outbox.release(through: forwarded.position, of: forwarded.stream, &row, in: transaction)
        }
    }

    private func adopt(
        _ start: StreamBase, from incarnation: Incarnation, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        var row = try transaction.group.streams.open(start.stream, in: transaction)
        guard start.base > row.last, start.stream.origin != node else { return }
        // A destination never steps over what it may still get.
        guard start.stream.destination != node || row.last == 0 || row.isReopened else { return }
        if start.stream.destination == node {
            try recordGap(start.stream, after: row.last, through: start.base, in: transaction)
        }
        row.begin(at: start)
        row.receivedFrom = incarnation
        try Outbox.delete(packsOf: start.stream, row.ordinal, in: transaction)
        transaction.group.streams.update(start.stream, row)
    }
}

extension Inbox {
    /// What was applied here in an earlier life and is nowhere any more: kept until a person has seen it.
    private func recordGap(
        _ stream: StreamID, after last: UInt64, through base: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        var writer = ByteWriter(capacity: 120)
        stream.append(to: &writer)
        writer.append(last + 1)
        writer.append(base)
        writer.append(transaction.now.milliseconds)
        let number = try transaction.nextNumber(MetaKey.gapCount)
        try transaction.put(.meta, MetaKey.gap(number), writer.bytes)
    }
}

extension StreamRow {
    /// Goes on from where the sender's own part of the stream begins.
    fileprivate mutating func begin(at start: StreamBase) {
        last = start.base
        lastDigest = start.digest
        base = start.base
        baseDigest = start.digest
        applied = start.base
        forwarded = start.base
    }
}

extension StoreError {
    fileprivate static func inside(_ error: any Error) -> StoreError {
        (error as? StoreError)
            ?? StoreError(.engine, "applying an envelope failed: \(error)", remedy: "see the log of the node")
    }
}
