package import Federation
import FoundationEssentials

/// What an administrator may see of an appeal: states, never text.
package enum AppealLookup {
    package static func appeal<Transaction: Readable & ~Copyable>(
        _ id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> AppealRecord? {
        try AppealRows.read(AppealRecord.self, .appeals, id.key, in: transaction)
    }

    /// The appeal that is meant: by its id, or by its number with or without dashes. Nil when the text is neither, or no
    /// appeal here has the number.
    package static func id<Transaction: Readable & ~Copyable>(
        _ text: String, in transaction: borrowing Transaction
    ) throws(StoreError) -> AppealID? {
        if let id = AppealID(text) { return id }
        guard let number = AppealNumber(text), let bytes = try transaction.get(.numbers, number.key) else { return nil }
        return AppealID(key: bytes)
    }

    /// In the order in which they happened; of a very long story the end.
    package static func events<Transaction: Readable & ~Copyable>(
        of id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> [AppealEventRecord] {
        var found: [AppealEventRecord] = []
        var next = try appeal(id, in: transaction)?.lastEvent
        while let number = next, found.count < 1000, let event = try Events.transition(number, in: transaction) {
            found.append(event)
            next = event.previous
        }
        return found.reversed()
    }

    /// The state of every appeal here.
    /// - Throws: `store-damaged` at a row that cannot be read.
    package static func eachState<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction, _ body: (AppealState) -> Void
    ) throws(StoreError) {
        var isDamaged = false
        try transaction.scan(.appeals, from: []) { _, value in
            guard let appeal: AppealRecord = AppealRows.decoded(Array(value)) else {
                isDamaged = true
                return false
            }
            body(appeal.state)
            return true
        }
        if isDamaged {
            throw StoreError(
                .damaged, "a row of table appeals cannot be read", remedy: "restore the store from a backup")
        }
    }

    /// Headers of the envelopes that this node keeps and that carry the appeal.
    package static func kept<Transaction: Readable & ~Copyable>(
        _ id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> [EnvelopeHeader] {
        let text = id.description
        var found: [EnvelopeHeader] = []
        try eachKept(in: transaction) { header, named in if named == text { found.append(header) } }
        return found
    }

    /// The appeals that some envelope carries which this node keeps.
    package static func carried<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> Set<String> {
        var found: Set<String> = []
        try eachKept(in: transaction) { _, named in found.insert(named) }
        return found
    }

    /// Every envelope about an appeal that this node keeps.
    private static func eachKept<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction, _ body: (EnvelopeHeader, _ appeal: String) -> Void
    ) throws(StoreError) {
        for stream in try Sessions.streams(in: transaction)
        where stream.id.lane == .appeals && stream.row.last > stream.row.base {
            var position = stream.row.base + 1
            while position <= stream.row.last,
                let pack = try Outbox.pack(holding: position, of: stream.row.ordinal, in: transaction)
            {
                while position <= min(pack.last, stream.row.last) {
                    if let envelope = try? EnvelopeCodec.decode(Array(pack.envelope(at: position))),
                        let named = try? MessageBody.decode(MessageBody.Named.self, envelope)
                    {
                        body(envelope.header, named.id)
                    }
                    position += 1
                }
            }
        }
    }
}
