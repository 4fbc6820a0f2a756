/// What waits in one room of a store, and for how long: what an administrator looks at when a destination is dark.
package struct RoomSummary: Sendable, Hashable {
    package var room: Room
    package var use: RoomLedger.Use
    /// Hundredths of the room in use, by number or by bytes, whichever is more.
    package var share: Int
    /// When the oldest envelope that waits was created, by the clock of its origin; nil when none waits.
    package var oldest: Timestamp?

    /// Every room that holds something, counted from the store. It reads the head of each pack.
    package static func list<Transaction: Readable & ~Copyable>(
        limits: RoomLedger.Limits, in transaction: borrowing Transaction
    ) throws(StoreError) -> [RoomSummary] {
        let ledger = try RoomLedger(limits: limits, in: transaction)
        var oldest: [Room: Timestamp] = [:]
        for change in try Sessions.streams(in: transaction) where change.row.last > change.row.base {
            let first = change.row.base + 1
            guard let pack = try Outbox.pack(holding: first, of: change.row.ordinal, in: transaction) else { continue }
            var reader = ByteReader(Array(pack.envelope(at: first)))
            guard let header = try? EnvelopeCodec.decodeHeader(&reader) else { continue }
            let room = Room(change.id)
            oldest[room] = min(oldest[room] ?? header.created, header.created)
        }
        return ledger.uses.filter { $0.value != RoomLedger.Use() }.keys.sorted().map { room in
            RoomSummary(
                room: room, use: ledger.uses[room] ?? RoomLedger.Use(), share: ledger.share(room), oldest: oldest[room])
        }
    }
}
