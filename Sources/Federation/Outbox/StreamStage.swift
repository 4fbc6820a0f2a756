/// The streams that one commit group touches: rows read once, changed in memory and written once when the group is
/// sealed, and new envelopes packed together. A part that is undone takes its changes back out.
final class StreamStage {
    private struct Entry {
        var id: StreamID
        var row: StreamRow
        var changed = false
        var packs: [Pack] = []
    }

    private enum Undo {
        case opened
        case row(Int, StreamRow, changed: Bool)
        case appended(Int)
        case room(Room, count: Int, bytes: Int, refill: Int)
    }

    private var entries: [Entry] = []
    private var places: [StreamID: Int] = [:]
    private var journal: [Undo] = []
    private let rooms: RoomLedger

    init(rooms: RoomLedger) { self.rooms = rooms }

    var mark: Int { journal.count }

    func rollBack(to mark: Int) {
        while journal.count > mark {
            switch journal.removeLast() {
            case .opened:
                let entry = entries.removeLast()
                places[entry.id] = nil
            case .row(let place, let row, let changed):
                entries[place].row = row
                entries[place].changed = changed
            case .appended(let place):
                let pack = entries[place].packs.count - 1
                entries[place].packs[pack].removeLast()
                if entries[place].packs[pack].count == 0 { entries[place].packs.removeLast() }
            case .room(let room, let count, let bytes, let refill):
                rooms.add(room, count: -count, bytes: -bytes, refill: -refill)
            }
        }
    }

    /// The stream's row as this group sees it, or nil when the stream is not known here.
    func row(of id: StreamID, in transaction: borrowing WriteTransaction) throws(StoreError) -> StreamRow? {
        if let place = places[id] { return entries[place].row }
        guard let stored = try transaction.get(.streams, id.key) else { return nil }
        let row = try StreamRow.decoded(stored, of: id)
        places[id] = entries.count
        entries.append(Entry(id: id, row: row))
        journal.append(.opened)
        return row
    }

    /// The stream's row, made with the next ordinal when the stream is new here.
    func open(_ id: StreamID, in transaction: borrowing WriteTransaction) throws(StoreError) -> StreamRow {
        if let row = try row(of: id, in: transaction) { return row }
        let ordinal = try transaction.nextNumber(MetaKey.streamOrdinal)
        let row = StreamRow(ordinal: UInt32(truncatingIfNeeded: ordinal))
        places[id] = entries.count
        entries.append(Entry(id: id, row: row, changed: true))
        journal.append(.opened)
        return row
    }

    /// - Precondition: the stream was read or opened in this group.
    func update(_ id: StreamID, _ row: StreamRow) {
        guard let place = places[id] else { preconditionFailure("a stream is read before it is changed") }
        guard entries[place].row != row else { return }
        let old = entries[place].row
        journal.append(.row(place, old, changed: entries[place].changed))
        let kept = Int(clamping: row.last - row.base) - Int(clamping: old.last - old.base)
        if kept != 0 { use(id, count: kept) }
        entries[place].row = row
        entries[place].changed = true
    }

    /// Adds the envelope that has just become the stream's `last`; `digestBefore` is the running digest before it.
    func append(_ bytes: [UInt8], to id: StreamID, digestBefore: Digest32) {
        guard let place = places[id] else { preconditionFailure("a stream is read before it is changed") }
        let open = entries[place].packs.last
        // A stream that has begun anew in this group does not go on in the pack of before.
        if open?.hasRoom(for: bytes.count) != true || open?.last != entries[place].row.last - 1 {
            entries[place].packs.append(Pack(first: entries[place].row.last, digestBefore: digestBefore))
        }
        entries[place].packs[entries[place].packs.count - 1].append(bytes)
        journal.append(.appended(place))
        use(id, bytes: bytes.count + 4)
    }

    /// Packs of the stream were deleted from the table.
    func released(_ bytes: Int, of id: StreamID) { use(id, bytes: -bytes) }

    /// Whole packs of the stream are decided, and stay to be refilled.
    func toRefillLog(_ bytes: Int, of id: StreamID) { use(id, bytes: -bytes, refill: bytes) }

    /// They were deleted from the table.
    func fromRefillLog(_ bytes: Int, of id: StreamID) { use(id, refill: -bytes) }

    private func use(_ id: StreamID, count: Int = 0, bytes: Int = 0, refill: Int = 0) {
        rooms.add(Room(id), count: count, bytes: bytes, refill: refill)
        journal.append(.room(Room(id), count: count, bytes: bytes, refill: refill))
    }

    /// Writes packs and changed rows. Returns the rows that changed, for whoever follows the streams.
    func seal(_ writer: any EngineWriter) throws(StoreError) -> [StreamChange] {
        var changes: [StreamChange] = []
        for entry in entries {
            for pack in entry.packs {
                guard pack.last > entry.row.base else {
                    released(pack.roomBytes, of: entry.id)
                    continue
                }
                let key = Pack.key(entry.row.ordinal, pack.first)
                try writer.put(.outbox, key.span.bytes, pack.encoded().span.bytes)
            }
            guard entry.changed else { continue }
            try writer.put(.streams, entry.id.key.span.bytes, entry.row.encoded().span.bytes)
            changes.append(StreamChange(id: entry.id, row: entry.row))
        }
        return changes
    }
}

/// A stream's row as a commit left it.
package struct StreamChange: Sendable, Hashable {
    package var id: StreamID
    package var row: StreamRow
}

extension StreamRow {
    static func decoded(_ bytes: [UInt8], of id: StreamID) throws(StoreError) -> StreamRow {
        do { return try StreamRow(decoding: bytes) } catch {
            throw StoreError(
                .damaged, "the row of stream \(id.origin) → \(id.destination) cannot be read: \(error)",
                remedy: "stop the node and restore the store from a backup")
        }
    }
}
