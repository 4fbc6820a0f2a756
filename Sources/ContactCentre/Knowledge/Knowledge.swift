package import Federation
import FoundationEssentials

/// Knowledge entries: drafts at the centre, published to every node in one numbered log, readable at each.
///
/// Table `knowledge`: `d` ‖ id → a draft; `e` ‖ id → the newest published revision. The log itself is the centre's stream
/// to every node: an entry's number is its position there.
package enum Knowledge {
    package static let table = Table("knowledge")

    /// Keeps a draft, in place of an earlier one of the same id. Only at the centre.
    package static func draft(
        _ entry: KnowledgeEntry, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        try transaction.put(table, key("d", entry.id), try encode(entry))
    }

    /// Publishes drafts, in the order of their ids: each becomes the next revision of its entry, is readable here and
    /// on its way to every node, in one transaction.
    /// - Parameter limit: how many at the most, so that a commit stays short.
    /// - Returns: how many were published.
    package static func publish(
        limit: Int, by sender: some Sender, ids: () -> ID128, in transaction: borrowing WriteTransaction
    ) throws(StoreError) -> Int {
        var drafts: [[UInt8]] = []
        try transaction.scan(table, from: key("d", "")) { found, value in
            guard drafts.count < limit, Array(found).first == key("d", "").first else { return false }
            drafts.append(Array(value))
            return true
        }
        for bytes in drafts {
            let entry: KnowledgeEntry = try decode(bytes)
            let known = try self.entry(entry.id, in: transaction)
            let published = PublishedEntry(entry: entry, revision: (known?.revision ?? 0) + 1)
            let body = try encode(published)
            try transaction.put(table, key("e", entry.id), body)
            try sender.send(.entry, id: ids(), to: .everyone, body: EnvelopeBody(bytes: body), in: transaction)
            try transaction.delete(table, key("d", entry.id))
        }
        return drafts.count
    }

    /// An entry has come: kept when it is newer than what is known.
    package static func apply(_ body: EnvelopeBody, in transaction: borrowing WriteTransaction) throws {
        guard body.bytes.count <= 128 * 1024, let published: PublishedEntry = try? decode(body.bytes),
            published.entry.fault == nil, (1...1_000_000_000).contains(published.revision)
        else { throw Rejection("body-invalid") }
        if let known = try entry(published.entry.id, in: transaction), known.revision >= published.revision { return }
        try transaction.put(table, key("e", published.entry.id), body.bytes)
    }

    /// The newest revision that is known here.
    package static func entry<Transaction: Readable & ~Copyable>(
        _ id: String, in transaction: borrowing Transaction
    ) throws(StoreError) -> PublishedEntry? {
        guard let bytes = try transaction.get(table, key("e", id)) else { return nil }
        return try decode(bytes)
    }

    /// The newest revision of every entry that can be read here, by id.
    package static func digests<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> [String: Digest32] {
        var found: [String: Digest32] = [:]
        try transaction.scan(table, from: key("e", "")) { key, value in
            guard Array(key).first == self.key("e", "").first else { return false }
            let bytes = Array(value)
            if let published: PublishedEntry = try? decode(bytes) { found[published.entry.id] = Digest.sha256(bytes) }
            return true
        }
        return found
    }

    private static func key(_ kind: Character, _ id: String) -> [UInt8] { Array("\(kind)\(id)".utf8) }

    private static func encode(_ value: some Encodable) throws(StoreError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return Array(try encoder.encode(value)) } catch {
            throw StoreError(.engine, "an entry cannot be encoded", remedy: "report this as a fault")
        }
    }

    private static func decode<Value: Decodable>(_ bytes: [UInt8]) throws(StoreError) -> Value {
        do { return try JSONDecoder().decode(Value.self, from: Data(bytes)) } catch {
            throw StoreError(
                .damaged, "a row of table knowledge cannot be read", remedy: "restore the store from a backup")
        }
    }
}
