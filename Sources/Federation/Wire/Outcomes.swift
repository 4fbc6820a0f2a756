/// What became of the positions of a stream of an earlier life: the body of a message of kind `outcomesRequest`, from
/// the stream's origin to its destination. Big endian:
///
///     version u8 = 1 · lane u8 @1 · incarnation 16 bytes @2 · first u64 @18 · last u64 @26
struct OutcomesRequest: Sendable, Hashable {
    var lane: Lane
    var incarnation: Incarnation
    var first: UInt64
    var last: UInt64

    init(lane: Lane, incarnation: Incarnation, first: UInt64, last: UInt64) {
        self.lane = lane
        self.incarnation = incarnation
        self.first = first
        self.last = last
    }

    func encoded() -> EnvelopeBody {
        var writer = ByteWriter(capacity: 34)
        writer.append(UInt8(1))
        writer.append(lane.rawValue)
        writer.append(incarnation.bits)
        writer.append(first)
        writer.append(last)
        return EnvelopeBody(bytes: writer.bytes)
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        guard let lane = Lane(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: 1) }
        self.lane = lane
        incarnation = Incarnation(bits: try reader.id128())
        first = try reader.position()
        last = try reader.position()
    }
}

/// The answer, of kind `outcomes`: everything from `first` through `last` took effect but what is named.
///
///     version u8 = 1 · lane u8 @1 · incarnation 16 bytes @2 · first u64 @18 · last u64 @26
///     · count u32 @34 × (position u64, code: u8 length, text)
struct Outcomes: Sendable, Hashable {
    var lane: Lane
    var incarnation: Incarnation
    var first: UInt64
    var last: UInt64
    var refused: [RejectedPosition]

    init(lane: Lane, incarnation: Incarnation, first: UInt64, last: UInt64, refused: [RejectedPosition]) {
        self.lane = lane
        self.incarnation = incarnation
        self.first = first
        self.last = last
        self.refused = refused
    }

    func encoded() -> EnvelopeBody {
        var writer = ByteWriter(capacity: 38 + 24 * refused.count)
        writer.append(UInt8(1))
        writer.append(lane.rawValue)
        writer.append(incarnation.bits)
        writer.append(first)
        writer.append(last)
        writer.append(UInt32(refused.count))
        for refusal in refused {
            writer.append(refusal.position)
            writer.append(short: refusal.code)
        }
        return EnvelopeBody(bytes: writer.bytes)
    }

    init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        guard let lane = Lane(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: 1) }
        self.lane = lane
        incarnation = Incarnation(bits: try reader.id128())
        first = try reader.position()
        last = try reader.position()
        refused = []
        for _ in 0..<(try reader.number(UInt32.self)) {
            refused.append(RejectedPosition(position: try reader.position(), code: try reader.shortText()))
        }
    }
}
