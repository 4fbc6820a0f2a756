/// What is kept undecided, at the destination and at the origin, and how it is decided in the end.
extension Inbox {
    // MARK: At the destination

    /// What an origin may have waiting here for a decision, with a kilobyte for each: it chooses what a message says of
    /// the topology, and how many streams it has.
    static let mostHeldBytes: UInt64 = 64 << 20

    func mayHold(
        _ item: ReceivedBatch.Item, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Bool {
        let used = try transaction.number(MetaKey.heldBytes(item.header.stream.origin))
        return used + QuarantineRow.room(item.bytes.count) <= Inbox.mostHeldBytes
    }

    /// What the rights say against it: the receiver's current topology decides. What is published is held only for a newer
    /// topology: whoever may not have it passes it on.
    func refusal(
        of item: ReceivedBatch.Item, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Verdict? {
        let reason: HoldReason
        switch admission(item.header) {
        case .by(.allowed): return nil
        case .by(.denied): return .rejected("right-denied")
        case .by(.awaitsTopology): reason = .parked
        case .by(.changed): reason = .rightsChanged
        case .originDenied: reason = .denied
        }
        guard item.header.stream.destination == node || reason == .parked else { return .rejected("right-denied") }
        return try mayHold(item, in: transaction) ? .held(reason, tries: 0) : .rejected("quarantine-full")
    }

    func countHeld(
        _ bytes: Int, of origin: NodeID, isMore: Bool, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let (key, room) = (MetaKey.heldBytes(origin), QuarantineRow.room(bytes))
        let used = try transaction.number(key)
        try transaction.setNumber(key, isMore ? used + room : used - min(used, room))
    }

    /// Keeps an envelope unopened, or as it was refused, when that is the verdict.
    /// - Returns: whether it waits here for a decision; to an origin that knows nothing of holding it is refused, and
    ///   what stays here is for people to look at.
    @discardableResult
    func hold(
        _ item: ReceivedBatch.Item, _ verdict: Verdict, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Bool {
        guard case .held(let reason, let tries) = verdict else { return false }
        outcome.held.append(
            HeldPosition(stream: item.header.stream, position: item.header.position, reason: reason))
        var row = QuarantineRow(reason, tries: tries, item, at: transaction.now)
        let stays = item.header.has(.understandsHolding)
        if !stays {
            row.state = .returned
            row.code = reason.rawValue
            row.decidedAt = transaction.now
            row.decidedBy = node.text
            row.why = "its origin runs a release that knows nothing of holding"
            row.envelope = []
        } else {
            try countHeld(item.bytes.count, of: item.header.stream.origin, isMore: true, in: transaction)
        }
        try Quarantine.put(row, as: try transaction.nextNumber(MetaKey.quarantineCount), in: transaction)
        return stays
    }

    package enum Decision: String, Sendable { case release, `return` }

    /// Decides about an envelope that is held here, and tells its origin.
    /// - Parameters:
    ///   - actor: whose decision it is, such as `uid/0`.
    ///   - why: in that person's words; kept.
    /// - Throws: `no-such-quarantine`, `already-decided`; as `StoreError` what makes this node unable to work. What a
    ///   release throws otherwise ends the process: then nothing is decided and it stays here.
    package func decide(
        _ number: UInt64, _ decision: Decision, by actor: String, why: String, code: String = "quarantine-returned",
        in transaction: borrowing WriteTransaction
    ) throws -> QuarantineRow {
        guard var row = try Quarantine.row(number, in: transaction) else {
            throw FederationError(
                "no-such-quarantine", "nothing is held under number \(number)",
                remedy: "ekc quarantine list shows the numbers")
        }
        guard row.state != .asked else {
            throw FederationError(
                "origin-asked",
                "\(row.header.stream.origin) is asked what became of number \(number) before this store "
                    + "was put back", remedy: "wait for its answer: ekc quarantine show tells")
        }
        guard row.state == .held else {
            throw FederationError(
                "already-decided", "number \(number) was \(row.state.name) by \(row.decidedBy): \(row.why)",
                remedy: "nothing is left to decide")
        }
        switch decision {
        case .return: row.code = code
        case .release:
            guard admission(row.header) == .by(.allowed) else {
                throw FederationError(
                    "right-denied",
                    "number \(number), \(row.header.kind) from \(row.header.stream.origin), is not allowed by the topology "
                        + "in force", remedy: "have the right given back, or the denial lifted, first; or return it")
            }
            var outcome = ExchangeOutcome()
            row.code = try open(row.envelope, &outcome, in: transaction) ?? ""
            if row.code.isEmpty, let opened = try? EnvelopeCodec.decode(row.envelope),
                opened.header.kind.isForApplication
            {
                try application.released(opened, in: transaction)
            }
        }
        // A store that is put back from before this decision opens it again: it is not held for what was mended since.
        attempts.ended(Attempt(row.header))
        row.state = decision == .release && row.code.isEmpty ? .released : .returned
        row.decidedAt = transaction.now
        row.decidedBy = actor
        row.why = why
        try countHeld(row.envelope.count, of: row.header.stream.origin, isMore: false, in: transaction)
        row.envelope = []
        try Quarantine.put(row, as: number, in: transaction)
        let stream = row.header.stream
        guard stream.destination == node else { return row }
        if var streamRow = try transaction.group.streams.row(of: stream, in: transaction), streamRow.held > 0 {
            streamRow.held -= 1
            if row.code.isEmpty { streamRow.appliedCount += 1 } else { streamRow.rejectedCount += 1 }
            try noteRefusal(stream, row.header.position, row.code.isEmpty ? nil : row.code, in: transaction)
            transaction.group.streams.update(stream, streamRow)
        }
        let outcome: HoldOutcome = row.code.isEmpty ? .applied : .rejected(row.code)
        try sender.send(
            .receipt, id: row.header.id, to: stream.origin, body: OutcomeBody(row.header, outcome).encoded(),
            in: transaction)
        return row
    }

    /// What came before in a stream, and waited for a topology that is here now, is decided before what comes next.
    func releaseParked(of stream: StreamID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        let version = topologyVersion()
        guard released.changeQuietly({ $0 }) < version,
            try transaction.group.streams.row(of: stream, in: transaction)?.held ?? 0 > 0
        else { return }
        for (number, row) in try Quarantine.list(limit: .max, .held, in: transaction).reversed()
        where row.reason == .parked && row.header.stream == stream && row.header.topologyVersion <= version {
            do { try release(number, version, in: transaction) } catch { throw StoreError.inside(error) }
        }
    }

    /// Lets what waited for a newer topology be applied by the one that is here now; what still does not fit is refused.
    /// - Returns: how many there were, and the last of them; call it again from there until there are none.
    package func releaseParked(
        after number: UInt64, limit: Int = 64, in transaction: borrowing WriteTransaction
    ) throws -> (count: Int, last: UInt64) {
        var last = number
        var due: [UInt64] = []
        let version = topologyVersion()
        try transaction.scan(.quarantine, from: Quarantine.key(number + 1)) { key, value in
            var reader = ByteReader(Array(key))
            guard let found = try? reader.number(UInt64.self) else { return true }
            last = found
            if let row = try? QuarantineRow(decoding: Array(value)), row.state == .held, row.reason == .parked,
                row.header.topologyVersion <= version
            {
                due.append(found)
            }
            return due.count < limit
        }
        for number in due { try release(number, version, in: transaction) }
        if due.isEmpty { released.changeQuietly { $0 = max($0, version) } }
        return (due.count, last)
    }

    /// What ends the process as it is released is held for people after that, as it would be when it came.
    func release(_ number: UInt64, _ version: UInt64, in transaction: borrowing WriteTransaction) throws {
        guard var row = try Quarantine.row(number, in: transaction) else { return }
        switch admission(row.header) {
        case .by(.allowed): break
        case .by(.awaitsTopology): return
        case .by(.denied):
            // What it waited for does not allow it: it never was.
            _ = try decide(
                number, .return, by: node.text, why: "topology \(version) does not allow it", code: "right-denied",
                in: transaction)
            return
        case .by(.changed), .originDenied:
            row.reason = admission(row.header) == .originDenied ? .denied : .rightsChanged
            try Quarantine.put(row, as: number, in: transaction)
            guard row.header.stream.destination == node else { return }
            return try noteRefusal(row.header.stream, row.header.position, row.reason.rawValue, in: transaction)
        }
        let attempt = Attempt(row.header)
        let tries = attempts.tries(attempt)
        guard tries < Inbox.mostTries else {
            row.reason = .quarantined
            row.tries = UInt32(clamping: tries)
            return try Quarantine.put(row, as: number, in: transaction)
        }
        attempts.begins(attempt)
        _ = try decide(number, .release, by: node.text, why: "topology \(version) is here", in: transaction)
        attempts.ended(attempt)
    }

    // MARK: At the origin

    /// The receipt says that a destination keeps it undecided.
    /// - Returns: false when the outcome was here before.
    func keepHeld(
        _ bytes: [UInt8], _ stream: StreamID, _ position: UInt64, _ reason: HoldReason,
        _ result: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Bool {
        let place = StreamPosition(stream: stream, position: position)
        if let outcome = try Held.row(place.key, in: transaction)?.outcome {
            try transaction.delete(.held, place.key)
            try conclude(bytes[...], place, outcome.code, &result, in: transaction)
            return false
        }
        let row = HeldRow(reason: reason.rawValue, heldAt: transaction.now, envelope: bytes)
        try transaction.put(.held, place.key, row.encoded())
        if let envelope = try? EnvelopeCodec.decode(bytes), envelope.header.kind.isForApplication {
            try application.held(envelope, reason: reason, in: transaction)
        }
        return true
    }

    /// A destination that was put back has refused in the end what its earlier life had applied: it is this node's again.
    /// - Returns: false when it is not here any more.
    private func takeBackApplied(
        _ place: StreamPosition, _ code: String, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Bool {
        guard var row = try transaction.group.streams.row(of: place.stream, in: transaction) else { return false }
        guard place.position > row.refillBase, row.appliedCount > 0,
            let pack = try Outbox.pack(holding: place.position, of: row.ordinal, in: transaction)
        else { return false }
        row.appliedCount -= 1
        transaction.group.streams.update(place.stream, row)
        try conclude(pack.envelope(at: place.position), place, code, &outcome, in: transaction)
        return true
    }

    /// A destination has decided about what it held.
    func outcomeCame(
        _ message: Envelope, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws {
        guard let body = OutcomeBody.decoded(message.body),
            let stream = body.stream(from: node, to: message.header.stream.origin)
        else { throw Rejection("body-invalid") }
        guard var row = try transaction.group.streams.row(of: stream, in: transaction) else { return }
        let place = StreamPosition(stream: stream, position: body.position)
        if let held = try Held.row(place.key, in: transaction), held.outcome == nil {
            try transaction.delete(.held, place.key)
            if row.held > 0 { row.held -= 1 }
            transaction.group.streams.update(stream, row)
            try conclude(held.envelope[...], place, body.outcome.code, &outcome, in: transaction)
        } else if body.position > row.base, body.position <= row.last {
            // The receipt that says so is on its way yet.
            let early = HeldRow(outcome: body.outcome, heldAt: transaction.now)
            try transaction.put(.held, place.key, early.encoded())
        } else if let code = body.outcome.code, body.position <= row.base,
            try transaction.get(.takenBack, place.key) == nil
        {
            let isBack = try takeBackApplied(place, code, &outcome, in: transaction)
            outcome.takenBack.append(
                TakenBack(stream: stream, position: body.position, code: isBack ? "late-\(code)" : "too-late-\(code)"))
        }
    }
}

extension HoldOutcome {
    var code: String? { if case .rejected(let code) = self { code } else { nil } }
}

extension MessageKind {
    /// False for what the exchange itself understands.
    var isForApplication: Bool { !MessageKind.exchangeOwn.contains(self) }

    private static let exchangeOwn: Set<MessageKind> = [
        .topology, .probe, .receipt, .refillRequest, .refill, .outcomesRequest, .outcomes,
    ]
}
