/// One meeting of two stores: a counter that grows and a random part. Both ends durably keep the last they agreed on
/// and the one proposed, and accept either: a store that holds neither is not the one that was met.
package struct SessionToken: Sendable, Hashable {
    package var counter: UInt64
    package var random: ID128

    package init(counter: UInt64, random: ID128) {
        self.counter = counter
        self.random = random
    }
}

/// What a node durably knows of a neighbour: key `peer/<id>` of table `meta`.
package struct PeerRow: Sendable, Hashable {
    /// The life of the neighbour's store that was met last.
    package var incarnation: Incarnation?
    /// Agreed, and proposed but not yet known to be agreed: at most two.
    package var tokens: [SessionToken] = []
    /// The number of this node's start in which the neighbour last accepted a session.
    package var acceptedInStart: UInt64 = 0

    package init() {}

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 80)
        writer.append(UInt8(1))
        writer.append(incarnation?.bits ?? ID128(high: 0, low: 0))
        writer.append(acceptedInStart)
        writer.append(UInt8(tokens.count))
        for token in tokens {
            writer.append(token.counter)
            writer.append(token.random)
        }
        return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        let bits = try reader.id128()
        incarnation = bits == ID128(high: 0, low: 0) ? nil : Incarnation(bits: bits)
        acceptedInStart = try reader.number(UInt64.self)
        for _ in 0..<(try reader.number(UInt8.self)) {
            tokens.append(SessionToken(counter: try reader.number(UInt64.self), random: try reader.id128()))
        }
    }
}

/// The durable side of sessions.
package enum Sessions {
    /// Counts a start of the process. Where a peer accepted a session in the start before, everything minted until now
    /// has been within its sight: streams note it, so that after a rewind what is newer can be told apart.
    static func countStart(in transaction: borrowing WriteTransaction) throws(StoreError) {
        let start = try transaction.nextNumber(MetaKey.start)
        // Once a peer has shown that this store is behind, what was minted since is known to nobody.
        guard try transaction.number(MetaKey.rewound) == 0 else { return }
        let accepted = try peers(in: transaction).filter { $0.row.acceptedInStart + 1 == start }
        guard !accepted.isEmpty else { return }
        for id in try streams(in: transaction).map(\.id) {
            guard var row = try transaction.group.streams.row(of: id, in: transaction) else { continue }
            row.startBase = row.last
            transaction.group.streams.update(id, row)
        }
    }

    package static func peer<Transaction: Readable & ~Copyable>(
        _ node: NodeID, in transaction: borrowing Transaction
    ) throws(StoreError) -> PeerRow {
        guard let stored = try transaction.get(.meta, MetaKey.peer(node)) else { return PeerRow() }
        return try decoded(stored, node.text)
    }

    static func setPeer(
        _ node: NodeID, _ row: PeerRow, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        try transaction.put(.meta, MetaKey.peer(node), row.encoded())
    }

    package static func peers<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> [(node: NodeID, row: PeerRow)] {
        let prefix = Array("peer/".utf8)
        var stored: [(String, [UInt8])] = []
        try transaction.scan(.meta, from: prefix) { key, value in
            let key = Array(key)
            guard key.starts(with: prefix) else { return false }
            stored.append((String(decoding: key.dropFirst(prefix.count), as: UTF8.self), Array(value)))
            return true
        }
        var found: [(node: NodeID, row: PeerRow)] = []
        for (name, bytes) in stored {
            guard let node = NodeID(name) else { continue }
            found.append((node, try decoded(bytes, name)))
        }
        return found
    }

    /// Every stream that the store knows.
    package static func streams<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> [StreamChange] {
        var stored: [([UInt8], [UInt8])] = []
        try transaction.scan(.streams, from: []) { key, value in
            stored.append((Array(key), Array(value)))
            return true
        }
        var found: [StreamChange] = []
        for (key, value) in stored {
            var reader = ByteReader(key)
            guard let id = try? StreamID(from: &reader) else {
                throw StoreError(
                    .damaged, "a key of table streams cannot be read", remedy: "restore the store from a backup")
            }
            found.append(StreamChange(id: id, row: try StreamRow.decoded(value, of: id)))
        }
        return found
    }

    private static func decoded(_ bytes: [UInt8], _ name: String) throws(StoreError) -> PeerRow {
        do { return try PeerRow(decoding: bytes) } catch {
            throw StoreError(
                .damaged, "what is known of peer \(name) cannot be read: \(error)",
                remedy: "stop the node and restore the store from a backup")
        }
    }
}
