/// Does the exchange's work in a write transaction. Watermark, effect and receipt of an envelope become durable
/// together or not at all.
package struct Inbox: Sendable {
    let node: NodeID
    let application: any Application
    private let attempts: any AttemptLog
    let topologyVersion: @Sendable () -> UInt64
    /// Positions of one stream that one commit settles at the origin.
    static let mostSettled: UInt64 = 256
    /// What has ended the process so often is not tried again.
    static let mostTries = 2

    /// - Parameters:
    ///   - attempts: what outlives the process.
    ///   - topologyVersion: of the topology that is in force here.
    package init(
        node: NodeID, application: any Application, attempts: any AttemptLog,
        topologyVersion: @escaping @Sendable () -> UInt64
    ) {
        self.node = node
        self.application = application
        self.attempts = attempts
        self.topologyVersion = topologyVersion
    }

    /// - Parameter mayRelay: false when envelopes of others find no room in the store.
    package func perform(
        _ work: ExchangeWork, mayRelay: Bool = true, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> ExchangeOutcome {
        var outcome = ExchangeOutcome()
        switch work {
        case .receive(let batch): try receive(batch, mayRelay: mayRelay, &outcome, in: transaction)
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
        _ batch: ReceivedBatch, mayRelay: Bool, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        for item in batch.envelopes {
            let stream = item.header.stream
            guard !outcome.refused.contains(stream) else { continue }
            var row = try transaction.group.streams.open(stream, in: transaction)
            // A duplicate is done already; a gap cannot be: the session counts positions and closes on one.
            guard item.header.position == row.last + 1 else { continue }
            row.receivedFrom = batch.incarnation
            row.isReopened = false
            if stream.destination == node, !row.takesMore {
                outcome.refused.insert(stream)
            } else if stream.destination == node {
                try apply(item, &row, &outcome, in: transaction)
            } else if stream.destination == .everyone {
                if case .held(let reason, let tries) = try attempt(item, in: transaction) {
                    try hold(item, reason, tries: tries, &outcome, in: transaction)
                }
                Outbox.keep(item.bytes, as: stream, &row, in: transaction)
            } else if mayRelay, transaction.group.rooms.hasPlace(Room(stream), for: .relay) {
                Outbox.keep(item.bytes, as: stream, &row, in: transaction)
            } else {
                outcome.refused.insert(stream)
            }
        }
    }

    private enum Verdict {
        case applied
        case rejected(String)
        case held(HoldReason, tries: Int)
    }

    /// Applies an envelope, unless it has ended the process too often. What is published is rejected by nobody: whoever
    /// cannot use it passes it on.
    private func attempt(
        _ item: ReceivedBatch.Item, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Verdict {
        let attempt = Attempt(position: item.header.position, id: item.header.id)
        let tries = attempts.tries(attempt)
        guard tries < Inbox.mostTries else { return .held(.quarantined, tries: tries) }
        attempts.begins(attempt)
        let code = try open(item.bytes, in: transaction)
        attempts.ended(attempt)
        guard let code else { return .applied }
        let isNewer = item.header.topologyVersion > topologyVersion()
        return isNewer && item.header.kind != .receipt ? .held(.parked, tries: 1) : .rejected(code)
    }

    /// The effect of an envelope, in a part of its own.
    /// - Returns: why it was refused, or nil.
    func open(_ bytes: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreError) -> String? {
        let verdict: Swift.Result<Void, any Error> = try transaction.attempt { part in
            guard let envelope = try? EnvelopeCodec.decode(bytes) else { throw Rejection("envelope-invalid") }
            switch envelope.header.kind {
            case .probe: try part.setNumber(MetaKey.probes, try part.number(MetaKey.probes) + 1)
            case .receipt: try outcomeCame(envelope, in: part)
            default: try application.apply(envelope, in: part)
            }
        }
        guard case .failure(let error) = verdict else { return nil }
        guard let rejection = error as? Rejection else { throw StoreError.inside(error) }
        return rejection.code
    }

    private func apply(
        _ item: ReceivedBatch.Item, _ row: inout StreamRow, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let position = item.header.position
        switch try attempt(item, in: transaction) {
        case .applied: break
        case .rejected(let code): row.rejections.append(RejectedPosition(position: position, code: code))
        case .held(let reason, let tries):
            if try hold(item, reason, tries: tries, &outcome, in: transaction) { row.held += 1 }
            row.rejections.append(RejectedPosition(position: position, code: reason.rawValue))
        }
        row.last = position
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
        var held: UInt32 = 0
        while position <= applied {
            guard let pack = try Outbox.pack(holding: position, of: row.ordinal, in: transaction) else {
                throw StoreError.missing(position, row.ordinal)
            }
            while position <= min(applied, pack.last) {
                let bytes = Array(pack.envelope(at: position))
                if let reason = refused[position].flatMap(HoldReason.init) {
                    if try keepHeld(bytes, state.stream, position, reason, in: transaction) {
                        held += 1
                        outcome.held.append(
                            HeldPosition(stream: state.stream, position: position, reason: reason))
                    }
                } else {
                    if let code = refused[position] {
                        outcome.takenBack.append(TakenBack(stream: state.stream, position: position, code: code))
                    }
                    try decided(bytes, refused[position], in: transaction)
                }
                position += 1
            }
        }
        // Acting on a receipt may have sent something in the same stream.
        row = try transaction.group.streams.open(state.stream, in: transaction)
        row.applied = applied
        row.settled = applied
        row.held += held
        try Outbox.release(through: applied, of: state.stream, &row, in: transaction)
        transaction.group.streams.update(state.stream, row)
    }

    /// An envelope of this node's, and why it was refused, if it was.
    func decided(
        _ bytes: [UInt8], _ code: String?, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let envelope = try? EnvelopeCodec.decode(bytes) else {
            throw StoreError(
                .damaged, "an envelope of table outbox cannot be read", remedy: "restore the store from a backup")
        }
        guard envelope.header.kind.isForApplication else { return }
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
    static func inside(_ error: any Error) -> StoreError {
        (error as? StoreError)
            ?? StoreError(.engine, "applying an envelope failed: \(error)", remedy: "see the log of the node")
    }
}
