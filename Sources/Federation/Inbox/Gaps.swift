extension Table {
    /// At the destination: positions that an earlier life of this store has decided, and this one knows nothing of.
    package static let gaps = Table("gaps")
    /// At the origin: positions whose envelopes this node has taken back. They are not refilled.
    package static let takenBack = Table("taken-back")
}

/// Positions of a stream that are missing here: row of table `gaps`; key: stream ‖ first position. At the origin, under
/// position 0, what its destination has lost: `last` as it counts, `lost` in all its lives.
///
///     version u8 = 1 · next, last, asked, lost u64 · found at i64
package struct GapRow: Sendable, Hashable {
    package var first: UInt64
    /// The position that must come next; beyond `last` when nothing is missing any more.
    package var next: UInt64
    package var last: UInt64
    /// What the origin has been asked for, through here.
    package var asked: UInt64 = 0
    /// Positions that their origin does not have any more.
    package var lost: UInt64 = 0
    package var foundAt: Timestamp

    package var isOpen: Bool { next <= last }

    init(first: UInt64, last: UInt64, at time: Timestamp) {
        self.first = first
        next = first
        self.last = last
        foundAt = time
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 41)
        writer.append(UInt8(1))
        for number in [next, last, asked, lost] { writer.append(number) }
        writer.append(foundAt.milliseconds)
        return writer.bytes
    }

    init(decoding bytes: [UInt8], first: UInt64) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        self.first = first
        next = try reader.number(UInt64.self)
        last = try reader.number(UInt64.self)
        asked = try reader.number(UInt64.self)
        lost = try reader.number(UInt64.self)
        foundAt = Timestamp(milliseconds: try reader.number(Int64.self))
    }
}

/// Table `gaps`.
package enum Gaps {
    package static func list<Transaction: Readable & ~Copyable>(
        of stream: StreamID? = nil, in transaction: borrowing Transaction
    ) throws(StoreError) -> [(stream: StreamID, gap: GapRow)] {
        let prefix = stream?.key ?? []
        var stored: [([UInt8], [UInt8])] = []
        try transaction.scan(.gaps, from: prefix) { key, value in
            let key = Array(key)
            guard key.starts(with: prefix) else { return false }
            stored.append((key, Array(value)))
            return true
        }
        var found: [(stream: StreamID, gap: GapRow)] = []
        for (key, value) in stored {
            var reader = ByteReader(key)
            guard let stream = try? StreamID(from: &reader), let first = try? reader.number(UInt64.self),
                let gap = try? GapRow(decoding: value, first: first)
            else {
                throw StoreError(
                    .damaged, "a row of table gaps cannot be read",
                    remedy: "stop the node and restore the store from a backup")
            }
            found.append((stream: stream, gap: gap))
        }
        return found
    }

    /// At the origin: what its destination counts as lost for good, in one row for each stream. A destination that is put
    /// back again counts anew.
    /// - Returns: how many are lost since it was noted last.
    static func noteLost(
        _ count: UInt64, of stream: StreamID, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> UInt64 {
        var row = try list(of: stream, in: transaction).first?.gap ?? GapRow(first: 0, last: 0, at: transaction.now)
        guard row.last != count else { return 0 }
        let more = count > row.last ? count - row.last : count
        row.last = count
        row.next = count + 1
        row.lost += more
        try put(row, of: stream, in: transaction)
        return more
    }

    /// At the origin: positions that destinations have lost for good.
    package static func lostThere<Transaction: Readable & ~Copyable>(
        from node: NodeID, in transaction: borrowing Transaction
    ) throws(StoreError) -> UInt64 {
        try list(in: transaction).reduce(0) { $0 + ($1.stream.origin == node ? $1.gap.lost : 0) }
    }

    static func put(
        _ gap: GapRow, of stream: StreamID, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        try transaction.put(.gaps, StreamPosition(stream: stream, position: gap.first).key, gap.encoded())
    }
}

extension StreamPosition {
    /// Stream ‖ position.
    var key: [UInt8] {
        var writer = ByteWriter(capacity: 96)
        stream.append(to: &writer)
        writer.append(position)
        return writer.bytes
    }
}
