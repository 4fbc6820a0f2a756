/// An envelope as it travels, big endian:
///
///     format u8 = 1 @0 · suite u8 = 0 @1 · lane u8 @2 · kind u8 @3 · position u64 @4 · id 16 bytes @12
///     · created i64 (ms) @28 · topology version u64 @36 · incarnation 16 bytes @44 · origin, destination (u8 length,
///     text) · extensions (u16 length, bytes) · body (u32 length, bytes)
///
/// The bytes are kept and passed on as they came: running digests are over them.
package enum EnvelopeCodec {
    /// Header and body together.
    package static let maximumBytes = 256 * 1024

    package static func encode(_ envelope: Envelope) -> [UInt8] {
        let header = envelope.header
        var writer = ByteWriter(capacity: 140 + header.extensions.count + envelope.body.bytes.count)
        writer.append(UInt8(1))
        writer.append(UInt8(0))
        writer.append(header.stream.lane.rawValue)
        writer.append(header.kind.rawValue)
        writer.append(header.position)
        writer.append(header.id)
        writer.append(header.created.milliseconds)
        writer.append(header.topologyVersion)
        writer.append(header.stream.incarnation.bits)
        writer.append(header.stream.origin)
        writer.append(header.stream.destination)
        writer.append(UInt16(header.extensions.count))
        writer.append(header.extensions)
        writer.append(UInt32(envelope.body.bytes.count))
        writer.append(envelope.body.bytes)
        return writer.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(WireError) -> Envelope {
        guard bytes.count <= maximumBytes else { throw .tooLong(at: 0) }
        // Relays carry what is sealed otherwise; who opens it must know how.
        guard bytes.count > 1, bytes[1] == 0 else { throw .invalid(at: 1) }
        var reader = ByteReader(bytes)
        let header = try decodeHeader(&reader)
        let count = Int(try reader.number(UInt32.self))
        let body = EnvelopeBody(bytes: Array(try reader.take(count)))
        guard reader.isAtEnd else { throw .tooLong(at: reader.offset) }
        return Envelope(header: header, body: body)
    }

    /// The header alone, of bytes whose end is not looked at.
    package static func decodeHeader(_ reader: inout ByteReader) throws(WireError) -> EnvelopeHeader {
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        _ = try reader.number(UInt8.self)
        guard let lane = Lane(rawValue: try reader.number(UInt8.self)) else { throw .invalid(at: 2) }
        guard let kind = MessageKind(rawValue: try reader.number(UInt8.self)), kind.lane == lane else {
            throw .invalid(at: 3)
        }
        let position = try reader.position()
        guard position > 0 else { throw .invalid(at: 4) }
        let id = try reader.id128()
        let created = try reader.instant()
        let version = try reader.position()
        let incarnation = Incarnation(bits: try reader.id128())
        let origin = try reader.nodeID()
        let destination = try reader.nodeID()
        let extensions = HeaderExtension.shared(try reader.take(Int(try reader.number(UInt16.self))))
        return EnvelopeHeader(
            stream: StreamID(origin: origin, incarnation: incarnation, destination: destination, lane: lane),
            position: position, kind: kind, id: id, created: created, topologyVersion: version, extensions: extensions)
    }
}
