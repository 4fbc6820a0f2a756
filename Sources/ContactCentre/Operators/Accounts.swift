package import Federation

extension Table {
    package static let operators = Table("operators")
    package static let channels = Table("channels")
    package static let idempotency = Table("idempotency")
}

/// Who may speak at the listeners: named people, and channels. A token is 256 random bits, kept as its BLAKE2b-256.
package enum Accounts {
    private struct Person: Codable {
        var name: String
        var organisation: String?
        var tenancy: String?
        var line: String
    }

    private struct ChannelAccount: Codable {
        var name: String
        var kind: AppealRecord.Channel
    }

    /// - Throws: `operator-exists`.
    package static func add(
        _ person: Operator, organisation: String?, tokenDigest: [UInt8], by actor: String,
        in transaction: borrowing WriteTransaction
    ) throws {
        try require(name: person.name)
        let named = Array("name/\(person.name)".utf8)
        guard try transaction.get(.operators, named) == nil else {
            throw DomainError(
                .conflict, "operator-exists", "\(person.name) is an operator, or was one", remedy: "choose another name"
            )
        }
        var row = Person(name: person.name, organisation: organisation, tenancy: nil, line: "1")
        if case .secondLine(let tenancy, let line) = person.desk {
            row.tenancy = tenancy
            row.line = line
        }
        try transaction.put(.operators, named, tokenDigest)
        try AppealRows.write(row, .operators, Array("token/".utf8) + tokenDigest, in: transaction)
        try Events.note("operator-added", of: person.name, by: actor, in: transaction)
    }

    package static func addChannel(
        _ name: String, kind: AppealRecord.Channel, tokenDigest: [UInt8], by actor: String,
        in transaction: borrowing WriteTransaction
    ) throws {
        try require(name: name)
        let named = Array("name/\(name)".utf8)
        guard try transaction.get(.channels, named) == nil else {
            throw DomainError(
                .conflict, "channel-exists", "\(name) is a channel, or was one", remedy: "choose another name")
        }
        try transaction.put(.channels, named, tokenDigest)
        try AppealRows.write(
            ChannelAccount(name: name, kind: kind), .channels, Array("token/".utf8) + tokenDigest, in: transaction)
        try Events.note("channel-added", of: name, by: actor, in: transaction)
    }

    /// Withdraws a token: whoever has it is nobody from now on. The name is given to nobody else, for events speak of it.
    /// What the person was at work on comes back to its queue when the lease ends.
    /// - Throws: `no-such-operator`.
    package static func remove(
        operator name: String, by actor: String, in transaction: borrowing WriteTransaction
    ) throws { try remove(name, "operator", .operators, by: actor, in: transaction) }

    /// - Throws: `no-such-channel`.
    package static func remove(
        channel name: String, by actor: String, in transaction: borrowing WriteTransaction
    ) throws { try remove(name, "channel", .channels, by: actor, in: transaction) }

    private static func remove(
        _ name: String, _ what: String, _ table: Table, by actor: String, in transaction: borrowing WriteTransaction
    ) throws {
        try require(name: name)
        let named = Array("name/\(name)".utf8)
        guard let digest = try transaction.get(table, named), !digest.isEmpty else {
            throw DomainError(
                .conflict, "no-such-\(what)", "\(name) is no \(what) here", remedy: "see how the name is spelt")
        }
        _ = try transaction.delete(table, Array("token/".utf8) + digest)
        try transaction.put(table, named, [])
        try Events.note("\(what)-removed", of: name, by: actor, in: transaction)
    }

    /// The person whose token has this digest. Nothing is learnt from how long it takes: the key is a digest of 256
    /// random bits.
    package static func person<Transaction: Readable & ~Copyable>(
        tokenDigest: [UInt8], in transaction: borrowing Transaction
    ) throws(StoreError) -> Operator? {
        let key = Array("token/".utf8) + tokenDigest
        guard let row = try AppealRows.read(Person.self, .operators, key, in: transaction) else { return nil }
        let desk = row.tenancy.map { Operator.Desk.secondLine(tenancy: $0, line: row.line) } ?? .firstLine
        return Operator(name: row.name, desk: desk, organisation: row.organisation)
    }

    package static func channel<Transaction: Readable & ~Copyable>(
        tokenDigest: [UInt8], in transaction: borrowing Transaction
    ) throws(StoreError) -> (name: String, kind: AppealRecord.Channel)? {
        let key = Array("token/".utf8) + tokenDigest
        guard let row = try AppealRows.read(ChannelAccount.self, .channels, key, in: transaction) else { return nil }
        return (row.name, row.kind)
    }

    /// Everybody who has a desk here, by name.
    package static func people<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> [Operator] {
        var digests: [[UInt8]] = []
        let prefix = Array("name/".utf8)
        try transaction.scan(.operators, from: prefix) { key, value in
            guard Array(key).starts(with: prefix) else { return false }
            digests.append(Array(value))
            return true
        }
        var found: [Operator] = []
        for digest in digests {
            if let person = try person(tokenDigest: digest, in: transaction) { found.append(person) }
        }
        return found
    }

    private static func require(name: String) throws(DomainError) {
        let good = name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
        guard good, (1...32).contains(name.utf8.count) else {
            throw DomainError(.badInput, "bad-name", "\"\(name)\" is no name here", remedy: "use [a-z0-9-]{1,32}")
        }
    }
}

