package import Federation
import FoundationEssentials

/// What a node knows of an appeal, without a word of what was said: row of table `appeals`.
package struct AppealRecord: Codable, Sendable, Hashable {
    package var id: String
    package var number: String
    package var channel: Channel
    package var site: String?
    /// Milliseconds since 1970 UTC, like every instant here.
    package var receivedAt: Int64
    package var organisation: String
    package var subject: String
    package var topic: String?
    package var state: AppealState
    /// The node that may act on it; absent while it is on its way.
    package var owner: String?
    /// Raised at every hand-over: what comes with a lower one is `stale-owner`.
    package var ownershipEpoch: Int
    package var reason: EscalationReason?
    package var tenancy: String?
    /// The node that it was handed to from here, wherever its tenancy may be by now.
    package var home: String?
    /// At the home: the other home that passed it on; absent when it came from the first line.
    package var cameFrom: String?
    /// At the home: when it came.
    package var cameAt: Int64?
    /// At the home: the version of the topology by which it was sent here.
    package var routedUnder: UInt64?
    /// At the home: 2, or 2.1.
    package var line: String?
    package var dueAt: Int64?
    /// How often the second line has given it back.
    package var returns = 0
    /// Raised at every claim: what comes under a lower one is `stale-claim`.
    package var claimNumber = 0
    /// Its place in its queue: smaller is earlier.
    package var place: Int64
    /// When the first line gave it up: 24 h later its text goes from the centre.
    package var leftFirstLineAt: Int64?
    package var resolvedAt: Int64?
    package var outcome: String?
    package var entry: KnowledgeReference?
    /// What the second line has answered, at the home only.
    package var answer: String?
    /// The number of its newest event in table `events`.
    package var lastEvent: UInt64?

    package enum Channel: String, Codable, Sendable, CaseIterable { case voice, chat, form }

    package struct KnowledgeReference: Codable, Sendable, Hashable {
        package var entry: String
        package var revision: Int

        package init(entry: String, revision: Int) {
            self.entry = entry
            self.revision = revision
        }
    }
}

/// Who is at work on an appeal, and how long: row of table `claims`.
package struct Claim: Codable, Sendable, Hashable {
    package var `operator`: String
    package var number: Int
    /// Milliseconds since 1970 UTC.
    package var until: Int64
}

/// One transition or administrative act: row of table `events`, never changed.
package struct AppealEventRecord: Codable, Sendable, Hashable {
    package var appeal: String
    package var from: AppealState?
    package var to: AppealState
    package var event: AppealEvent
    package var actor: String
    package var role: AppealActor
    package var at: Int64
    package var node: String
    package var code: String?
    /// The number of the appeal's event before this one here.
    package var previous: UInt64?
}

extension Table {
    package static let appeals = Table("appeals")
    package static let text = Table("text")
    package static let events = Table("events")
    package static let queue = Table("queue")
    package static let claims = Table("claims")
    /// Number of an appeal, ten digits u64 → its id.
    package static let numbers = Table("numbers")
    package static let citizens = Table("citizens")
}

/// The rows of appeals, as the operations read and write them.
enum AppealRows {
    static func read<Row: Decodable, Transaction: Readable & ~Copyable>(
        _ type: Row.Type, _ table: Table, _ key: [UInt8], in transaction: borrowing Transaction
    ) throws(StoreError) -> Row? {
        guard let bytes = try transaction.get(table, key) else { return nil }
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            throw StoreError(
                .damaged, "a row of table \(table.name) cannot be read", remedy: "restore the store from a backup")
        }
    }

    static func write(
        _ row: some Encodable, _ table: Table, _ key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let data = try? encoder.encode(row) else {
            throw StoreError(
                .engine, "a row of table \(table.name) cannot be encoded", remedy: "report this as a fault")
        }
        try transaction.put(table, key, Array(data))
    }

    /// A row that may be of another kind.
    static func decoded<Row: Decodable>(_ bytes: [UInt8]) -> Row? {
        try? JSONDecoder().decode(Row.self, from: Data(bytes))
    }

    static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    /// In table `text`: what the second line has answered a SPECIAL appeal, beside what was said.
    static func answerKey(_ id: AppealID) -> [UInt8] { id.key + [1] }

    /// Smaller places come first.
    /// - Parameter scope: `L1` at the centre; a tenancy and a line at a home.
    static func queueKey(_ scope: String, _ place: Int64, _ id: AppealID) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.append(short: scope)
        writer.append(UInt64(bitPattern: place) ^ 1 << 63)
        writer.append(id.bits)
        return writer.bytes
    }

    /// The key of a scope's first entry, whatever it is.
    static func firstKey<Transaction: Readable & ~Copyable>(
        _ scope: String, in transaction: borrowing Transaction
    ) throws(StoreError) -> [UInt8] {
        var prefix = ByteWriter(capacity: 32)
        prefix.append(short: scope)
        let start = prefix.bytes
        var found: [UInt8] = []
        try transaction.scan(.queue, from: start) { key, _ in
            found = Array(key)
            return false
        }
        return found
    }

    /// The appeals that wait in a scope, first the one that is due first.
    static func waiting<Transaction: Readable & ~Copyable>(
        _ scope: String, limit: Int, in transaction: borrowing Transaction
    ) throws(StoreError) -> [AppealID] {
        var prefix = ByteWriter(capacity: 32)
        prefix.append(short: scope)
        let start = prefix.bytes
        var found: [AppealID] = []
        try transaction.scan(.queue, from: start) { key, _ in
            let key = Array(key)
            guard found.count < limit, key.starts(with: start), key.count == start.count + 24 else { return false }
            var reader = ByteReader(key[(start.count + 8)...])
            if let bits = try? reader.id128() { found.append(AppealID(bits: bits)) }
            return true
        }
        return found
    }
}
