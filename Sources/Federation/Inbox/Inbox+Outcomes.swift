extension Table {
    /// At the destination: what became of positions that did not take effect; key: stream ‖ position, value: the code, or
    /// a `HoldReason` while it is held. An origin that was put back from a backup asks for it.
    package static let refusals = Table("refusals")
}

/// An origin whose store was put back has forgotten what it was told of streams of its earlier life, and its destination
/// has forgotten what was settled: a plain receipt would call applied what was refused. So it asks.
extension Inbox {
    // MARK: At the destination

    /// Notes what became of a position; nil: it took effect.
    func noteRefusal(
        _ stream: StreamID, _ position: UInt64, _ code: String?, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let key = StreamPosition(stream: stream, position: position).key
        guard let code else {
            try transaction.delete(.refusals, key)
            return
        }
        try transaction.put(.refusals, key, Array(code.utf8))
        guard position > Inbox.refusalsKept else { return }
        let (prefix, oldest) = (stream.key, StreamPosition(stream: stream, position: position - Inbox.refusalsKept).key)
        var gone: [[UInt8]] = []
        try transaction.scan(.refusals, from: prefix) { key, _ in
            let key = Array(key)
            guard key.starts(with: prefix), key.lexicographicallyPrecedes(oldest), gone.count < 2 else { return false }
            gone.append(key)
            return true
        }
        for key in gone { try transaction.delete(.refusals, key) }
    }

    /// Positions of a stream back from the newest that is refused: an origin whose backup is older hears of what was
    /// refused before as applied.
    static let refusalsKept: UInt64 = 100_000

    /// Says what became of positions, as far as it is known: what is being refilled is not yet.
    func tellOutcomes(_ message: Envelope, in transaction: borrowing WriteTransaction) throws {
        guard let asked = try? OutcomesRequest(decoding: message.body.bytes), asked.last >= asked.first else {
            throw Rejection("body-invalid")
        }
        let stream = StreamID(
            origin: message.header.stream.origin, incarnation: asked.incarnation, destination: node, lane: asked.lane)
        guard let row = try transaction.group.streams.row(of: stream, in: transaction) else { return }
        var last = min(asked.last, row.last, asked.first + Inbox.mostSettled - 1)
        for (_, gap) in try Gaps.list(of: stream, in: transaction) where gap.isOpen && gap.last >= asked.first {
            last = min(last, max(gap.next, asked.first) - 1)
        }
        guard last >= asked.first else { return }
        var refused: [RejectedPosition] = []
        let prefix = stream.key
        try transaction.scan(.refusals, from: StreamPosition(stream: stream, position: asked.first).key) { key, value in
            let key = Array(key)
            guard key.starts(with: prefix) else { return false }
            var reader = ByteReader(Array(key[prefix.count...]))
            guard let position = try? reader.number(UInt64.self), position <= last else { return false }
            refused.append(RejectedPosition(position: position, code: String(decoding: Array(value), as: UTF8.self)))
            return true
        }
        let answer = Outcomes(
            lane: asked.lane, incarnation: asked.incarnation, first: asked.first, last: last, refused: refused)
        try sender.send(
            .outcomes, id: message.header.id, to: stream.origin, body: answer.encoded(), in: transaction)
    }

    // MARK: At the origin

    /// Asks once for what is not settled yet, until the answer comes or a newer receipt.
    func askOutcomes(
        _ stream: StreamID, through last: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let row = try transaction.group.streams.row(of: stream, in: transaction), last > row.base else { return }
        let request = OutcomesRequest(
            lane: stream.lane, incarnation: stream.incarnation, first: row.base + 1, last: last)
        try sender.send(
            .outcomesRequest, id: stream.incarnation.bits, to: stream.destination, body: request.encoded(),
            in: transaction)
    }

    func outcomesCame(
        _ message: Envelope, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws {
        guard let told = try? Outcomes(decoding: message.body.bytes) else { throw Rejection("body-invalid") }
        let stream = StreamID(
            origin: node, incarnation: told.incarnation, destination: message.header.stream.origin, lane: told.lane)
        guard let row = try transaction.group.streams.row(of: stream, in: transaction), told.first <= row.base + 1,
            told.last > row.base
        else { return }
        let refused = Dictionary(
            told.refused.map { ($0.position, $0.code) }, uniquingKeysWith: { first, _ in first })
        let last = min(told.last, row.last, row.base + Inbox.mostSettled)
        try settle(stream, through: last, refused, &outcome, in: transaction)
        try askOutcomes(stream, through: row.last, in: transaction)
    }

    /// A destination that runs release 0.1.0 cannot say: what it has decided is taken as applied.
    func outcomesUnknown(
        _ envelope: Envelope, _ outcome: inout ExchangeOutcome, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let asked = try? OutcomesRequest(decoding: envelope.body.bytes) else { return }
        let stream = StreamID(
            origin: node, incarnation: asked.incarnation, destination: envelope.header.stream.destination,
            lane: asked.lane)
        guard let row = try transaction.group.streams.row(of: stream, in: transaction), asked.last > row.base else {
            return
        }
        try settle(stream, through: min(asked.last, row.last), [:], &outcome, in: transaction)
    }
}
