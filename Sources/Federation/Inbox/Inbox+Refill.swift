/// What an earlier life of a destination had decided comes back from its origin, once.
extension Inbox {
    /// Positions that one request asks for.
    static let refillCount: UInt32 = 64
    /// Gaps of one stream that are kept, those that are closed too.
    static let mostGaps = 64
    /// Bytes that one answer holds, about: what is new waits behind it in the same stream, 0.3 s on 1 Mbit/s.
    static let refillBytes = 32 << 10

    // MARK: At the destination

    /// The previous hop has let go of positions that this store knows nothing of: the lane goes on behind them, and
    /// their origin is asked.
    /// - Returns: false when too much is missing of it already.
    func openGap(
        _ stream: StreamID, _ row: inout StreamRow, through base: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Bool {
        let known = try Gaps.list(of: stream, in: transaction).map(\.gap)
        if known.count >= Inbox.mostGaps {
            guard let done = known.first(where: { !$0.isOpen }) else { return false }
            try transaction.delete(.gaps, StreamPosition(stream: stream, position: done.first).key)
        }
        var gap = GapRow(first: row.last + 1, last: base, at: transaction.now)
        row.missing += base - row.last
        if row.missingFrom == 0 { row.missingFrom = gap.first }
        try ask(stream, &gap, in: transaction)
        return true
    }

    /// In a store that was put back: what was held in it may have been decided since, and its origin knows. It is missing
    /// until the origin has said.
    static func doubtHeld(at node: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        for (number, held) in try Quarantine.list(limit: .max, .held, in: transaction)
        where held.header.stream.destination == node {
            let (stream, position) = (held.header.stream, held.header.position)
            guard var row = try transaction.group.streams.row(of: stream, in: transaction), row.held > 0 else {
                continue
            }
            var doubted = held
            doubted.state = .asked
            try Quarantine.put(doubted, as: number, in: transaction)
            row.held -= 1
            row.missing += 1
            row.rejections.removeAll { $0.position == position }
            row.missingFrom = row.missingFrom == 0 ? position : min(row.missingFrom, position)
            try transaction.delete(.refusals, StreamPosition(stream: stream, position: position).key)
            try Gaps.put(GapRow(first: position, last: position, at: transaction.now), of: stream, in: transaction)
            transaction.group.streams.update(stream, row)
        }
    }

    /// The origin has nothing to say of what was held here: it is held again, as it was.
    private func holdAgain(
        _ stream: StreamID, _ gap: inout GapRow, in transaction: borrowing WriteTransaction
    ) throws -> Bool {
        guard let (number, asked) = try Quarantine.asked(stream, gap.next, in: transaction) else { return false }
        var held = asked
        held.state = .held
        try Quarantine.put(held, as: number, in: transaction)
        try count(stream, in: transaction) { $0.held += 1 }
        try noteRefusal(stream, gap.next, held.reason.rawValue, in: transaction)
        gap.next += 1
        // What waited for a topology that is here by now was passed over when this process looked.
        let version = topologyVersion()
        if held.reason == .parked, held.header.topologyVersion <= version {
            try release(number, version, in: transaction)
        }
        return true
    }

    /// The origin has said what became of it, or sends it again: what was held here has done its service.
    private func forgetAsked(
        _ stream: StreamID, _ position: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let (number, row) = try Quarantine.asked(stream, position, in: transaction) else { return }
        try countHeld(row.envelope.count, of: stream.origin, isMore: false, in: transaction)
        try transaction.delete(.quarantine, Quarantine.key(number))
    }

    /// Asks for what is missing, a part at a time: the last answer to one request is the reason for the next.
    private func ask(
        _ stream: StreamID, _ gap: inout GapRow, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        gap.asked = min(gap.last, gap.next + UInt64(Inbox.refillCount) - 1)
        try Gaps.put(gap, of: stream, in: transaction)
        let request = RefillRequest(
            lane: stream.lane, incarnation: stream.incarnation, first: gap.next,
            count: UInt32(clamping: gap.asked - gap.next + 1))
        try sender.send(
            .refillRequest, id: stream.incarnation.bits, to: stream.origin, body: request.encoded(), in: transaction)
    }

    /// An origin that runs release 0.1.0 keeps nothing that could be given back.
    func refillUnknown(
        _ envelope: Envelope, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let request = try? RefillRequest(decoding: envelope.body.bytes) else { return }
        let stream = StreamID(
            origin: envelope.header.stream.destination, incarnation: request.incarnation, destination: node,
            lane: request.lane)
        for (_, gap) in try Gaps.list(of: stream, in: transaction) where gap.isOpen && gap.next == request.first {
            var gap = gap
            try lose(stream, &gap, through: gap.last, &outcome, in: transaction)
            try Gaps.put(gap, of: stream, in: transaction)
            try noteFloor(stream, in: transaction)
        }
    }

    /// Nobody will answer any more: what is missing of an origin is lost. A person has said so.
    /// - Returns: how many positions.
    package func giveUp(_ origin: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError) -> UInt64 {
        var outcome = ExchangeOutcome()
        for (stream, gap) in try Gaps.list(in: transaction)
        where stream.origin == origin && stream.destination == node && gap.isOpen {
            var gap = gap
            try lose(stream, &gap, through: gap.last, &outcome, in: transaction)
            try Gaps.put(gap, of: stream, in: transaction)
            try noteFloor(stream, in: transaction)
        }
        return outcome.lost.reduce(0) { $0 + $1.last - $1.first + 1 }
    }

    /// Positions that no one has any more.
    private func lose(
        _ stream: StreamID, _ gap: inout GapRow, through last: UInt64, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let lost = last - gap.next + 1
        try count(stream, lost, in: transaction) { $0.lostCount += lost }
        outcome.lost.append(LostPositions(stream: stream, first: gap.next, last: last))
        gap.lost += lost
        gap.next = last + 1
    }

    /// Asks again for whatever is still missing: an origin that was replaced may never have seen the request.
    package func askAgain(in transaction: borrowing WriteTransaction) throws(StoreError) {
        for (stream, gap) in try Gaps.list(in: transaction) where gap.isOpen {
            var gap = gap
            try ask(stream, &gap, in: transaction)
        }
    }

    func refilled(
        _ message: Envelope, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws {
        guard let refill = try? Refill(decoding: message.body.bytes) else { throw Rejection("body-invalid") }
        let stream = StreamID(
            origin: message.header.stream.origin, incarnation: refill.incarnation, destination: node,
            lane: refill.lane)
        // What was asked for twice comes twice.
        let gaps = try Gaps.list(of: stream, in: transaction).map(\.gap)
        guard var gap = gaps.first(where: { $0.isOpen && $0.next == refill.position }) else { return }
        if refill.what != .gone { try forgetAsked(stream, refill.position, in: transaction) }
        switch refill.what {
        case .envelope, .held, .applied:
            try take(refill, stream, &outcome, in: transaction)
            gap.next += 1
        case .takenBack:
            try count(stream, in: transaction) { $0.rejectedCount += 1 }
            gap.next += 1
        case .void:
            try count(stream, in: transaction) { $0.appliedCount += 1 }
            gap.next += 1
        case .gone where try holdAgain(stream, &gap, in: transaction): break
        case .gone: try lose(stream, &gap, through: min(refill.through, gap.last), &outcome, in: transaction)
        }
        if gap.isOpen, refill.isLast || gap.next > gap.asked {
            try ask(stream, &gap, in: transaction)
        } else {
            try Gaps.put(gap, of: stream, in: transaction)
        }
        try noteFloor(stream, in: transaction)
    }

    /// What is decided below the first position that is missing may be told.
    private func noteFloor(_ stream: StreamID, in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard var row = try transaction.group.streams.row(of: stream, in: transaction) else { return }
        row.missingFrom = try Gaps.list(of: stream, in: transaction).filter { $0.gap.isOpen }.map(\.gap.next).min() ?? 0
        transaction.group.streams.update(stream, row)
    }

    private func take(
        _ refill: Refill, _ stream: StreamID, _ outcome: inout ExchangeOutcome,
        in transaction: borrowing WriteTransaction
    ) throws {
        var reader = ByteReader(refill.envelope)
        guard let header = try? EnvelopeCodec.decodeHeader(&reader), header.stream == stream,
            header.position == refill.position, header.kind != .refill
        else { throw Rejection("body-invalid") }
        let item = ReceivedBatch.Item(header: header, bytes: refill.envelope)
        let verdict = try attempt(item, &outcome, in: transaction)
        if case .rejected(let code) = verdict {
            outcome.takenBack.append(TakenBack(stream: stream, position: refill.position, code: "refill-\(code)"))
            // It has had its effect and something newer stands in its place: both ends go on counting it as applied.
            if refill.what == .applied, code == Rejection.superseded {
                return try count(stream, in: transaction) { $0.appliedCount += 1 }
            }
        }
        try tell(verdict, of: header, asIn: refill.what, in: transaction)
        let stays = try hold(item, verdict, &outcome, in: transaction)
        guard var row = try transaction.group.streams.row(of: stream, in: transaction) else { return }
        row.missing -= min(row.missing, 1)
        try count(verdict, of: header, stays: stays, in: &row, transaction)
        transaction.group.streams.update(stream, row)
    }

    /// What the origin has counted as held or as applied, and has become something else: it hears so. Of what is held
    /// again it hears when that is decided.
    private func tell(
        _ verdict: Verdict, of header: EnvelopeHeader, asIn what: Refill.What,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let outcome: HoldOutcome
        switch (what, verdict) {
        case (.held, .applied): outcome = .applied
        case (.held, .rejected(let code)), (.applied, .rejected(let code)): outcome = .rejected(code)
        default: return
        }
        try sender.send(
            .receipt, id: header.id, to: header.stream.origin, body: OutcomeBody(header, outcome).encoded(),
            in: transaction)
    }

    /// Changes the counts of a stream, by positions that are not missing any more.
    private func count(
        _ stream: StreamID, _ positions: UInt64 = 1, in transaction: borrowing WriteTransaction,
        _ change: (inout StreamRow) -> Void
    ) throws(StoreError) {
        guard var row = try transaction.group.streams.row(of: stream, in: transaction) else { return }
        row.missing -= min(row.missing, positions)
        change(&row)
        transaction.group.streams.update(stream, row)
    }

    // MARK: At the origin

    /// Gives back what a destination asks for, as far as it is kept.
    func refill(_ message: Envelope, in transaction: borrowing WriteTransaction) throws {
        guard let request = try? RefillRequest(decoding: message.body.bytes), request.first > 0, request.count > 0
        else {
            throw Rejection("body-invalid")
        }
        let destination = message.header.stream.origin
        let stream = StreamID(
            origin: node, incarnation: request.incarnation, destination: destination, lane: request.lane)
        let wanted = request.first + UInt64(min(request.count, Inbox.refillCount)) - 1
        guard let row = try transaction.group.streams.row(of: stream, in: transaction) else {
            return try give(
                Refill(.gone, of: stream, request.first, through: wanted, isLast: true), to: destination,
                in: transaction)
        }
        // What this store itself has forgotten, because it was put back, is gone too.
        let through = min(wanted, row.last)
        var next = request.first
        if next <= row.refillBase {
            let gone = row.refillBase
            try give(
                Refill(.gone, of: stream, next, through: gone, isLast: gone >= wanted), to: destination,
                in: transaction)
            next = gone + 1
        }
        var bytes = 0
        while next <= through {
            guard let pack = try Outbox.pack(holding: next, of: row.ordinal, in: transaction) else {
                throw StoreError.missing(next, row.ordinal)
            }
            while next <= min(through, pack.last) {
                let isTakenBack =
                    try transaction.get(.takenBack, StreamPosition(stream: stream, position: next).key) != nil
                let envelope = isTakenBack ? [] : Array(pack.envelope(at: next))
                bytes += envelope.count
                let isLast = next == wanted || bytes >= Inbox.refillBytes
                var what = isTakenBack ? .takenBack : Inbox.what(envelope)
                if what == .envelope, next <= row.base {
                    let isHeld = try transaction.get(.held, StreamPosition(stream: stream, position: next).key) != nil
                    what = isHeld ? .held : .applied
                }
                try give(
                    Refill(
                        what, of: stream, next, envelope: what.carriesEnvelope ? envelope : [],
                        isLast: isLast),
                    to: destination, in: transaction)
                if what.carriesEnvelope, let opened = try? EnvelopeCodec.decode(envelope),
                    opened.header.kind.isForApplication
                {
                    try application.refilled(opened, in: transaction)
                }
                if isLast { return }
                next += 1
            }
        }
        if next <= wanted {
            try give(
                Refill(.gone, of: stream, next, through: wanted, isLast: true), to: destination, in: transaction)
        }
    }

    private static func what(_ envelope: [UInt8]) -> Refill.What {
        var reader = ByteReader(envelope)
        if let header = try? EnvelopeCodec.decodeHeader(&reader), header.kind == .refill { return .void }
        // One that release 0.1.0 took at its largest does not fit into another.
        return envelope.count > EnvelopeCodec.maximumBytes - Outbox.refillMargin ? .gone : .envelope
    }

    private func give(
        _ refill: Refill, to destination: NodeID, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        try sender.send(
            .refill, id: ID128(high: refill.incarnation.bits.high, low: refill.position), to: destination,
            body: refill.encoded(), in: transaction)
    }
}