/// Answers that were given, by actor and key: asked again with the same body, the same answer is given again, whatever
/// happened in between. Kept 7 days (draft-ietf-httpapi-idempotency-key-header).
package enum Idempotency {
    package struct Answer: Sendable, Hashable {
        package var status: Int
        /// JSON.
        package var body: [UInt8]

        package init(status: Int, body: [UInt8]) {
            self.status = status
            self.body = body
        }
    }

    private struct Row: Codable {
        /// SHA-256, hex.
        var request: String
        var at: Int64
        var status: Int
        /// The JSON that was answered.
        var body: String
    }

    private static let keptMilliseconds: Int64 = 7 * 86_400_000

    /// The answer given before, or what `body` gives, kept in the same transaction as its effect.
    /// - Throws: `key-reused` when the key came with another body.
    package static func once(
        actor: String, key: String, requestDigest: [UInt8], in transaction: borrowing WriteTransaction,
        _ body: (borrowing WriteTransaction) throws -> Answer
    ) throws -> Answer {
        guard (1...64).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw DomainError(
                .badInput, "bad-key", "Idempotency-Key is not 1 to 64 visible ASCII characters", remedy: "send a UUID")
        }
        var place = ByteWriter(capacity: 100)
        place.append(short: actor)
        place.append(short: key)
        let known = try AppealRows.read(Row.self, .idempotency, place.bytes, in: transaction)
        if let known, known.at + keptMilliseconds > transaction.now.milliseconds {
            guard known.request == Hex.encode(requestDigest) else {
                throw DomainError(
                    .keyReused, "key-reused", "this Idempotency-Key came with another body before",
                    remedy: "use a new key for a new request")
            }
            return Answer(status: known.status, body: Array(known.body.utf8))
        }
        let answer = try body(transaction)
        let row = Row(
            request: Hex.encode(requestDigest), at: transaction.now.milliseconds, status: answer.status,
            body: String(decoding: answer.body, as: UTF8.self))
        try AppealRows.write(row, .idempotency, place.bytes, in: transaction)
        try Deadline.answer.file(at: row.at + keptMilliseconds, place.bytes, in: transaction)
        return answer
    }

    /// An answer's time is over, unless its key was used again since.
    static func forget(_ place: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard let row = try AppealRows.read(Row.self, .idempotency, place, in: transaction),
            row.at + keptMilliseconds <= transaction.now.milliseconds
        else { return }
        try transaction.delete(.idempotency, place)
    }
}
