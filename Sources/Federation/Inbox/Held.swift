import FoundationEssentials

/// At the origin: what a destination holds undecided. Row of table `held`; key: stream ‖ position.
///
///     version u8 = 1 · what u8 (0 held, 1 applied, 2 rejected: the outcome came before the receipt) · code
///     · held at i64 · envelope: u32 length, bytes
struct HeldRow: Sendable, Hashable {
    /// Nil while it is held. One that came before the receipt said that it is held waits here for it.
    var outcome: HoldOutcome?
    var reason: String
    var heldAt: Timestamp
    var envelope: [UInt8]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 40 + envelope.count)
        writer.append(UInt8(1))
        switch outcome {
        case nil:
            writer.append(UInt8(0))
            writer.append(short: reason)
        case .applied:
            writer.append(UInt8(1))
            writer.append(short: "")
        case .rejected(let code):
            writer.append(UInt8(2))
            writer.append(short: code)
        }
        writer.append(heldAt.milliseconds)
        writer.append(UInt32(envelope.count))
        writer.append(envelope)
        return writer.bytes
    }

    init(outcome: HoldOutcome? = nil, reason: String = "", heldAt: Timestamp, envelope: [UInt8] = []) {
        self.outcome = outcome
        self.reason = reason
        self.heldAt = heldAt
        self.envelope = envelope
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        let what = try reader.number(UInt8.self)
        let code = try reader.shortText()
        outcome = what == 0 ? nil : what == 1 ? .applied : .rejected(code)
        reason = what == 0 ? code : ""
        heldAt = Timestamp(milliseconds: try reader.number(Int64.self))
        envelope = Array(try reader.take(Int(try reader.number(UInt32.self))))
    }
}

/// Table `held`, for people.
package enum Held {
    package struct Entry: Sendable, Hashable {
        package var header: EnvelopeHeader
        package var reason: String
        package var heldAt: Timestamp
    }

    /// What destinations hold of this node's, stream by stream.
    package static func list<Transaction: Readable & ~Copyable>(
        limit: Int, in transaction: borrowing Transaction
    ) throws(StoreError) -> [Entry] {
        var stored: [[UInt8]] = []
        try transaction.scan(.held, from: []) { _, value in
            stored.append(Array(value))
            return stored.count < limit
        }
        var found: [Entry] = []
        for bytes in stored {
            let row = try decoded(bytes)
            guard let envelope = try? EnvelopeCodec.decode(row.envelope) else { continue }
            found.append(Entry(header: envelope.header, reason: row.reason, heldAt: row.heldAt))
        }
        return found
    }

    static func row(
        _ key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> HeldRow? {
        try transaction.get(.held, key).map { bytes throws(StoreError) in try decoded(bytes) }
    }

    private static func decoded(_ bytes: [UInt8]) throws(StoreError) -> HeldRow {
        do { return try HeldRow(decoding: bytes) } catch {
            throw StoreError(
                .damaged, "a row of table held cannot be read: \(error)",
                remedy: "stop the node and restore the store from a backup")
        }
    }
}

/// What a destination says once it has decided about what it held: the body of a message of kind `receipt`, to the
/// origin, in a stream of its own. JSON with sorted keys.
struct OutcomeBody: Codable, Sendable, Hashable {
    /// Of the stream that the envelope came in; its origin is who gets this, its destination who sends it.
    var incarnation: String
    var lane: UInt8
    var position: UInt64
    /// Why it was refused; absent when it was applied.
    var code: String?

    init(_ header: EnvelopeHeader, _ outcome: HoldOutcome) {
        incarnation = header.stream.incarnation.text
        lane = header.stream.lane.rawValue
        position = header.position
        if case .rejected(let code) = outcome { self.code = code }
    }

    var outcome: HoldOutcome { code.map(HoldOutcome.rejected) ?? .applied }

    /// The stream that it is about, when `sender` has sent it to `origin`.
    func stream(from origin: NodeID, to sender: NodeID) -> StreamID? {
        guard let lane = Lane(rawValue: lane), let incarnation = Incarnation(text: incarnation) else { return nil }
        return StreamID(origin: origin, incarnation: incarnation, destination: sender, lane: lane)
    }

    func encoded() -> EnvelopeBody {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        // Numbers and texts always encode.
        return EnvelopeBody(bytes: Array((try? encoder.encode(self)) ?? Data()))
    }

    static func decoded(_ body: EnvelopeBody) -> OutcomeBody? {
        try? JSONDecoder().decode(OutcomeBody.self, from: Data(body.bytes))
    }
}
