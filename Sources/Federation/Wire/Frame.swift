/// Everything on a link travels in frames of at most 16,384 bytes, big endian:
///
///     length u32 @0, of the whole frame, in bytes · kind u8 @4 · flags u8 @5 · zero u16 @6 · payload @8
///
/// A message that is longer goes in several frames of its kind, all but the last with the flag `fragment`; frames of
/// other kinds, and of envelopes in other lanes, may come between them.
package enum FrameKind: UInt8, Sendable, Hashable {
    case hello = 1
    case envelope = 2
    case ack = 3
    case receipt = 4
    case settled = 5
    case offer = 6
    case token = 7
    case ping = 8
    case pong = 9
    case bye = 10
    /// The burst of envelopes announced by `FrameFlags.burst` is over.
    case flush = 11
    case entry = 12
    case cursor = 13
    /// How a node is, on its way to the centre. Only to who speaks version 2.
    case report = 14
    /// Signed metadata between neighbours. Only to who speaks version 2.
    case metadata = 15
}

package enum FrameFlags {
    /// More of this message follows in another frame.
    package static let fragment: UInt8 = 1
    /// More envelopes follow at once: what has come may wait for them to be committed together.
    package static let burst: UInt8 = 2
}

/// What a peer has sent that cannot be a frame of ours. The code goes into the log and the `bye`.
package struct FrameFault: Error, Sendable, Hashable {
    package var code: String
    package init(_ code: String) { self.code = code }
}

package enum Frame {
    package static let headerBytes = 8
    package static let maximumBytes = 16_384
    package static let maximumPayload = maximumBytes - headerBytes

    /// Appends a message of a kind as one frame or more. In a frame of an envelope the payload begins with its lane.
    package static func append(
        _ kind: FrameKind, _ message: ArraySlice<UInt8>, lane: Lane? = nil, flags: UInt8 = 0, to output: inout [UInt8]
    ) {
        var rest = message
        let room = maximumPayload - (lane == nil ? 0 : 1)
        repeat {
            let part = rest.prefix(room)
            rest = rest.dropFirst(part.count)
            appendFrame(kind, part, lane: lane, flags: flags | (rest.isEmpty ? 0 : FrameFlags.fragment), to: &output)
        } while !rest.isEmpty
    }

    package static func appendFrame(
        _ kind: FrameKind, _ payload: ArraySlice<UInt8>, lane: Lane?, flags: UInt8, to output: inout [UInt8]
    ) {
        let length = UInt32(headerBytes + payload.count + (lane == nil ? 0 : 1))
        withUnsafeBytes(of: length.bigEndian) { output.append(contentsOf: $0) }
        output.append(kind.rawValue)
        output.append(flags)
        output.append(0)
        output.append(0)
        if let lane { output.append(lane.rawValue) }
        output.append(contentsOf: payload)
    }
}

/// A whole message, put together from its frames.
package struct FramedMessage: Sendable, Hashable {
    package var kind: FrameKind
    package var flags: UInt8
    package var bytes: [UInt8]
}

/// Cuts a stream of bytes into frames and puts fragments together. Bounded: a message may be 1 MiB, an envelope 256 KiB.
package struct FrameAssembler: Sendable {
    private var buffer: [UInt8] = []
    private var consumed = 0
    /// Messages that are not whole yet, by kind and lane.
    private var partial: [UInt16: [UInt8]] = [:]

    package init() {}

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if consumed > 0 && consumed == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            consumed = 0
        } else if consumed > 1 << 16 {
            buffer.removeSubrange(..<consumed)
            consumed = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole message, or nil when more bytes are needed.
    package mutating func next() throws(FrameFault) -> FramedMessage? {
        while true {
            let available = buffer.count - consumed
            guard available >= Frame.headerBytes else { return nil }
            let start = consumed
            let length = (0..<4).reduce(0) { $0 << 8 | Int(buffer[start + $1]) }
            guard length <= Frame.maximumBytes else { throw FrameFault("frame-oversized") }
            guard length >= Frame.headerBytes else { throw FrameFault("frame-truncated") }
            guard let kind = FrameKind(rawValue: buffer[start + 4]) else { throw FrameFault("frame-unknown-kind") }
            let flags = buffer[start + 5]
            guard flags & ~3 == 0, buffer[start + 6] == 0, buffer[start + 7] == 0 else {
                throw FrameFault("frame-reserved-bits")
            }
            guard available >= length else { return nil }
            consumed += length
            let payload = buffer[start + Frame.headerBytes..<start + length]
            if let message = try assemble(kind, flags, payload) { return message }
        }
    }

    /// True when bytes of an unfinished frame or message are waiting.
    package var isInMidst: Bool { consumed < buffer.count || !partial.isEmpty }

    private mutating func assemble(
        _ kind: FrameKind, _ flags: UInt8, _ payload: ArraySlice<UInt8>
    ) throws(FrameFault) -> FramedMessage? {
        var payload = payload
        var slot = UInt16(kind.rawValue) << 8
        if kind == .envelope {
            guard let lane = payload.popFirst(), Lane(rawValue: lane) != nil else {
                throw FrameFault("frame-truncated")
            }
            slot |= UInt16(lane)
        }
        let more = flags & FrameFlags.fragment != 0
        guard let begun = partial[slot] else {
            if !more { return FramedMessage(kind: kind, flags: flags, bytes: Array(payload)) }
            partial[slot] = Array(payload)
            return nil
        }
        let limit = kind == .envelope ? EnvelopeCodec.maximumBytes : 1 << 20
        guard begun.count + payload.count <= limit else { throw FrameFault("message-oversized") }
        partial[slot]?.append(contentsOf: payload)
        guard !more, let whole = partial.removeValue(forKey: slot) else { return nil }
        return FramedMessage(kind: kind, flags: flags & ~FrameFlags.fragment, bytes: whole)
    }
}
