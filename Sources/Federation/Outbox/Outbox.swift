/// Accepts messages of this node: a position is minted and the envelope kept in the transaction that accepts it.
package struct Outbox: Sender {
    private let node: NodeID
    let incarnation: Incarnation
    private let permit: @Sendable (MessageKind, NodeID) -> UInt64?

    /// - Parameter permit: the version of the topology under which this node may send a kind of message to another; nil:
    ///   it may not. Both in one look: under another version it might be denied, and whoever reads it would say so.
    package init(
        node: NodeID, incarnation: Incarnation, permit: @escaping @Sendable (MessageKind, NodeID) -> UInt64?
    ) {
        self.permit = permit
        self.node = node
        self.incarnation = incarnation
    }

    package func send(
        _ kind: MessageKind, id: ID128, to destination: NodeID, body: EnvelopeBody,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard let version = permit(kind, destination) else {
            throw StoreError(
                .rightDenied, "\(node) may not send \(kind) to \(destination)",
                remedy: "ask central operations: rights in the topology name what may go between segments")
        }
        let stream = StreamID(origin: node, incarnation: incarnation, destination: destination, lane: kind.lane)
        try transaction.group.rooms.require(Room(stream), for: transaction.group.purpose)
        var row = try transaction.group.streams.open(stream, in: transaction)
        let header = EnvelopeHeader(
            stream: stream, position: row.last + 1, kind: kind, id: id, created: transaction.now,
            topologyVersion: version, extensions: HeaderExtension.understandsHolding.encoded)
        let bytes = EnvelopeCodec.encode(Envelope(header: header, body: body))
        // One that is refilled travels inside another.
        let most = EnvelopeCodec.maximumBytes - (kind == .refill ? 0 : Outbox.refillMargin)
        guard bytes.count <= most else {
            throw StoreError(
                .tooLarge, "an envelope of \(bytes.count) bytes; at most \(most) can travel",
                remedy: "shorten the history or the text")
        }
        Outbox.keep(bytes, as: stream, &row, in: transaction)
    }

    package func mayReach(_ destination: NodeID, with kind: MessageKind) -> Bool { permit(kind, destination) != nil }

    package func hasRoom(
        for kind: MessageKind, to destination: NodeID, purpose: WritePurpose, in transaction: borrowing WriteTransaction
    ) -> Bool {
        let stream = StreamID(origin: node, incarnation: incarnation, destination: destination, lane: kind.lane)
        return mayReach(destination, with: kind) && transaction.group.rooms.hasPlace(Room(stream), for: purpose)
    }

    /// What a message around an envelope takes.
    static let refillMargin = 1024

    /// Keeps the envelope as the stream's next one.
    static func keep(
        _ bytes: [UInt8], as stream: StreamID, _ row: inout StreamRow, in transaction: borrowing WriteTransaction
    ) {
        let before = row.lastDigest
        row.last += 1
        row.lastDigest = before.extended(by: bytes[...])
        transaction.group.streams.update(stream, row)
        transaction.group.streams.append(bytes, to: stream, digestBefore: before)
    }

    /// At a relay: lets go of everything at or below a position, and moves the stream's base there. Whole packs are
    /// deleted; a pack that holds more stays until its last envelope may go.
    static func release(
        through position: UInt64, of stream: StreamID, _ row: inout StreamRow,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        guard position > row.base else { return }
        let through = min(position, row.last)
        row.baseDigest = try digest(through: through, of: row, in: transaction)
        row.base = through
        row.refillBase = through
        try delete(packsOf: stream, row.ordinal, in: transaction) { $0.last <= through }
        transaction.group.streams.update(stream, row)
    }

    /// At the origin: what is at or below is decided. It takes no room any more and is kept to be refilled.
    /// - Parameter bytes: of the packs that are decided whole.
    static func settle(
        through position: UInt64, _ bytes: Int, of stream: StreamID, _ row: inout StreamRow,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        row.baseDigest = try digest(through: position, of: row, in: transaction)
        row.base = position
        transaction.group.streams.update(stream, row)
        transaction.group.streams.toRefillLog(bytes, of: stream)
    }

    /// Deletes from the refill log what its destination has inside a backup, and the oldest of what is too much.
    /// - Parameter wanted: bytes that are to go whatever the log may have.
    static func trimRefillLog(
        of stream: StreamID, _ row: inout StreamRow, giving wanted: Int = 0, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let safe = min(row.safe, row.base)
        let excess = max(wanted, transaction.group.rooms.refillExcess(Room(stream)))
        var gone: [PackOutline] = []
        var bytes = 0
        if safe > row.refillBase || excess > 0 {
            let base = row.base
            try eachOutline(of: row.ordinal, in: transaction) { pack in
                guard pack.last <= base, pack.last <= safe || bytes < excess else { return false }
                gone.append(pack)
                bytes += pack.roomBytes
                return true
            }
        }
        for pack in gone { try transaction.delete(.outbox, pack.key) }
        if let last = gone.last?.last {
            transaction.group.streams.fromRefillLog(bytes, of: stream)
            row.refillBase = last
            try forgetTakenBack(stream, through: last, in: transaction)
        }
        transaction.group.streams.update(stream, row)
    }

    /// In a crowded store what is new goes before what is kept in case: the oldest of the longest log goes.
    static func giveRefillLogAway(in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard let room = transaction.group.rooms.longestRefillLog else { return }
        for change in try Sessions.streams(in: transaction) where Room(change.id) == room {
            guard var row = try transaction.group.streams.row(of: change.id, in: transaction),
                row.refillBase < row.base
            else { continue }
            try trimRefillLog(of: change.id, &row, giving: RoomLedger.crowdedStep, in: transaction)
        }
    }

    private static func forgetTakenBack(
        _ stream: StreamID, through position: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let prefix = stream.key
        let end = StreamPosition(stream: stream, position: position).key
        var keys: [[UInt8]] = []
        try transaction.scan(.takenBack, from: prefix) { key, _ in
            let key = Array(key)
            guard key.starts(with: prefix), key.lexicographicallyPrecedes(end) || key == end else {
                return false
            }
            keys.append(key)
            return true
        }
        for key in keys { try transaction.delete(.takenBack, key) }
    }

    /// Deletes packs of a stream, from the first on, as long as `condition` holds.
    static func delete(
        packsOf stream: StreamID, _ ordinal: UInt32, in transaction: borrowing WriteTransaction,
        while condition: (PackOutline) -> Bool = { _ in true }
    ) throws(StoreError) {
        var gone: [PackOutline] = []
        try eachOutline(of: ordinal, in: transaction) { pack in
            guard condition(pack) else { return false }
            gone.append(pack)
            return true
        }
        for pack in gone {
            try transaction.delete(.outbox, pack.key)
            transaction.group.streams.released(pack.roomBytes, of: stream)
        }
    }

    /// Walks the stream's packs from the first, without their envelopes, until `body` says false.
    static func eachOutline<Transaction: Readable & ~Copyable>(
        of ordinal: UInt32, in transaction: borrowing Transaction, _ body: (PackOutline) -> Bool
    ) throws(StoreError) {
        let prefix = Pack.key(ordinal, 0).prefix(4)
        var isDamaged = false
        try transaction.scan(.outbox, from: Pack.key(ordinal, 0)) { key, value in
            let key = Array(key)
            guard key.starts(with: prefix) else { return false }
            guard let outline = PackOutline(key: key, value: value) else {
                isDamaged = true
                return false
            }
            return body(outline)
        }
        if isDamaged { throw StoreError.missing(0, ordinal) }
    }

    /// The running digest through a position between the row's base and its last.
    /// - Throws: `store-damaged` when the store does not hold what its row says.
    package static func digest<Transaction: Readable & ~Copyable>(
        through position: UInt64, of row: StreamRow, in transaction: borrowing Transaction
    ) throws(StoreError) -> Digest32 {
        if position == row.last { return row.lastDigest }
        if position == row.base { return row.baseDigest }
        guard let pack = try pack(holding: position, of: row.ordinal, in: transaction) else {
            throw StoreError.missing(position, row.ordinal)
        }
        return pack.digest(through: position)
    }

    /// The pack that holds a position, or nil when it is not kept here.
    package static func pack<Transaction: Readable & ~Copyable>(
        holding position: UInt64, of ordinal: UInt32, in transaction: borrowing Transaction
    ) throws(StoreError) -> Pack? {
        var found: ([UInt8], [UInt8])?
        try transaction.scanBackwards(.outbox, from: Pack.key(ordinal, position)) { key, value in
            found = (Array(key), Array(value))
            return false
        }
        guard let found, found.0.starts(with: Pack.key(ordinal, 0).prefix(4)) else { return nil }
        let pack = try Pack.decoded(key: found.0, value: found.1)
        return position <= pack.last ? pack : nil
    }

    /// The same, held against the running digests: for what leaves this node.
    package static func soundPack<Transaction: Readable & ~Copyable>(
        holding position: UInt64, of ordinal: UInt32, _ stream: StreamID, in transaction: borrowing Transaction
    ) throws(StoreError) -> Pack? {
        let pack = try pack(holding: position, of: ordinal, in: transaction)
        if let pack { try requireSound(pack, of: ordinal, stream, in: transaction) }
        return pack
    }

    /// Each pack begins with the running digest that the one before it ends with; the stream's row has the last.
    static func requireSound<Transaction: Readable & ~Copyable>(
        _ pack: Pack, of ordinal: UInt32, _ stream: StreamID, in transaction: borrowing Transaction
    ) throws(StoreError) {
        var noted: Digest32?
        let prefix = Pack.key(ordinal, 0).prefix(4)
        try transaction.scan(.outbox, from: Pack.key(ordinal, pack.last + 1)) { key, value in
            guard Array(key).starts(with: prefix) else { return false }
            var reader = ByteReader(Array(value.extracting(first: min(value.byteCount, Pack.headBytes))))
            noted = try? reader.digest()
            return false
        }
        if noted == nil, let row = try transaction.get(.streams, stream.key) {
            let row = try StreamRow.decoded(row, of: stream)
            if row.last == pack.last { noted = row.lastDigest }
        }
        guard noted == pack.digest(through: pack.last) else {
            throw StoreError(
                .damaged,
                "positions \(pack.first) to \(pack.last) of \(stream) in table outbox are not what was written",
                remedy: "stop the node and restore the store from a backup")
        }
    }

    /// Walks the stream's packs from the one at or after a position, until `body` says false.
    static func eachPack<Transaction: Readable & ~Copyable>(
        of ordinal: UInt32, from position: UInt64, in transaction: borrowing Transaction,
        _ body: (_ key: [UInt8], Pack) throws(StoreError) -> Bool
    ) throws(StoreError) {
        let prefix = Pack.key(ordinal, 0).prefix(4)
        var fault: StoreError?
        try transaction.scan(.outbox, from: Pack.key(ordinal, position)) { key, value in
            let key = Array(key)
            guard key.starts(with: prefix) else { return false }
            do throws(StoreError) { return try body(key, try Pack.decoded(key: key, value: Array(value))) } catch {
                fault = error
                return false
            }
        }
        if let fault { throw fault }
    }
}

extension Pack {
    static func decoded(key: [UInt8], value: [UInt8]) throws(StoreError) -> Pack {
        do { return try Pack(key: key, value: value) } catch {
            throw StoreError(
                .damaged, "a pack of table outbox cannot be read: \(error)",
                remedy: "stop the node and restore the store from a backup")
        }
    }
}

extension StoreError {
    static func missing(_ position: UInt64, _ ordinal: UInt32) -> StoreError {
        StoreError(
            .damaged, "position \(position) of stream \(ordinal) is not in table outbox, though its row says so",
            remedy: "stop the node and restore the store from a backup")
    }
}
