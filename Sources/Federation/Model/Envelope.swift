/// What a message is. The lane follows from it: sixteen kinds for each, so that a relay carries what a newer release has
/// added, in its lane, and only the destination must know it.
package struct MessageKind: RawRepresentable, Sendable, Hashable {
    package var rawValue: UInt8

    /// Nil when it is of no lane: 64 and above.
    package init?(rawValue: UInt8) {
        guard Lane(rawValue: rawValue >> 4) != nil else { return nil }
        self.rawValue = rawValue
    }

    private init(_ rawValue: UInt8) { self.rawValue = rawValue }

    package static let receipt = MessageKind(1)
    package static let topology = MessageKind(2)
    /// A destination asks an origin for what it knows nothing of any more.
    package static let refillRequest = MessageKind(3)
    /// An origin that was put back asks a destination what became of its earlier life's messages, and is told.
    package static let outcomesRequest = MessageKind(4)
    package static let outcomes = MessageKind(5)
    package static let escalation = MessageKind(16)
    package static let answer = MessageKind(17)
    package static let returned = MessageKind(18)
    package static let status = MessageKind(19)
    /// What was asked for: an envelope inside another.
    package static let refill = MessageKind(20)
    package static let entry = MessageKind(32)
    /// Counted where it arrives and nothing else: for the test of a link and for measurements.
    package static let probe = MessageKind(48)

    package var lane: Lane { Lane(rawValue: rawValue >> 4) ?? .bulk }
}

extension MessageKind: CustomStringConvertible {
    private static let names: [MessageKind: String] = [
        .receipt: "receipt", .topology: "topology", .escalation: "escalation", .answer: "answer",
        .returned: "returned", .status: "status", .entry: "entry", .probe: "probe",
        .refillRequest: "refill-request", .refill: "refill", .outcomesRequest: "outcomes-request",
        .outcomes: "outcomes",
    ]

    package var description: String { MessageKind.names[self] ?? "kind-\(rawValue)" }

    /// Every kind that has a name, in order.
    package static let named = names.keys.sorted { $0.rawValue < $1.rawValue }

    package init?(name: String) {
        guard let kind = MessageKind.named.first(where: { $0.description == name }) else { return nil }
        self = kind
    }

    /// What the exchange sends by itself to keep its promises: no right names it.
    package var isExchangeOwn: Bool { rawValue < 64 && MessageKind.ownBits & 1 << rawValue != 0 }

    private static let ownBits = [MessageKind.receipt, .refillRequest, .refill, .outcomesRequest, .outcomes]
        .reduce(UInt64(0)) { $0 | 1 << $1.rawValue }
}

/// 128 bits: an envelope's id, an appeal's id. Ordered as unsigned big-endian bytes, so that a UUIDv7 grows with time.
package struct ID128: Sendable, Hashable, Comparable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func < (left: ID128, right: ID128) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

/// One life of a store: 128 random bits, drawn when the store is made and again when it is opened anew after a rewind.
package struct Incarnation: Sendable, Hashable, Comparable {
    package var bits: ID128
    package static func < (left: Incarnation, right: Incarnation) -> Bool { left.bits < right.bits }

    /// 32 hexadecimal digits.
    package var text: String {
        [bits.high, bits.low].map { part in
            let digits = String(part, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
    package init(bits: ID128) { self.bits = bits }

    /// Nil when it is not 32 hexadecimal digits.
    package init?(text: String) {
        guard text.utf8.count == 32, text.utf8.allSatisfy({ $0 != 0x2B && $0 != 0x2D }),
            let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        bits = ID128(high: high, low: low)
    }
}

/// A numbered sequence of envelopes from one life of one node to one destination, in one lane.
package struct StreamID: Sendable, Hashable, Comparable {
    package var origin: NodeID
    package var incarnation: Incarnation
    package var destination: NodeID
    package var lane: Lane

    package init(origin: NodeID, incarnation: Incarnation, destination: NodeID, lane: Lane) {
        self.origin = origin
        self.incarnation = incarnation
        self.destination = destination
        self.lane = lane
    }

    package static func < (left: StreamID, right: StreamID) -> Bool {
        (left.origin, left.destination, left.lane, left.incarnation)
            < (right.origin, right.destination, right.lane, right.incarnation)
    }
}

/// What a header may carry beside its fields: type u8 · length u8 · bytes, one after another. Unknown ones are passed on.
package enum HeaderExtension: UInt8, Sendable {
    /// Without bytes: the origin understands a receipt that says an envelope is held. To others it is a rejection.
    case understandsHolding = 1

    package var encoded: [UInt8] { HeaderExtension.usual }

    /// What nearly every header has: all of them share these bytes.
    private static let usual = [HeaderExtension.understandsHolding.rawValue, 0]

    static func shared(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        bytes.elementsEqual(usual) ? usual : Array(bytes)
    }
}

extension EnvelopeHeader {
    package func has(_ extension: HeaderExtension) -> Bool {
        var rest = extensions[...]
        while rest.count >= 2 {
            let type = rest[rest.startIndex]
            let length = Int(rest[rest.startIndex + 1])
            if type == `extension`.rawValue { return true }
            rest = rest.dropFirst(2 + length)
        }
        return false
    }
}

/// What every node on the way may see of an envelope. Nothing personal can be put here: it has no field for it.
package struct EnvelopeHeader: Sendable, Hashable {
    package var stream: StreamID
    /// Position in the stream, from 1.
    package var position: UInt64
    package var kind: MessageKind
    package var id: ID128
    package var created: Timestamp
    /// The version of the topology by which it was accepted.
    package var topologyVersion: UInt64
    /// Extensions as they came, unknown ones too: bytes that are passed on as they are.
    package var extensions: [UInt8]

    package init(
        stream: StreamID, position: UInt64, kind: MessageKind, id: ID128, created: Timestamp, topologyVersion: UInt64,
        extensions: [UInt8] = []
    ) {
        self.stream = stream
        self.position = position
        self.kind = kind
        self.id = id
        self.created = created
        self.topologyVersion = topologyVersion
        self.extensions = extensions
    }
}

/// What only origin and destination need: JSON, UTF-8, sorted keys, encoded once. At most 256 KiB with its header.
package struct EnvelopeBody: Sendable, Hashable {
    package var bytes: [UInt8]
    package init(bytes: [UInt8]) { self.bytes = bytes }
}

/// A message on its way.
package struct Envelope: Sendable, Hashable {
    package var header: EnvelopeHeader
    package var body: EnvelopeBody

    package init(header: EnvelopeHeader, body: EnvelopeBody) {
        self.header = header
        self.body = body
    }
}
