/// What a node durably knows of one stream that begins, ends or passes here. One row of table `streams`.
///
///     origin ── envelopes ─▶ relay ── envelopes ─▶ destination
///            ◀─ ack ──────        ◀─ ack ──────          each hop: durable there
///            ◀──────────── receipt ──────────────        end to end: applied, or rejected with a code
package struct StreamRow: Sendable, Hashable {
    /// This store's short name of the stream: the first part of the keys of its packs.
    package var ordinal: UInt32
    /// Highest position minted (at the origin) or received here, and the running digest through it.
    package var last: UInt64 = 0
    package var lastDigest = Digest32.zero
    /// Nothing at or below is kept here any more, and the running digest through it.
    package var base: UInt64 = 0
    package var baseDigest = Digest32.zero
    /// The destination has decided everything through here: the receipt.
    package var applied: UInt64 = 0
    /// The next hop holds everything through here durably.
    package var forwarded: UInt64 = 0
    /// The life of the next hop that said so.
    package var forwardedTo: Incarnation?
    /// The life of the previous hop from which `last` came. Nil at the origin.
    package var receivedFrom: Incarnation?
    /// `last` when the process started after a life in which a peer accepted a session: what is above may have been
    /// minted by a copy of the store that nobody has met.
    package var startBase: UInt64 = 0
    /// Positions that the destination refused, ascending, until the origin has taken them back.
    package var rejections: [RejectedPosition] = []
    /// The origin has acted on every receipt through here.
    package var settled: UInt64 = 0
    /// The store was opened as a new incarnation since `last` came. Kept for release 0.1.0, which goes by it.
    package var isReopened = false
    /// Positions that the destination keeps undecided: at the destination rows of table `quarantine`, at the origin of
    /// table `held`.
    package var held: UInt32 = 0
    /// At the origin: nothing at or below is kept in the refill log any more. Elsewhere `base`.
    package var refillBase: UInt64 = 0
    /// Through here the destination has it inside a verified backup: at the destination as it knows, at the origin as it
    /// was told.
    package var safe: UInt64 = 0
    /// What was decided, at either end: positions applied, refused, and gone for good.
    package var appliedCount: UInt64 = 0
    package var rejectedCount: UInt64 = 0
    package var lostCount: UInt64 = 0
    /// At the destination: positions that an earlier life has decided, and that are being refilled.
    package var missing: UInt64 = 0
    /// The first of them; 0: none. What is above has no receipt before it.
    package var missingFrom: UInt64 = 0
    /// False when release 0.1.0 has counted a part of it, which counted nothing.
    package var isCounted = true

    package init(ordinal: UInt32) { self.ordinal = ordinal }
}

extension StreamRow {
    /// Positions decided that no count accounts for: 0, or conservation is broken. At either end of a stream.
    package var imbalance: Int64 {
        Int64(clamping: base) - Int64(clamping: appliedCount + rejectedCount + lostCount + missing + UInt64(held))
    }

    /// Exceptions of one stream that wait for its origin or for a person: with so many, no more of it is taken.
    static let mostExceptions = 1000

    /// Whether the destination takes more of the stream.
    var takesMore: Bool { rejections.count < StreamRow.mostExceptions && held < StreamRow.mostExceptions }
}

/// A position that its destination refused, or keeps undecided: then the code is a `HoldReason`.
package struct RejectedPosition: Sendable, Hashable {
    package var position: UInt64
    package var code: String

    package init(position: UInt64, code: String) {
        self.position = position
        self.code = code
    }
}

extension StreamRow {
    /// Fields in their order, big endian; an absent incarnation is 16 zero bytes.
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 180)
        writer.append(UInt8(1))
        writer.append(ordinal)
        writer.append(last)
        writer.append(lastDigest)
        writer.append(base)
        writer.append(baseDigest)
        for number in [applied, forwarded, startBase, settled] { writer.append(number) }
        writer.append(forwardedTo?.bits ?? ID128(high: 0, low: 0))
        writer.append(receivedFrom?.bits ?? ID128(high: 0, low: 0))
        writer.append(UInt8(isReopened ? 1 : 0))
        writer.append(UInt32(rejections.count))
        for rejection in rejections {
            writer.append(rejection.position)
            writer.append(short: rejection.code)
        }
        // What came later stands behind what release 0.1.0 reads.
        writer.append(held)
        for number in [refillBase, safe, appliedCount, rejectedCount, lostCount, missing, missingFrom] {
            writer.append(number)
        }
        writer.append(UInt8(isCounted ? 1 : 0))
        return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        ordinal = try reader.number(UInt32.self)
        last = try reader.number(UInt64.self)
        lastDigest = try reader.digest()
        base = try reader.number(UInt64.self)
        baseDigest = try reader.digest()
        applied = try reader.number(UInt64.self)
        forwarded = try reader.number(UInt64.self)
        startBase = try reader.number(UInt64.self)
        settled = try reader.number(UInt64.self)
        let to = try reader.id128()
        let from = try reader.id128()
        isReopened = try reader.number(UInt8.self) == 1
        forwardedTo = to == ID128(high: 0, low: 0) ? nil : Incarnation(bits: to)
        receivedFrom = from == ID128(high: 0, low: 0) ? nil : Incarnation(bits: from)
        for _ in 0..<(try reader.number(UInt32.self)) {
            rejections.append(
                RejectedPosition(position: try reader.number(UInt64.self), code: try reader.shortText()))
        }
        guard !reader.isAtEnd else {
            // As release 0.1.0 left it: nothing is kept below the base, and what was refused was not counted.
            (refillBase, appliedCount, isCounted) = (base, base, base == 0)
            return
        }
        held = try reader.number(UInt32.self)
        refillBase = try reader.number(UInt64.self)
        safe = try reader.number(UInt64.self)
        appliedCount = try reader.number(UInt64.self)
        rejectedCount = try reader.number(UInt64.self)
        lostCount = try reader.number(UInt64.self)
        missing = try reader.number(UInt64.self)
        missingFrom = try reader.number(UInt64.self)
        isCounted = try reader.number(UInt8.self) == 1
    }
}

extension StreamID {
    /// Origin, incarnation, destination, lane: the key in table `streams`, and the name on the wire.
    package func append(to writer: inout ByteWriter) {
        writer.append(origin)
        writer.append(incarnation.bits)
        writer.append(destination)
        writer.append(lane.rawValue)
    }

    package var key: [UInt8] {
        var writer = ByteWriter(capacity: 80)
        append(to: &writer)
        return writer.bytes
    }

    package init(from reader: inout ByteReader) throws(WireError) {
        origin = try reader.nodeID()
        incarnation = Incarnation(bits: try reader.id128())
        destination = try reader.nodeID()
        let place = reader.offset
        guard let lane = Lane(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: place) }
        self.lane = lane
    }
}
