/// How the two ends of a link introduce themselves, once a session and at once in both directions.
///
///     protocol lowest u16, highest u16 · topology version u64 · incarnation 16 · known incarnation of the receiver 16
///     (zero: none) · tokens u8 × (counter u64, random 16) · held u32 × (stream, last u64, digest 32, from 16,
///     credit u64) · offered u32 × (stream, last u64, base u64, digest 32, forwarded u64, to 16) · flags u8: 1 metadata
///     only (absent: none) · bytes to come: ignored
package struct Hello: Sendable, Hashable {
    /// A stream that the sender of the hello receives from its peer.
    package struct Held: Sendable, Hashable {
        package var stream: StreamID
        package var last: UInt64
        package var digest: Digest32
        /// The life of the peer from which `last` came.
        package var from: Incarnation?
        package var credit: UInt64
    }

    /// A stream that the sender of the hello sends to its peer.
    package struct Offered: Sendable, Hashable {
        package var stream: StreamID
        package var last: UInt64
        package var base: UInt64
        package var digest: Digest32
        /// What the peer is known to hold, and which life of it said so.
        package var forwarded: UInt64
        package var to: Incarnation?
    }

    /// 2: receipts carry a tally, nodes report how they are, signed metadata goes from neighbour to neighbour, also alone.
    package static let protocolVersion: UInt16 = 2
    /// From here on a peer knows frames of kind `report`.
    package static let reportsVersion: UInt16 = 2
    /// And of kind `metadata`.
    package static let metadataVersion: UInt16 = 2
    package static let lowestVersion: UInt16 = 1

    package var lowest = Hello.lowestVersion
    package var highest = Hello.protocolVersion
    package var topologyVersion: UInt64
    package var incarnation: Incarnation
    package var knownIncarnation: Incarnation?
    package var tokens: [SessionToken]
    package var held: [Held]
    package var offered: [Offered]
    /// By the sender's clock a certificate has ended: nothing but signed metadata is to pass.
    package var isMetadataOnly = false

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.append(lowest)
        writer.append(highest)
        writer.append(topologyVersion)
        writer.append(incarnation.bits)
        writer.append(knownIncarnation)
        writer.append(UInt8(tokens.count))
        for token in tokens { writer.append(token) }
        writer.append(UInt32(held.count))
        for entry in held {
            entry.stream.append(to: &writer)
            writer.append(entry.last)
            writer.append(entry.digest)
            writer.append(entry.from)
            writer.append(entry.credit)
        }
        writer.append(UInt32(offered.count))
        for entry in offered {
            entry.stream.append(to: &writer)
            writer.append(entry.last)
            writer.append(entry.base)
            writer.append(entry.digest)
            writer.append(entry.forwarded)
            writer.append(entry.to)
        }
        writer.append(UInt8(isMetadataOnly ? 1 : 0))
        return writer.bytes
    }

    package init(
        topologyVersion: UInt64, incarnation: Incarnation, knownIncarnation: Incarnation?, tokens: [SessionToken],
        held: [Held], offered: [Offered]
    ) {
        self.topologyVersion = topologyVersion
        self.incarnation = incarnation
        self.knownIncarnation = knownIncarnation
        self.tokens = tokens
        self.held = held
        self.offered = offered
    }

    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        lowest = try reader.number(UInt16.self)
        highest = try reader.number(UInt16.self)
        topologyVersion = try reader.position()
        incarnation = Incarnation(bits: try reader.id128())
        knownIncarnation = try reader.incarnation()
        tokens = []
        for _ in 0..<(try reader.number(UInt8.self)) { tokens.append(try reader.token()) }
        held = []
        for _ in 0..<(try reader.number(UInt32.self)) {
            held.append(
                Held(
                    stream: try StreamID(from: &reader), last: try reader.position(),
                    digest: try reader.digest(), from: try reader.incarnation(), credit: try reader.position())
            )
        }
        offered = []
        for _ in 0..<(try reader.number(UInt32.self)) {
            offered.append(
                Offered(
                    stream: try StreamID(from: &reader), last: try reader.position(),
                    base: try reader.position(), digest: try reader.digest(),
                    forwarded: try reader.position(), to: try reader.incarnation()))
        }
        isMetadataOnly = reader.isAtEnd ? false : try reader.number(UInt8.self) & 1 == 1
    }
}

/// Durable here through `through`; the sender may go on through `credit`.
package struct Ack: Sendable, Hashable {
    package var stream: StreamID
    package var through: UInt64
    package var credit: UInt64
    /// What was sent beyond `through` found no room and must be sent again.
    package var resend: Bool
}

