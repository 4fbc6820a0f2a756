import FoundationEssentials

/// What a node asks its authority for: no secret is in it. Written by `node init` as `request.json`.
package struct EnrolmentRequest: Codable, Sendable, Equatable {
    package var format = 1
    package var federation: String
    package var segment: String
    package var node: String
    /// Ed25519 public key, 32 bytes in hex.
    package var identityKey: String
    /// PKCS#10 request of the link key, PEM: it proves that the node holds that key.
    package var certificateRequest: String
    /// Ed25519 over `statement`, 64 bytes in hex: it proves that the node holds its identity key, and binds the two.
    package var signature: String

    /// Exactly what the identity key signs.
    var statement: [UInt8] {
        var writer = ByteWriter(capacity: 1024)
        for part in ["ekc-federation/1 enrolment", federation, segment, node, identityKey, certificateRequest] {
            writer.append(UInt32(part.utf8.count))
            writer.append(Array(part.utf8))
        }
        return writer.bytes
    }
}

/// What the authority answers. Written by `authority issue` as `answer.json`.
package struct EnrolmentAnswer: Codable, Sendable, Equatable {
    package var format = 1
    package var federation: String
    package var certificate: String
    package var anchor: String
    package var record: KeyRecord
}

/// One node's keys, as others know them.
package struct KeyRecord: Codable, Sendable, Equatable {
    package var node: String
    package var segment: String
    package var identityKey: String
    /// SHA-256 of the link key's SubjectPublicKeyInfo, in hex.
    package var linkPin: String
}

/// Anchors and pins beside a topology, `pins.json`: machine-written, until signed topology takes its place.
package struct Pins: Codable, Sendable, Equatable {
    package struct Anchor: Codable, Sendable, Equatable {
        package var segment: String
        package var certificate: String
    }

    package var format = 1
    package var federation: String
    package var anchors: [Anchor] = []
    package var nodes: [KeyRecord] = []

    package init(federation: String) { self.federation = federation }

    /// Adds what an authority has answered.
    /// - Throws: `anchor-conflict` when the segment has another authority. A node's newer keys replace its older ones.
    package mutating func add(_ answer: EnrolmentAnswer) throws(FederationError) {
        guard answer.federation == federation else {
            throw FederationError(
                "wrong-federation", "the answer is for federation \(answer.federation), the topology for \(federation)",
                remedy: "name the answers of this federation's authorities")
        }
        if let known = anchors.first(where: { $0.segment == answer.record.segment }) {
            guard known.certificate == answer.anchor else {
                throw FederationError(
                    "anchor-conflict", "segment \(known.segment) has another authority already",
                    remedy: "find out which authority is the right one; to change it, remove its anchor from pins.json")
            }
        } else {
            anchors.append(Anchor(segment: answer.record.segment, certificate: answer.anchor))
        }
        nodes.removeAll { $0.node == answer.record.node }
        nodes.append(answer.record)
        anchors.sort { $0.segment < $1.segment }
        nodes.sort { $0.node < $1.node }
    }
}

/// Reads and writes the small JSON files of trust: bounded, sorted, one line a file's worth of text.
package enum TrustFile {
    package static func read<Record: Decodable>(
        _ type: Record.Type, _ path: String, maximum: Int = 64 * 1024
    ) throws(FederationError) -> Record {
        let bytes = try Files.read(path, maximum: maximum)
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
            throw FederationError(
                "file-malformed", "\(path) is not what it should be: \(error)",
                remedy: "make it again with the command that writes it")
        }
    }

    package static func write(_ record: some Encodable, to path: String) throws(FederationError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(record) else {
            throw FederationError("file-unwritable", "\(path) cannot be encoded", remedy: "report this as a fault")
        }
        try Files.write(Array(data) + [0x0A], to: path)
    }
}

/// Bytes as lower-case hexadecimal digits.
package enum Hex {
    package static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil unless it is `count` bytes in hexadecimal digits.
    package static func decode(_ text: String, count: Int) -> [UInt8]? {
        let digits = text.utf8.map { digit -> UInt8? in
            switch digit {
            case 0x30...0x39: digit - 0x30
            case 0x61...0x66: digit - 0x61 + 10
            case 0x41...0x46: digit - 0x41 + 10
            default: nil
            }
        }
        guard digits.count == count * 2 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }
}
