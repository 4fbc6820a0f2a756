import CryptoShim
import FoundationEssentials

/// What a node asks its authority for: no secret is in it. Written by `node init` as `request.json`.
package struct EnrolmentRequest: TrustRecord, Equatable {
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
    /// What the node says of its keys, under its own signature; absent in requests of 0.1.0.
    package var published: SignedKeys?

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
package struct EnrolmentAnswer: TrustRecord, Equatable {
    package var format = 1
    package var federation: String
    package var certificate: String
    package var anchor: String
    package var record: KeyRecord
    /// As it stood in the request: nobody but the node can say it.
    package var published: SignedKeys?

    /// Whether peers would accept this certificate for the node of the record: its chain by the answer's own anchor, at
    /// an instant or else at its first, then name, pin and lint.
    package func check(at time: Timestamp? = nil) throws(FederationError) {
        func malformed(_ why: String) -> FederationError {
            FederationError(
                "answer-malformed", "the answer for \(record.node): \(why)", remedy: "have the authority issue it again"
            )
        }
        if let fault = record.fault { throw malformed(fault) }
        let domain = try TrustDomain(segment: record.segment, federation: federation)
        guard let facts = CertificateFacts(pem: certificate) else { throw malformed("it holds no certificate") }
        var words = [CChar](repeating: 0, count: 256)
        let fault = cs_chain_check(
            certificate, anchor, time.map { $0.milliseconds / 1000 } ?? facts.notBefore, &words, words.count)
        guard fault == CS_FAULT_NONE else {
            let detail = String(decoding: words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw malformed("\(TLSFault(fault, "").code), \(detail)")
        }
        if let rule = facts.lint { throw malformed("certificate-lint:\(rule)") }
        guard facts.uri == NodeID(record.node).map(domain.uri(of:)) else {
            throw malformed("the certificate is for \(facts.uri)")
        }
        guard facts.pin == record.linkPin else { throw malformed("the certificate is for another key than the record") }
        if let published, let fault = published.fault(of: record) { throw malformed(fault) }
    }
}

/// A node's `keys.json` and the metadata of its role that vouches for it, as texts.
package struct SignedKeys: TrustRecord, Equatable {
    package var format = 1
    package var keys: String
    package var metadata: String

    /// What is wrong with it as that of a node with this record, or nil.
    func fault(of record: KeyRecord) -> String? {
        guard let node = NodeID(record.node), let identity = TUFKey(scheme: .ed25519, publicText: record.identityKey)
        else { return "its record names no node, or no key" }
        let role = PublishedKeys.role(of: node)
        do throws(TUFFault) {
            let metadata = try TUFTargets(Array(metadata.utf8), role)
            try TUFRole([identity], threshold: 1).requireSigned(metadata.text, role)
            let facts = metadata.targets[PublishedKeys.path(of: node)]
            if facts == nil || facts?.difference(of: Array(keys.utf8)) != nil {
                return "its keys are not what it signed"
            }
            let keys = try PublishedKeys(Array(keys.utf8), of: node)
            return keys.linkPin == record.linkPin ? nil : "its keys name another link key than the record"
        } catch { return error.description }
    }
}

/// One node's keys, as others know them.
package struct KeyRecord: Codable, Sendable, Equatable {
    package var node: String
    package var segment: String
    package var identityKey: String
    /// SHA-256 of the link key's SubjectPublicKeyInfo, in hex.
    package var linkPin: String
    /// Of the link key that comes next, if it is made already.
    package var nextLinkPin: String?

    package init(node: String, segment: String, identityKey: String, linkPin: String) {
        self.node = node
        self.segment = segment
        self.identityKey = identityKey
        self.linkPin = linkPin
    }

    /// What is wrong with it, or nil.
    var fault: String? {
        if NodeID(node) == nil { return "\"\(node)\" is no node name" }
        if NodeID(segment) == nil { return "\"\(segment)\" is no segment name" }
        if Hex.decode(identityKey, count: 32) == nil { return "the identity key of \(node) is not 32 bytes in hex" }
        if Hex.decode(linkPin, count: 32) == nil { return "the link pin of \(node) is not 32 bytes in hex" }
        return nil
    }
}

/// Anchors and pins: what of the signed metadata counts at a link; as `pins.json`, what a federation ran by before.
package struct Pins: TrustRecord, Equatable {
    package struct Anchor: Codable, Sendable, Equatable {
        package var segment: String
        package var certificate: String
    }

    package var format = 1
    package var federation: String
    package var anchors: [Anchor] = []
    package var nodes: [KeyRecord] = []

    package init(federation: String) { self.federation = federation }

    package var fault: String? {
        for (what, names) in [("anchor of segment", anchors.map(\.segment)), ("pin of node", nodes.map(\.node))] {
            var seen: Set<String> = []
            for name in names where !seen.insert(name).inserted { return "the \(what) \(name) stands twice" }
        }
        return nodes.lazy.compactMap(\.fault).first
    }

    /// Adds what an authority has answered, once it is found to be such that peers accept it. A newer link key of the
    /// same identity replaces the older one.
    /// - Throws: `anchor-conflict` when the segment has another authority, `identity-conflict` when the node has another
    ///   identity key or segment: neither is ever replaced in passing. The pins are then as before.
    package mutating func add(_ answer: EnrolmentAnswer) throws(FederationError) {
        guard answer.federation == federation else {
            throw FederationError(
                "wrong-federation", "the answer is for federation \(answer.federation), the topology for \(federation)",
                remedy: "name the answers of this federation's authorities")
        }
        try answer.check()
        if let known = nodes.first(where: { $0.node == answer.record.node }) {
            guard known.identityKey == answer.record.identityKey, known.segment == answer.record.segment else {
                throw FederationError(
                    "identity-conflict", "node \(known.node) of segment \(known.segment) has another identity key",
                    remedy: "ask the node's engineer if it was set up again; if so, remove its record from pins.json")
            }
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

/// What stands in one of the small JSON files of trust.
package protocol TrustRecord: Codable, Sendable {
    var format: Int { get }
    /// What is wrong across its fields, or nil.
    var fault: String? { get }
}

extension TrustRecord {
    package var fault: String? { nil }
}

/// Reads and writes the small JSON files of trust: bounded, strict (no key twice), sorted.
package enum TrustFile {
    /// - Throws: `file-unreadable`, `file-too-large`, `file-malformed` or `file-newer`, each with its remedy.
    package static func read<Record: TrustRecord>(
        _ type: Record.Type, _ path: String, maximum: Int = 64 * 1024
    ) throws(FederationError) -> Record {
        try read(type, try Files.read(path, maximum: maximum), from: path)
    }

    package static func read<Record: TrustRecord>(
        _ type: Record.Type, _ bytes: [UInt8], from path: String
    ) throws(FederationError) -> Record {
        func malformed(_ why: String) -> FederationError {
            FederationError(
                "file-malformed", "\(path) is not what it should be: \(why)",
                remedy: "make it again with the command that writes it")
        }
        // The strict reader goes first: what it refuses, such as a key that stands twice, two readers read differently.
        do throws(JSONText.Fault) { _ = try JSONText.read(bytes, lenient: false, maximum: bytes.count) } catch {
            let place = JSONText.place(of: error.offset, in: bytes)
            throw malformed("line \(place.line), column \(place.column): \(error.message)")
        }
        let record: Record
        do { record = try JSONDecoder().decode(type, from: Data(bytes)) } catch { throw malformed("\(error)") }
        guard record.format == 1 else {
            throw FederationError(
                "file-newer", "\(path) has format \(record.format), this software knows 1",
                remedy: "use the software that wrote it, or a newer one")
        }
        if let fault = record.fault { throw malformed(fault) }
        return record
    }

    package static func write(_ record: some TrustRecord, to path: String) throws(FederationError) {
        try Files.write(try encode(record), to: path)
    }

    package static func encode(_ record: some TrustRecord) throws(FederationError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(record) else {
            throw FederationError("file-unwritable", "a record cannot be encoded", remedy: "report this as a fault")
        }
        return Array(data) + [0x0A]
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