/// The lists that travel in one message: a count u32, then the entries.
package enum LinkCodec {
    package static func acks(_ acks: [Ack]) -> [UInt8] {
        list(acks) { ack, writer in
            ack.stream.append(to: &writer)
            writer.append(ack.through)
            writer.append(ack.credit)
            writer.append(UInt8(ack.resend ? 1 : 0))
        }
    }

    package static func acks(_ bytes: [UInt8]) throws(WireError) -> [Ack] {
        try list(bytes) { reader throws(WireError) in
            Ack(
                stream: try StreamID(from: &reader), through: try reader.position(),
                credit: try reader.position(), resend: try reader.number(UInt8.self) & 1 == 1)
        }
    }

    /// - Parameter version: of the session; in version 1 there is no tally.
    package static func receipts(_ states: [ReceiptState], version: UInt16) -> [UInt8] {
        list(states) { state, writer in
            state.stream.append(to: &writer)
            writer.append(state.applied)
            writer.append(UInt32(state.rejections.count))
            for rejection in state.rejections {
                writer.append(rejection.position)
                writer.append(short: rejection.code)
            }
            guard version >= 2 else { return }
            writer.append(UInt8(state.tally == nil ? 0 : 1))
            state.tally?.append(to: &writer)
        }
    }

    package static func receipts(_ bytes: [UInt8], version: UInt16) throws(WireError) -> [ReceiptState] {
        try list(bytes) { reader throws(WireError) in
            let stream = try StreamID(from: &reader)
            let applied = try reader.position()
            var rejections: [RejectedPosition] = []
            for _ in 0..<(try reader.number(UInt32.self)) {
                rejections.append(
                    RejectedPosition(position: try reader.position(), code: try reader.shortText()))
            }
            let hasTally = version >= 2 ? try reader.number(UInt8.self) == 1 : false
            return ReceiptState(
                stream: stream, applied: applied, rejections: rejections,
                tally: hasTally ? try Tally(from: &reader) : nil)
        }
    }

    package static func positions(_ positions: [StreamPosition]) -> [UInt8] {
        list(positions) { position, writer in
            position.stream.append(to: &writer)
            writer.append(position.position)
        }
    }

    package static func positions(_ bytes: [UInt8]) throws(WireError) -> [StreamPosition] {
        try list(bytes) { reader throws(WireError) in
            StreamPosition(stream: try StreamID(from: &reader), position: try reader.position())
        }
    }

    package static func bases(_ bases: [StreamBase]) -> [UInt8] {
        list(bases) { base, writer in
            base.stream.append(to: &writer)
            writer.append(base.base)
            writer.append(base.digest)
        }
    }

    package static func bases(_ bytes: [UInt8]) throws(WireError) -> [StreamBase] {
        try list(bytes) { reader throws(WireError) in
            StreamBase(
                stream: try StreamID(from: &reader), base: try reader.position(), digest: try reader.digest())
        }
    }

    /// - Parameter proposed: by the end that dialled; else agreed to by the other.
    package static func token(_ token: SessionToken, proposed: Bool) -> [UInt8] {
        var writer = ByteWriter(capacity: 25)
        writer.append(UInt8(proposed ? 1 : 0))
        writer.append(token)
        return writer.bytes
    }

    package static func token(_ bytes: [UInt8]) throws(WireError) -> (token: SessionToken, proposed: Bool) {
        var reader = ByteReader(bytes)
        let proposed = try reader.number(UInt8.self) == 1
        return (try reader.token(), proposed)
    }

    package static func bye(_ code: String, _ detail: String) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.append(short: code)
        writer.append(short: detail)
        return writer.bytes
    }

    package static func bye(_ bytes: [UInt8]) throws(WireError) -> (code: String, detail: String) {
        var reader = ByteReader(bytes)
        return (try reader.shortText(), try reader.shortText())
    }

    private static func list<Entry>(_ entries: [Entry], _ append: (Entry, inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacity: 4 + entries.count * 80)
        writer.append(UInt32(entries.count))
        for entry in entries { append(entry, &writer) }
        return writer.bytes
    }

    private static func list<Entry>(
        _ bytes: [UInt8], _ read: (inout ByteReader) throws(WireError) -> Entry
    ) throws(WireError) -> [Entry] {
        var reader = ByteReader(bytes)
        var entries: [Entry] = []
        for _ in 0..<(try reader.number(UInt32.self)) { entries.append(try read(&reader)) }
        return entries
    }
}

extension ByteWriter {
    mutating func append(_ incarnation: Incarnation?) { append(incarnation?.bits ?? ID128(high: 0, low: 0)) }

    mutating func append(_ token: SessionToken) {
        append(token.counter)
        append(token.random)
    }
}

extension ByteReader {
    mutating func incarnation() throws(WireError) -> Incarnation? {
        let bits = try id128()
        return bits == ID128(high: 0, low: 0) ? nil : Incarnation(bits: bits)
    }

    mutating func token() throws(WireError) -> SessionToken {
        SessionToken(counter: try position(), random: try id128())
    }
}
