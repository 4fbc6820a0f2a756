/// What a destination asks an origin for, once it has found that it knows nothing of what was decided: the body of a
/// message of kind `refillRequest`. Big endian:
///
///     version u8 = 1 · lane u8 @1 · incarnation 16 bytes @2 · first u64 @18 · count u32 @26
struct RefillRequest: Sendable, Hashable {
    /// Of the stream; its origin is who gets this, its destination who sends it.
    var lane: Lane
    var incarnation: Incarnation
    var first: UInt64
    var count: UInt32

    func encoded() -> EnvelopeBody {
        var writer = ByteWriter(capacity: 30)
        writer.append(UInt8(1))
        writer.append(lane.rawValue)
        writer.append(incarnation.bits)
        writer.append(first)
        writer.append(count)
        return EnvelopeBody(bytes: writer.bytes)
    }

    init(lane: Lane, incarnation: Incarnation, first: UInt64, count: UInt32) {
        self.lane = lane
        self.incarnation = incarnation
        self.first = first
        self.count = count
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        guard let lane = Lane(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: 1) }
        self.lane = lane
        incarnation = Incarnation(bits: try reader.id128())
        first = try reader.position()
        count = try reader.number(UInt32.self)
    }
}

/// What an origin gives back: the body of a message of kind `refill`. Big endian:
///
///     version u8 = 1 · what u8 @1 · last u8 @2 (1: nothing more comes for this request) · lane u8 @3
///     · incarnation 16 bytes @4 · position u64 @20 · through u64 @28 · the envelope as it was sent
struct Refill: Sendable, Hashable {
    enum What: UInt8, Sendable {
        /// It takes effect now.
        case envelope = 0
        /// Its destination had refused it, and the origin has taken it back: it has no effect.
        case takenBack = 1
        /// Positions through `through` are not there any more.
        case gone = 2
        /// It was a refill itself: what it held is asked for by its own position.
        case void = 3
        /// It takes effect now, and the origin still waits to hear what became of it: it had been held.
        case held = 4
        /// It takes effect now, and its origin knows it as applied, by an earlier life of its destination.
        case applied = 5

        var carriesEnvelope: Bool { [.envelope, .held, .applied].contains(self) }
    }

    var what: What
    var isLast: Bool
    var lane: Lane
    var incarnation: Incarnation
    var position: UInt64
    var through: UInt64
    var envelope: [UInt8]

    func encoded() -> EnvelopeBody {
        var writer = ByteWriter(capacity: 36 + envelope.count)
        writer.append(UInt8(1))
        writer.append(what.rawValue)
        writer.append(UInt8(isLast ? 1 : 0))
        writer.append(lane.rawValue)
        writer.append(incarnation.bits)
        writer.append(position)
        writer.append(through)
        writer.append(envelope)
        return EnvelopeBody(bytes: writer.bytes)
    }

    init(
        _ what: What, of stream: StreamID, _ position: UInt64, through: UInt64? = nil, envelope: [UInt8] = [],
        isLast: Bool = false
    ) {
        self.what = what
        self.isLast = isLast
        lane = stream.lane
        incarnation = stream.incarnation
        self.position = position
        self.through = through ?? position
        self.envelope = envelope
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        guard let what = What(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: 1) }
        self.what = what
        isLast = try reader.number(UInt8.self) == 1
        guard let lane = Lane(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: 3) }
        self.lane = lane
        incarnation = Incarnation(bits: try reader.id128())
        position = try reader.position()
        through = try reader.position()
        guard through >= position else { throw .invalid(at: 28) }
        envelope = Array(try reader.take(reader.remaining))
    }
}
