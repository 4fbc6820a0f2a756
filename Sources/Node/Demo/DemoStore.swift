import ContactCentre
import Federation
import FoundationEssentials

/// What a node's store holds, read from outside, whatever the process says.
struct DemoStore {
    /// The life of the store.
    var life: [UInt8] = []
    /// Probes that took effect here.
    var applied: UInt64 = 0
    /// Envelopes that this node keeps for others, by destination.
    var keptFor: [String: UInt64] = [:]
    /// The number of the last knowledge entry that was published or applied here, by the life of the centre.
    var knowledge: [[UInt8]: UInt64] = [:]
    /// The number of the last event: while it stays, no appeal has moved.
    var lastEvent: UInt64 = 0

    // What follows is filled when the store is read whole.
    var appeals: [AppealRecord] = []
    var events: [AppealEventRecord] = []
    /// Appeals, once a row of the table.
    var queued: [String] = []
    var citizens: [String] = []
    /// Appeals that an envelope carries which is kept here.
    var carried: Set<String> = []
    /// The revision of each knowledge entry that can be read here.
    var entries: [String: Int] = [:]

    var kept: UInt64 { keptFor.values.reduce(0, +) }

    init() {}

    /// - Parameter whole: with every appeal, event and entry.
    init(folder: String, whole: Bool) throws(StoreError) {
        let engine = try LMDBEngine(
            directory: folder, tables: Table.exchange + ContactCentreTables.all, readOnly: true)
        defer { engine.close() }
        self = try Store.read(engine) { transaction throws(StoreError) in
            var store = DemoStore()
            try store.readStreams(transaction)
            if whole { try store.readRows(transaction) }
            return store
        }
    }

    private mutating func readStreams(_ transaction: borrowing ReadTransaction) throws(StoreError) {
        life = try transaction.get(.meta, Array("incarnation".utf8)) ?? []
        applied = try transaction.number(Array("probes".utf8))
        lastEvent = try Events.last(in: transaction)
        for stream in try Sessions.streams(in: transaction) {
            if stream.id.destination == .everyone {
                var life = ByteWriter(capacity: 16)
                life.append(stream.id.incarnation.bits)
                knowledge[life.bytes] = max(knowledge[life.bytes] ?? 0, stream.row.last)
            } else if stream.row.last > stream.row.base {
                keptFor[stream.id.destination.text, default: 0] += stream.row.last - stream.row.base
            }
        }
    }

    /// A row that cannot be read is not there: the ledger misses it.
    private mutating func readRows(_ transaction: borrowing ReadTransaction) throws(StoreError) {
        try transaction.scan(.appeals, from: []) { _, value in
            if let row = try? JSONDecoder().decode(AppealRecord.self, from: Data(Array(value))) { appeals.append(row) }
            return true
        }
        try transaction.scan(.events, from: []) { _, value in
            // Acts of administrators are no transitions.
            if let row = try? JSONDecoder().decode(AppealEventRecord.self, from: Data(Array(value))) {
                events.append(row)
            }
            return true
        }
        for (table, ids) in [(Table.queue, \DemoStore.queued), (.citizens, \.citizens)] {
            try transaction.scan(table, from: []) { key, _ in
                // Both keys end with the appeal's id.
                var reader = ByteReader(Array(key).suffix(16))
                if let bits = try? reader.id128() { self[keyPath: ids].append(AppealID(bits: bits).description) }
                return true
            }
        }
        carried = try AppealLookup.carried(in: transaction)
        entries = try Knowledge.revisions(in: transaction)
    }
}
