/// Input ended early or breaks its own rule.
package enum WireError: Error, Sendable, Hashable {
    /// Input ran out at this byte offset.
    case truncated(at: Int)
    /// A length or count above its limit, at this byte offset.
    case tooLong(at: Int)
    /// A value that the format does not know, at this byte offset.
    case invalid(at: Int)
}

/// Appends numbers big endian and texts with their length before them.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 64) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package mutating func append<Number: FixedWidthInteger>(_ number: Number) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    package mutating func append(_ id: ID128) {
        append(id.high)
        append(id.low)
    }

    package mutating func append(_ digest: Digest32) { digest.withBytes { bytes.append(contentsOf: $0) } }

    package mutating func append(_ raw: [UInt8]) { bytes.append(contentsOf: raw) }

    /// At most 255 bytes of UTF-8, after their count; a longer text ends with its last whole character.
    package mutating func append(short text: String) {
        if text.utf8.count <= 255 {
            append(UInt8(text.utf8.count))
            return bytes.append(contentsOf: text.utf8)
        }
        var utf8 = Array(text.utf8.prefix(256))
        while utf8.count > 255 || utf8.last.map({ $0 & 0xC0 == 0x80 }) == true { utf8.removeLast() }
        if utf8.last.map({ $0 >= 0xC0 }) == true { utf8.removeLast() }
        append(UInt8(utf8.count))
        append(utf8)
    }

    package mutating func append(_ node: NodeID) { append(short: node.text) }
}

/// Reads what `ByteWriter` wrote, from bytes that may hold anything.
package struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var place: Int
    private let start: Int

    package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    package init(_ slice: ArraySlice<UInt8>) {
        bytes = slice
        start = slice.startIndex
        place = slice.startIndex
    }

    /// Bytes read so far.
    package var offset: Int { place - start }
    package var remaining: Int { bytes.endIndex - place }
    package var isAtEnd: Bool { remaining == 0 }

    package mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws(WireError) -> Number {
        let size = MemoryLayout<Number>.size
        guard remaining >= size else { throw .truncated(at: offset) }
        var value: Number = 0
        for byte in bytes[place..<place + size] {
            value = (size == 1 ? 0 : value << 8) | Number(truncatingIfNeeded: byte)
        }
        place += size
        return value
    }

    /// A position, credit, counter or version of somebody else: at most 2^62, so that no sum with it can overflow.
    package mutating func position() throws(WireError) -> UInt64 {
        let begin = offset
        let value = try number(UInt64.self)
        guard value <= 1 << 62 else { throw .tooLong(at: begin) }
        return value
    }

    /// An instant of somebody else, in milliseconds since 1970 UTC, until the year 10889.
    package mutating func instant() throws(WireError) -> Timestamp {
        let begin = offset
        let value = try number(Int64.self)
        guard (0...1 << 48).contains(value) else { throw .tooLong(at: begin) }
        return Timestamp(milliseconds: value)
    }

    package mutating func id128() throws(WireError) -> ID128 {
        ID128(high: try number(UInt64.self), low: try number(UInt64.self))
    }

    package mutating func digest() throws(WireError) -> Digest32 {
        let raw = try take(32)
        return Digest32(raw)
    }

    package mutating func take(_ count: Int) throws(WireError) -> ArraySlice<UInt8> {
        guard count >= 0, remaining >= count else { throw .truncated(at: offset) }
        defer { place += count }
        return bytes[place..<place + count]
    }

    /// What is left.
    package mutating func rest() throws(WireError) -> ArraySlice<UInt8> { try take(remaining) }

    package mutating func shortText() throws(WireError) -> String {
        let begin = offset
        let count = Int(try number(UInt8.self))
        guard let text = String(validating: try take(count), as: UTF8.self) else { throw .invalid(at: begin) }
        return text
    }

    package mutating func nodeID() throws(WireError) -> NodeID {
        let begin = offset
        guard let node = NodeID(try shortText()) else { throw .invalid(at: begin) }
        return node
    }
}
