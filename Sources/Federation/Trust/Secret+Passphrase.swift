import CryptoShim

/// Passphrases: C strings in secrets.
extension Secret {
    /// Six words of three letters, or sixteen characters; six of them different.
    private static let (leastWords, leastCharacters, leastDifferent) = (6, 16, 6)

    /// - Throws: `passphrase-weak`.
    package borrowing func requireStrength() throws(FederationError) {
        let (words, characters, different) = withBytes { bytes in
            var (words, letters, characters) = (0, 0, 0)
            var seen = [Bool](repeating: false, count: 256)
            for byte in bytes {
                if byte == 0 { break }
                seen[Int(byte)] = true
                // Bytes within a character of UTF-8 do not count.
                guard byte & 0xC0 != 0x80 else { continue }
                characters += 1
                letters = byte == 0x20 ? 0 : letters + 1
                if letters == 3 { words += 1 }
            }
            return (words, characters, seen.count { $0 })
        }
        let isLong = words >= Secret.leastWords || characters >= Secret.leastCharacters
        guard isLong, different >= Secret.leastDifferent else {
            throw FederationError(
                "passphrase-weak",
                "the passphrase has neither \(Secret.leastWords) words nor \(Secret.leastCharacters) characters, "
                    + "or too few different ones",
                remedy: "take a longer one, or let --make-passphrase make one")
        }
    }

    package borrowing func equals(_ other: borrowing Secret) -> Bool {
        let size = count
        return withBytes { one in
            other.withBytes { $0.count == size && cs_equal(one.baseAddress, $0.baseAddress, size) == 1 }
        }
    }

    /// Seven words of two syllables, each drawn from 64: 84 bits.
    package static func drawnPassphrase() -> Secret {
        let consonants = Array("bdfghjklmnprstvz".utf8)
        let vowels = Array("aiou".utf8)
        var random = Secret(count: 14)
        random.withMutableBytes { cs_random($0.baseAddress, $0.count) }
        var secret = Secret(count: SigningKey.longestPassphrase + 2)
        random.withBytes { random in
            secret.withMutableBytes { text in
                var place = 0
                for (index, byte) in random.enumerated() {
                    if index > 0, index % 2 == 0 {
                        text[place] = UInt8(ascii: " ")
                        place += 1
                    }
                    text[place] = consonants[Int(byte & 15)]
                    text[place + 1] = vowels[Int(byte >> 4) & 3]
                    place += 2
                }
            }
        }
        return secret
    }
}
