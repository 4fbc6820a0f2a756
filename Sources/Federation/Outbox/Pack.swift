/// What a pack holds, without its envelopes.
package struct PackOutline: Sendable, Hashable {
    package var key: [UInt8]
    package var ordinal: UInt32
    package var first: UInt64
    package var last: UInt64
    /// What it counts for in its room.
    package var roomBytes: Int

    /// Nil when it is no pack.
    init?(key: [UInt8], value: RawSpan) {
        var reader = ByteReader(key)
        guard value.byteCount >= Pack.headBytes, let ordinal = try? reader.number(UInt32.self),
            let first = try? reader.number(UInt64.self)
        else { return nil }
        let count = value.unsafeLoadUnaligned(fromByteOffset: Pack.headBytes - 2, as: UInt16.self).bigEndian
        guard count > 0 else { return nil }
        self.key = key
        self.ordinal = ordinal
        self.first = first
        last = first + UInt64(count) - 1
        roomBytes = value.byteCount - Pack.headBytes
    }
}

/// Up to 16 envelopes or 64 KiB of one stream in one value of table `outbox`: contiguous bytes cost a commit less than
/// many values do. A pack never waits to fill: what one commit group holds is packed.
///
///     key    ordinal u32 · first position u64
///     value  running digest before the first, 32 bytes · count u16 · end offset u32 of each · envelopes
package struct Pack: Sendable {
    package static let maximumCount = 16
    package static let maximumBytes = 64 * 1024
    /// Digest and count.
    static let headBytes = 34

    package var first: UInt64
    package var digestBefore: Digest32
    package private(set) var ends: [UInt32] = []
    package private(set) var envelopes: [UInt8] = []

    package init(first: UInt64, digestBefore: Digest32) {
        self.first = first
        self.digestBefore = digestBefore
    }

    package var count: Int { ends.count }
    /// What it counts for in its room: its value without the head.
    var roomBytes: Int { envelopes.count + 4 * ends.count }
    /// Position of the last envelope; one below `first` while empty.
    package var last: UInt64 { first + UInt64(ends.count) - 1 }

    package func hasRoom(for bytes: Int) -> Bool {
        count == 0 || (count < Pack.maximumCount && envelopes.count + bytes <= Pack.maximumBytes)
    }

    package mutating func append(_ bytes: [UInt8]) {
        envelopes.append(contentsOf: bytes)
        ends.append(UInt32(envelopes.count))
    }

    package mutating func removeLast() {
        ends.removeLast()
        envelopes.removeSubrange(Int(ends.last ?? 0)...)
    }

    /// The envelope at a position between `first` and `last`.
    package func envelope(at position: UInt64) -> ArraySlice<UInt8> {
        let index = Int(position - first)
        let start = index == 0 ? 0 : Int(ends[index - 1])
        return envelopes[start..<Int(ends[index])]
    }

    /// The running digest through a position of this pack, or one before `first`.
    package func digest(through position: UInt64) -> Digest32 {
        var digest = digestBefore
        var next = first
        while next <= position && next <= last {
            digest = digest.extended(by: envelope(at: next))
            next += 1
        }
        return digest
    }

    package static func key(_ ordinal: UInt32, _ position: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 12)
        writer.append(ordinal)
        writer.append(position)
        return writer.bytes
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 34 + ends.count * 4 + envelopes.count)
        writer.append(digestBefore)
        writer.append(UInt16(ends.count))
        for end in ends { writer.append(end) }
        writer.append(envelopes)
        return writer.bytes
    }

    /// - Parameter key: the twelve bytes of its key.
    package init(key: [UInt8], value: [UInt8]) throws(WireError) {
        var keyReader = ByteReader(key)
        _ = try keyReader.number(UInt32.self)
        first = try keyReader.number(UInt64.self)
        var reader = ByteReader(value)
        digestBefore = try reader.digest()
        let count = Int(try reader.number(UInt16.self))
        guard count * 4 <= reader.remaining else { throw .truncated(at: reader.offset) }
        ends.reserveCapacity(count)
        var previous: UInt32 = 0
        for _ in 0..<count {
            let end = try reader.number(UInt32.self)
            guard end >= previous else { throw .invalid(at: reader.offset) }
            ends.append(end)
            previous = end
        }
        guard reader.remaining == Int(previous) else { throw .truncated(at: reader.offset) }
        envelopes = Array(try reader.take(Int(previous)))
    }
}
