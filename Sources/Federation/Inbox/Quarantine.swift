/// Why a destination keeps an envelope undecided, as the receipt says it to the origin.
package enum HoldReason: String, Sendable, CaseIterable {
    /// It has ended the process twice: it is not opened any more.
    case quarantined
    /// It was accepted by a topology that is newer than the one here, and does not fit this one.
    case parked
    /// It was allowed by the topology under which it was sent, and is not any more.
    case rightsChanged = "rights-changed"
    /// A security administrator has taken its origin out.
    case denied
}

/// What has become of an envelope that was held.
package enum HoldOutcome: Sendable, Hashable {
    case applied
    case rejected(String)
}

extension Table {
    /// At the destination: envelopes that are kept undecided, and what was decided about them.
    package static let quarantine = Table("quarantine")
    /// At the origin: what its destinations hold.
    package static let held = Table("held")
}

/// An envelope that its destination keeps undecided, or has decided about since: row of table `quarantine`, whose key is
/// a number that grows.
///
///     version u8 = 1 · state u8 · reason, tries u32, held at i64 · decided at i64, by whom, why, outcome's code
///     · stream, position u64, kind u8, id 16 bytes, created i64, topology version u64 · envelope: u32 length, bytes
package struct QuarantineRow: Sendable, Hashable {
    package enum State: UInt8, Sendable, CaseIterable {
        case held = 0
        /// Applied after all.
        case released = 1
        /// Refused: what it carried is its origin's again.
        case returned = 2
        /// It was held when the backup was made from which this store was put back, and may have been decided since: its
        /// origin is asked.
        case asked = 3

        package var name: String { "\(self)" }
    }

    package var state = State.held
    package var reason: HoldReason
    package var tries: UInt32
    package var heldAt: Timestamp
    package var decidedAt = Timestamp(milliseconds: 0)
    package var decidedBy = ""
    /// In the words of whoever decided.
    package var why = ""
    /// Why it was refused, when it was.
    package var code = ""
    package var header: EnvelopeHeader
    /// The envelope as it came; empty once it is decided.
    package var envelope: [UInt8]
    /// How many bytes it had.
    package var size: UInt32

    /// What it takes here while it waits.
    static func room(_ bytes: Int) -> UInt64 { UInt64(bytes) + 1024 }

    init(_ reason: HoldReason, tries: Int, _ item: ReceivedBatch.Item, at time: Timestamp) {
        self.reason = reason
        self.tries = UInt32(clamping: tries)
        heldAt = time
        header = item.header
        header.extensions = []
        envelope = item.bytes
        size = UInt32(clamping: item.bytes.count)
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 220 + envelope.count)
        writer.append(UInt8(1))
        writer.append(state.rawValue)
        writer.append(short: reason.rawValue)
        writer.append(tries)
        writer.append(heldAt.milliseconds)
        writer.append(decidedAt.milliseconds)
        for text in [decidedBy, why, code] { writer.append(short: text) }
        header.stream.append(to: &writer)
        writer.append(header.position)
        writer.append(header.kind.rawValue)
        writer.append(header.id)
        writer.append(header.created.milliseconds)
        writer.append(header.topologyVersion)
        writer.append(size)
        writer.append(UInt32(envelope.count))
        writer.append(envelope)
        return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        guard let state = State(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: 1) }
        self.state = state
        guard let reason = HoldReason(rawValue: try reader.shortText()) else { throw .invalid(at: 2) }
        self.reason = reason
        tries = try reader.number(UInt32.self)
        heldAt = Timestamp(milliseconds: try reader.number(Int64.self))
        decidedAt = Timestamp(milliseconds: try reader.number(Int64.self))
        decidedBy = try reader.shortText()
        why = try reader.shortText()
        code = try reader.shortText()
        let stream = try StreamID(from: &reader)
        let position = try reader.number(UInt64.self)
        guard let kind = MessageKind(rawValue: try reader.number(UInt8.self)) else {
            throw .invalid(at: reader.offset)
        }
        let id = try reader.id128()
        let created = Timestamp(milliseconds: try reader.number(Int64.self))
        header = EnvelopeHeader(
            stream: stream, position: position, kind: kind, id: id, created: created,
            topologyVersion: try reader.number(UInt64.self))
        size = try reader.number(UInt32.self)
        envelope = Array(try reader.take(Int(try reader.number(UInt32.self))))
    }
}

/// Table `quarantine`.
package enum Quarantine {
    static func key(_ number: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 8)
        writer.append(number)
        return writer.bytes
    }

    /// What is held and what was decided, newest first.
    /// - Parameter state: leaves out all others.
    package static func list<Transaction: Readable & ~Copyable>(
        limit: Int, _ state: QuarantineRow.State? = nil, in transaction: borrowing Transaction
    ) throws(StoreError) -> [(number: UInt64, row: QuarantineRow)] {
        var stored: [([UInt8], [UInt8])] = []
        guard limit > 0 else { return [] }
        try transaction.scanBackwards(.quarantine, from: key(.max)) { key, value in
            let value = Array(value)
            if state == nil || value.count > 1 && value[1] == state?.rawValue {
                stored.append((Array(key), value))
            }
            return stored.count < limit
        }
        var found: [(number: UInt64, row: QuarantineRow)] = []
        for (key, value) in stored {
            var reader = ByteReader(key)
            found.append((number: (try? reader.number(UInt64.self)) ?? 0, row: try decoded(value)))
        }
        return found
    }

    package static func row<Transaction: Readable & ~Copyable>(
        _ number: UInt64, in transaction: borrowing Transaction
    ) throws(StoreError) -> QuarantineRow? {
        try transaction.get(.quarantine, key(number)).map { bytes throws(StoreError) in try decoded(bytes) }
    }

    /// The row of a position whose origin is asked what became of it.
    static func asked(
        _ stream: StreamID, _ position: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> (number: UInt64, row: QuarantineRow)? {
        try list(limit: .max, .asked, in: transaction).first {
            $0.row.header.stream == stream && $0.row.header.position == position
        }
    }

    static func put(
        _ row: QuarantineRow, as number: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        try transaction.put(.quarantine, key(number), row.encoded())
    }

    private static func decoded(_ bytes: [UInt8]) throws(StoreError) -> QuarantineRow {
        do { return try QuarantineRow(decoding: bytes) } catch {
            throw StoreError(
                .damaged, "a row of table quarantine cannot be read: \(error)",
                remedy: "stop the node and restore the store from a backup")
        }
    }
}
