import CryptoShim

extension Digest32 {
    /// The running digest of a stream after one more envelope: SHA-256(this ‖ the envelope as sent).
    package func extended(by envelope: ArraySlice<UInt8>) -> Digest32 {
        var next = Digest32()
        withBytes { previous in
            envelope.withUnsafeBytes { bytes in
                next.withMutableBytes { out in
                    cs_sha256_pair(
                        previous.baseAddress, previous.count, bytes.baseAddress, bytes.count, out.baseAddress)
                }
            }
        }
        return next
    }
}
