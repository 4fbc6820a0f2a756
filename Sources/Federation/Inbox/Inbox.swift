/// Does the exchange's work in a write transaction. Watermark, effect and receipt of an envelope become durable
/// together or not at all.
package struct Inbox: Sendable {
    let node: NodeID
    let application: any Application
    /// What origins and destinations are told by.
    let sender: Outbox
    let attempts: any AttemptLog
    let topologyVersion: @Sendable () -> UInt64
    let admission: @Sendable (EnvelopeHeader) -> TopologyInForce.Admission
    /// Hears what a node has signed of its keys.
    let keysOffered: @Sendable (NodeID, [UInt8]) -> Void
    /// The newest version for which everything that was parked has been decided, in this process.
    let released = Monitor<UInt64>(0)
    /// Positions of one stream that one commit settles at the origin.
    static let mostSettled: UInt64 = 256
    /// What has ended the process so often is not tried again.
    static let mostTries = 2

    /// - Parameters:
    ///   - attempts: what outlives the process.
    ///   - topologyVersion: of the topology that is in force here.
    ///   - admission: what the rights that are in force here say of a message.
    package init(
        node: NodeID, application: any Application, sender: Outbox, attempts: any AttemptLog,
        topologyVersion: @escaping @Sendable () -> UInt64,
        admission: @escaping @Sendable (EnvelopeHeader) -> TopologyInForce.Admission,
        keysOffered: @escaping @Sendable (NodeID, [UInt8]) -> Void = { _, _ in }
    ) {
        self.node = node
        self.application = application
        self.sender = sender
        self.attempts = attempts
        self.topologyVersion = topologyVersion
        self.admission = admission
        self.keysOffered = keysOffered
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
            if let before = row.incarnation, before != incarnation { try forgetReceipts(of: peer, in: transaction) }
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
            transaction.group.streams.update(stream, row)
            let isForHere = stream.destination == node
            let mayAnswer = try mayAnswer(item.header, in: transaction)
            if isForHere, !row.takesMore || !mayAnswer {
                outcome.refused.insert(stream)
            } else if isForHere {
                try apply(item, &outcome, in: transaction)
            } else if stream.destination == .everyone {
                try hold(item, try attempt(item, &outcome, in: transaction), &outcome, in: transaction)
                Outbox.keep(item.bytes, as: stream, &row, in: transaction)
            } else if mayRelay, transaction.group.rooms.hasPlace(Room(stream), for: .relay) {
                Outbox.keep(item.bytes, as: stream, &row, in: transaction)
            } else {
                outcome.refused.insert(stream)
            }
        }
    }

    /// Who asks for a refill waits while what was given before is not fetched: nobody fills this store by asking. What
    /// counts is what the next hop holds, not what is decided: that may wait for the refill.
    private func mayAnswer(
        _ header: EnvelopeHeader, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Bool {
        guard header.kind == .refillRequest else { return true }
        let answers = StreamID(
            origin: node, incarnation: sender.incarnation, destination: header.stream.origin,
            lane: MessageKind.refill.lane)
        guard let row = try transaction.group.streams.row(of: answers, in: transaction) else { return true }
        return row.last - min(row.last, max(row.forwarded, row.base)) <= Exchange.window
    }

    enum Verdict {
        case applied
        case rejected(String)
        case held(HoldReason, tries: Int)
    }

    /// Applies an envelope, unless it has ended the process too often. What is published is rejected by nobody: whoever
    /// cannot use it passes it on.
    func attempt(
        _ item: ReceivedBatch.Item, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Verdict {
        if let verdict = try refusal(of: item, in: transaction) { return verdict }
        // A refill is only the way in which another envelope comes: that one is counted.
        guard item.header.kind != .refill else {
            return try open(item.bytes, &outcome, in: transaction).map(Verdict.rejected) ?? .applied
        }
        let attempt = Attempt(item.header)
        let tries = attempts.tries(attempt)
        guard tries < Inbox.mostTries else {
            return try mayHold(item, in: transaction) ? .held(.quarantined, tries: tries) : .rejected("quarantine-full")
        }
        attempts.begins(attempt)
        let code = try open(item.bytes, &outcome, in: transaction)
        attempts.ended(attempt)
        guard let code else { return .applied }
        guard item.header.topologyVersion > topologyVersion(), item.header.kind.isForApplication,
            try mayHold(item, in: transaction)
        else { return .rejected(code) }
        return .held(.parked, tries: 1)
    }

    /// The effect of an envelope, in a part of its own.
    /// - Returns: why it was refused, or nil.
    func open(
        _ bytes: [UInt8], _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> String? {
        let verdict: Swift.Result<Void, any Error> = try transaction.attempt { part in
            guard let envelope = try? EnvelopeCodec.decode(bytes) else { throw Rejection("envelope-invalid") }
            switch envelope.header.kind {
            // Nothing of it is in the store: who has offered in vain offers again.
            case .topology: keysOffered(envelope.header.stream.origin, envelope.body.bytes)
            case .probe: try part.setNumber(MetaKey.probes, try part.number(MetaKey.probes) + 1)
            case .receipt: try outcomeCame(envelope, &outcome, in: part)
            case .refillRequest: try refill(envelope, in: part)
            case .refill: try refilled(envelope, &outcome, in: part)
            case .outcomesRequest: try tellOutcomes(envelope, in: part)
            case .outcomes: try outcomesCame(envelope, &outcome, in: part)
            default: try application.apply(envelope, in: part)
            }
        }
        guard case .failure(let error) = verdict else { return nil }
        // What it would have sent in turn may not be sent.
        if let error = error as? StoreError, error.code == .rightDenied { return error.code.rawValue }
        guard let rejection = error as? Rejection else { throw StoreError.inside(error) }
        return rejection.code
    }

    private func apply(
        _ item: ReceivedBatch.Item, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let position = item.header.position
        try releaseParked(of: item.header.stream, in: transaction)
        let verdict = try attempt(item, &outcome, in: transaction)
        let stays = try hold(item, verdict, &outcome, in: transaction)
        // The effect may have changed this very stream: a refill comes in one and is of one.
        var row = try transaction.group.streams.open(item.header.stream, in: transaction)
        try count(verdict, of: item.header, stays: stays, in: &row, transaction)
        row.last = position
        row.lastDigest = row.lastDigest.extended(by: item.bytes[...])
        row.base = row.last
        row.baseDigest = row.lastDigest
        row.applied = row.last
        row.refillBase = row.last
        transaction.group.streams.update(item.header.stream, row)
    }

    /// Counts what became of an envelope, and notes what did not take effect.
    /// - Parameter stays: of one that is held: here, for a decision.
    func count(
        _ verdict: Verdict, of header: EnvelopeHeader, stays: Bool, in row: inout StreamRow,
        _ transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let code: String
        switch verdict {
        case .applied: return row.appliedCount += 1
        case .rejected(let why):
            code = why
            row.rejectedCount += 1
        case .held(let reason, _):
            code = reason.rawValue
            if stays { row.held += 1 } else { row.rejectedCount += 1 }
        }
        row.rejections.append(RejectedPosition(position: header.position, code: code))
        try noteRefusal(header.stream, header.position, code, in: transaction)
    }

    private func settle(
        _ state: ReceiptState, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard var row = try transaction.group.streams.row(of: state.stream, in: transaction) else { return }
        guard state.stream.origin == node else {
            // The newest one counts, even when it says less: its destination may have been put back.
            row.applied = state.applied
            row.rejections = state.rejections
            transaction.group.streams.update(state.stream, row)
            return
        }
        if let tally = state.tally, tally.lost > 0, tally.missing == 0 {
            try lost(tally.lost, of: state.stream, &outcome, in: transaction)
        }
        row.safe = max(row.safe, state.tally?.safe ?? 0)
        let applied = min(state.applied, row.last, row.base + Inbox.mostSettled)
        guard applied > row.base else {
            return try Outbox.trimRefillLog(of: state.stream, &row, in: transaction)
        }
        transaction.group.streams.update(state.stream, row)
        guard state.stream.incarnation == sender.incarnation else {
            return try askOutcomes(state.stream, through: min(state.applied, row.last), in: transaction)
        }
        let refused = Dictionary(
            state.rejections.map { ($0.position, $0.code) }, uniquingKeysWith: { first, _ in first })
        try settle(state.stream, through: applied, refused, &outcome, in: transaction)
    }

    /// A destination has lost what it had applied, and nobody has it any more: people hear of it at this end too.
    private func lost(
        _ count: UInt64, of stream: StreamID, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let more = try Gaps.noteLost(count, of: stream, in: transaction)
        guard more > 0 else { return }
        outcome.lostThere.append(LostThere(stream: stream, count: more))
        try application.lost(at: stream.destination, in: transaction)
    }

    /// Acts on what became of a stream's positions, from its base on.
    func settle(
        _ stream: StreamID, through applied: UInt64, _ refused: [UInt64: String], _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard var row = try transaction.group.streams.row(of: stream, in: transaction) else { return }
        var position = row.base + 1
        var held: UInt32 = 0
        var bytes = 0
        while position <= applied {
            guard let pack = try Outbox.pack(holding: position, of: row.ordinal, in: transaction) else {
                throw StoreError.missing(position, row.ordinal)
            }
            if pack.last <= applied { bytes += pack.roomBytes }
            while position <= min(applied, pack.last) {
                let envelope = pack.envelope(at: position)
                if let reason = refused[position].flatMap(HoldReason.init) {
                    if try keepHeld(Array(envelope), stream, position, reason, &outcome, in: transaction) {
                        held += 1
                        outcome.held.append(HeldPosition(stream: stream, position: position, reason: reason))
                    }
                } else {
                    if let code = refused[position] {
                        outcome.takenBack.append(TakenBack(stream: stream, position: position, code: code))
                    }
                    try conclude(
                        envelope, StreamPosition(stream: stream, position: position), refused[position], &outcome,
                        in: transaction)
                }
                position += 1
            }
        }
        // Acting on a receipt may have sent something in the same stream.
        row = try transaction.group.streams.open(stream, in: transaction)
        row.applied = applied
        row.settled = applied
        row.held += held
        try Outbox.settle(through: applied, bytes, of: stream, &row, in: transaction)
        try Outbox.trimRefillLog(of: stream, &row, in: transaction)
    }

    /// A position of this node's is decided: it is counted, acted on, and not refilled when it was refused.
    func conclude(
        _ bytes: ArraySlice<UInt8>, _ place: StreamPosition, _ code: String?, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        var row = try transaction.group.streams.open(place.stream, in: transaction)
        if code == nil { row.appliedCount += 1 } else { row.rejectedCount += 1 }
        transaction.group.streams.update(place.stream, row)
        if let code { try transaction.put(.takenBack, place.key, Array(code.utf8)) }
        try decided(bytes, code, &outcome, in: transaction)
    }

    /// An envelope of this node's, and why it was refused, if it was.
    func decided(
        _ bytes: ArraySlice<UInt8>, _ code: String?, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        if code == nil {
            // What the exchange itself has sent has nobody to tell: its body is not taken out.
            var reader = ByteReader(bytes)
            if let header = try? EnvelopeCodec.decodeHeader(&reader), !header.kind.isForApplication { return }
        }
        guard let envelope = try? EnvelopeCodec.decode(Array(bytes)) else {
            throw StoreError(
                .damaged, "an envelope of table outbox cannot be read", remedy: "restore the store from a backup")
        }
        guard envelope.header.kind.isForApplication else {
            if code != nil, envelope.header.kind == .outcomesRequest {
                try outcomesUnknown(envelope, &outcome, in: transaction)
            } else if code != nil, envelope.header.kind == .refillRequest {
                try refillUnknown(envelope, &outcome, in: transaction)
            }
            return
        }
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

    /// A destination that was put back decides anew what its earlier life had: what that said is not passed on any more.
    private func forgetReceipts(of peer: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        for change in try Sessions.streams(in: transaction)
        where change.id.destination == peer && change.id.origin != node {
            guard var row = try transaction.group.streams.row(of: change.id, in: transaction) else { continue }
            row.applied = 0
            row.rejections = []
            transaction.group.streams.update(change.id, row)
        }
    }

    private func adopt(
        _ start: StreamBase, from incarnation: Incarnation, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        var row = try transaction.group.streams.open(start.stream, in: transaction)
        guard start.base > row.last, start.stream.origin != node else { return }
        // A destination steps over nothing: what is missing is asked for at its origin, whoever let it go.
        if start.stream.destination == node,
            try !openGap(start.stream, &row, through: start.base, in: transaction)
        {
            return
        }
        row.begin(at: start)
        row.receivedFrom = incarnation
        try Outbox.delete(packsOf: start.stream, row.ordinal, in: transaction)
        transaction.group.streams.update(start.stream, row)
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
        refillBase = start.base
    }
}

extension StoreError {
    static func inside(_ error: any Error) -> StoreError {
        (error as? StoreError)
            ?? StoreError(.engine, "applying an envelope failed: \(error)", remedy: "see the log of the node")
    }
}
