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
    /// Appeals in queues and in hands here.
    var unfinished = 0
    /// The number of the last event: while it stays, no appeal has moved.
    var lastEvent: UInt64 = 0

    // What follows is filled when the store is read whole.
    var appeals: [AppealRecord] = []
    var events: [AppealEventRecord] = []
    /// Appeals, once a row of the table, with the queue that it is in.
    var queued: [(id: String, scope: String)] = []
    /// What was said, by appeal, as the bytes that were accepted.
    var texts: [String: [UInt8]] = [:]
    var citizens: [String] = []
    /// Appeals that an envelope carries which is kept here.
    var carried: Set<String> = []
    /// SPECIAL answers whose text is here, by appeal.
    var answers: Set<String> = []
    /// Appeals by the key of their number.
    var numbers: [[UInt8]: String] = [:]
    /// The newest revision of each knowledge entry that can be read here, to the byte.
    var entries: [String: Digest32] = [:]

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
        life = try transaction.get(.meta, MetaKey.incarnation) ?? []
        applied = try transaction.number(MetaKey.probes)
        lastEvent = try Events.last(in: transaction)
        unfinished = try transaction.count(.queue) + transaction.count(.claims)
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
        try transaction.scan(.queue, from: []) { key, _ in
            // Scope, place, id.
            var reader = ByteReader(Array(key))
            if let scope = try? reader.shortText(), (try? reader.number(UInt64.self)) != nil,
                let bits = try? reader.id128()
            {
                queued.append((AppealID(bits: bits).description, scope))
            }
            return true
        }
        try transaction.scan(.citizens, from: []) { key, value in
            // The key ends with the appeal's id.
            guard let id = AppealID(key: Array(Array(key).suffix(16))),
                let citizen = try? JSONDecoder().decode(CitizenRecord.self, from: Data(Array(value))),
                SNILS(citizen.snils) != nil
            else { return true }
            citizens.append(id.description)
            return true
        }
        try transaction.scan(.numbers, from: []) { key, value in
            if let id = AppealID(key: Array(value)) { numbers[Array(key)] = id.description }
            return true
        }
        try transaction.scan(.text, from: []) { key, value in
            guard let id = AppealID(key: Array(key))?.description else { return true }
            if key.byteCount == 16 { texts[id] = Array(value) } else if value.byteCount > 0 { answers.insert(id) }
            return true
        }
        carried = try AppealLookup.carried(in: transaction)
        entries = try Knowledge.digests(in: transaction)
    }
}
