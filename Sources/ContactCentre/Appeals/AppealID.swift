package import Federation

/// An appeal's name in the system: UUIDv7 (RFC 9562 §5.7), in text lower case with dashes, in the store 16 bytes, so that
/// keys grow with time.
package struct AppealID: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let bits: ID128

    package init(bits: ID128) { self.bits = bits }

    /// Nil when there are fewer than 16 bytes.
    package init?(key: [UInt8]) {
        var reader = ByteReader(key)
        guard let bits = try? reader.id128() else { return nil }
        self.bits = bits
    }

    /// - Parameters:
    ///   - time: the instant of intake; 48 bits of it are kept.
    ///   - random: any 128 random bits, of which 74 are used.
    package init(at time: Timestamp, random: ID128) {
        let milliseconds = UInt64(bitPattern: time.milliseconds) & 0xFFFF_FFFF_FFFF
        bits = ID128(
            high: milliseconds << 16 | 0x7000 | random.high & 0x0FFF, low: 1 << 63 | random.low & 0x3FFF_FFFF_FFFF_FFFF)
    }

    /// Nil unless it is a UUIDv7 in lower case.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [8, 4, 4, 4, 12],
            text.utf8.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
            let high = UInt64(parts[0...2].joined(), radix: 16), let low = UInt64(parts[3...4].joined(), radix: 16),
            high >> 12 & 0xF == 7, low >> 62 == 2
        else { return nil }
        bits = ID128(high: high, low: low)
    }

    package var description: String {
        let digits = [bits.high, bits.low].map { part in
            let text = String(part, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
        let cuts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
        let utf8 = Array(digits.utf8)
        return cuts.map { String(decoding: utf8[$0], as: UTF8.self) }.joined(separator: "-")
    }

    /// The key of its row.
    package var key: [UInt8] {
        var writer = ByteWriter(capacity: 16)
        writer.append(bits)
        return writer.bytes
    }

    package static func < (left: AppealID, right: AppealID) -> Bool { left.bits < right.bits }
}
