import CryptoShim

/// Randomness from the kernel, through libsodium.
package enum Random {
    package static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            cs_random(buffer.baseAddress, count)
            filled = count
        }
    }

    /// For names and tokens of sessions, never for a key: they are drawn ahead, many at a time, because each question to
    /// the kernel is a system call. What is drawn is given out once.
    package static func id128() -> ID128 {
        drawn.changeQuietly { ids in
            if ids.isEmpty {
                ids = Array(repeating: ID128(high: 0, low: 0), count: 256)
                ids.withUnsafeMutableBytes { cs_random($0.baseAddress, $0.count) }
            }
            return ids.removeLast()
        }
    }

    private static let drawn = Monitor<[ID128]>([])
}

/// Digests of tokens and files. The running digest of a stream is `Digest32.extended(by:)`.
package enum Digest {
    package static func sha256(_ bytes: [UInt8]) -> Digest32 {
        var digest = Digest32()
        let nothing: [UInt8] = []
        bytes.withUnsafeBytes { first in
            nothing.withUnsafeBytes { second in
                digest.withMutableBytes {
                    cs_sha256_pair(first.baseAddress, first.count, second.baseAddress, second.count, $0.baseAddress)
                }
            }
        }
        return digest
    }

    /// SHA-512, 64 bytes: metadata of others may name it.
    package static func sha512(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 64) { buffer, filled in
            cs_sha512(bytes, bytes.count, buffer.baseAddress)
            filled = 64
        }
    }

    /// BLAKE2b with 256 bits (RFC 7693): how tokens are stored.
    package static func blake2b256(_ bytes: [UInt8]) -> Digest32 {
        var digest = Digest32()
        bytes.withUnsafeBytes { input in
            digest.withMutableBytes { cs_blake2b256(input.baseAddress, input.count, $0.baseAddress) }
        }
        return digest
    }

    /// Compares in a time that does not depend on where they differ.
    package static func equal(_ left: Digest32, _ right: Digest32) -> Bool {
        left.withBytes { first in right.withBytes { cs_equal(first.baseAddress, $0.baseAddress, 32) == 1 } }
    }
}
