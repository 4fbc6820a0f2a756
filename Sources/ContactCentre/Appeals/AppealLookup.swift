package import Federation
import FoundationEssentials

/// What an administrator may see of an appeal: states, never text.
package enum AppealLookup {
    package static func appeal<Transaction: Readable & ~Copyable>(
        _ id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> AppealRecord? {
        try AppealRows.read(AppealRecord.self, .appeals, id.key, in: transaction)
    }

    /// In the order in which they happened. Walks the whole table: for people, not for machines.
    package static func events<Transaction: Readable & ~Copyable>(
        of id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> [AppealEventRecord] {
        let text = id.description
        var found: [AppealEventRecord] = []
        try transaction.scan(.events, from: []) { _, value in
            let bytes = Data(Array(value))
            if let event = try? JSONDecoder().decode(AppealEventRecord.self, from: bytes), event.appeal == text {
                found.append(event)
            }
            return found.count < 1000
        }
        return found
    }

    /// Headers of the envelopes that this node keeps and that carry the appeal.
    package static func kept<Transaction: Readable & ~Copyable>(
        _ id: AppealID, in transaction: borrowing Transaction
    ) throws(StoreError) -> [EnvelopeHeader] {
        let text = id.description
        var found: [EnvelopeHeader] = []
        for stream in try Sessions.streams(in: transaction)
        where stream.id.lane == .appeals && stream.row.last > stream.row.base {
            var position = stream.row.base + 1
            while position <= stream.row.last,
                let pack = try Outbox.pack(holding: position, of: stream.row.ordinal, in: transaction)
            {
                while position <= min(pack.last, stream.row.last) {
                    if let envelope = try? EnvelopeCodec.decode(Array(pack.envelope(at: position))),
                        let named = try? JSONDecoder().decode(Named.self, from: Data(envelope.body.bytes)),
                        named.id == text
                    {
                        found.append(envelope.header)
                    }
                    position += 1
                }
            }
        }
        return found
    }

    private struct Named: Decodable {
        var id: String
    }
}
