import FoundationEssentials

/// A text of metadata: what is signed, as a tree, and by whom. Nothing about it is believed yet.
package struct SignedText: Sendable {
    package struct Signature: Sendable, Hashable {
        package var keyID: String
        package var bytes: [UInt8]

        package init(keyID: String, bytes: [UInt8]) {
            self.keyID = keyID
            self.bytes = bytes
        }
    }

    /// As it stands in the file.
    package let bytes: [UInt8]
    package let signatures: [Signature]
    /// What the signatures cover.
    package let canonical: [UInt8]
    let signed: SignedFields

    /// - Parameters:
    ///   - role: for words.
    ///   - maximum: bytes.
    package init(_ bytes: [UInt8], _ role: String, maximum: Int) throws(TUFFault) {
        guard bytes.count <= maximum else {
            throw TUFFault(.tooLarge, role, "\(bytes.count) bytes, at most \(maximum) are read")
        }
        let root: JSONText.Node
        do throws(JSONText.Fault) { root = try JSONText.read(bytes, lenient: false, maximum: maximum) } catch {
            throw TUFFault(.malformed, role, "byte \(error.offset): \(error.message)")
        }
        self.bytes = bytes
        let fields = try SignedFields(root.value, role)
        signed = try fields.object("signed")
        canonical = CanonicalJSON.encode(signed.value)
        var seen: Set<String> = []
        signatures = try fields.list("signatures").map { (entry) throws(TUFFault) in
            let entry = try SignedFields(entry.value, role)
            let keyID = try entry.text("keyid")
            guard seen.insert(keyID).inserted else { throw entry.fault("key \(keyID) has signed twice") }
            let digits = try entry.text("sig")
            // Signatures of kinds that are not known here may be of any length.
            guard digits.utf8.count <= 4096, let bytes = Hex.decode(digits, count: digits.utf8.count / 2) else {
                throw entry.fault("a signature is not in hex")
            }
            return Signature(keyID: keyID, bytes: bytes)
        }
    }

    /// Of bytes that have been read once.
    init(again bytes: [UInt8]) {
        do throws(TUFFault) { self = try SignedText(bytes, "", maximum: bytes.count) } catch {
            preconditionFailure("metadata that was read cannot be read again: \(error)")
        }
    }

    /// The file with more signatures, or with none.
    package static func file(_ signed: JSONText.Value, _ signatures: [Signature]) -> [UInt8] {
        let list = signatures.map { signature in
            JSONText.Value.table([
                ("keyid", .string(signature.keyID)), ("sig", .string(Hex.encode(signature.bytes))),
            ])
        }
        return JSONText.write(.table([("signatures", .list(list)), ("signed", signed)]))
    }

    package func with(_ more: [Signature]) -> [UInt8] {
        let known = Set(signatures.map(\.keyID))
        return SignedText.file(signed.value, signatures + more.filter { !known.contains($0.keyID) })
    }

    package var value: JSONText.Value { signed.value }
}

/// Reads the fields of one object of signed metadata; those that it does not ask for are kept and covered.
package struct SignedFields: Sendable {
    package let value: JSONText.Value
    package let members: [JSONText.Member]
    private let subject: String

    package init(_ value: JSONText.Value, _ subject: String) throws(TUFFault) {
        guard case .object(let members) = value else { throw TUFFault(.malformed, subject, "an object was expected") }
        self.value = value
        self.members = members
        self.subject = subject
    }

    package func fault(_ detail: String) -> TUFFault { TUFFault(.malformed, subject, detail) }

    package func has(_ name: String) -> Bool { members.contains { $0.name == name } }

    private func field(_ name: String) throws(TUFFault) -> JSONText.Value {
        guard let member = members.first(where: { $0.name == name }) else { throw fault("\"\(name)\" is missing") }
        return member.node.value
    }

    package func text(_ name: String) throws(TUFFault) -> String {
        guard case .string(let text) = try field(name) else { throw fault("\"\(name)\" is no text") }
        return text
    }

    package func optionalText(_ name: String) throws(TUFFault) -> String? { has(name) ? try text(name) : nil }

    package func integer(_ name: String, from lowest: Int64) throws(TUFFault) -> Int64 {
        guard case .integer(let number) = try field(name), number >= lowest else {
            throw fault("\"\(name)\" is no whole number from \(lowest) on")
        }
        return number
    }

    func optionalInteger(_ name: String, from lowest: Int64) throws(TUFFault) -> Int64? {
        has(name) ? try integer(name, from: lowest) : nil
    }

    func bool(_ name: String) throws(TUFFault) -> Bool {
        guard case .bool(let isTrue) = try field(name) else { throw fault("\"\(name)\" is neither true nor false") }
        return isTrue
    }

    package func object(_ name: String) throws(TUFFault) -> SignedFields {
        guard case .object = try field(name) else { throw fault("\"\(name)\" is no object") }
        return try SignedFields(try field(name), subject)
    }

    package func list(_ name: String) throws(TUFFault) -> [JSONText.Node] {
        guard case .array(let nodes) = try field(name) else { throw fault("\"\(name)\" is no list") }
        return nodes
    }

    package func texts(_ name: String) throws(TUFFault) -> [String] {
        try list(name).map { (node) throws(TUFFault) in
            guard case .string(let text) = node.value else { throw fault("\"\(name)\" holds what is no text") }
            return text
        }
    }

    /// The objects of a table, by their names.
    package func table(_ name: String) throws(TUFFault) -> [(name: String, fields: SignedFields)] {
        try object(name).members.map { (member) throws(TUFFault) in
            (member.name, try SignedFields(member.node.value, subject))
        }
    }

    /// An instant as TUF writes it, such as `2026-11-25T09:15:00Z`.
    package func instant(_ name: String) throws(TUFFault) -> Timestamp {
        let text = try text(name)
        guard let instant = Instant.parse(text) else { throw fault("\"\(name)\": \"\(text)\" is no instant") }
        return instant
    }
}

/// Instants in whole seconds as metadata has them (RFC 3339 with `Z`, TUF 1.0 section 4.2.1).
package enum Instant {
    package static func parse(_ text: String) -> Timestamp? {
        guard text.utf8.count == 20, let date = try? Date(text, strategy: .iso8601) else { return nil }
        let instant = Timestamp(milliseconds: Int64(date.timeIntervalSince1970) * 1000)
        // One way to write each: the library rolls a 31 February over.
        return Instant.text(instant) == text ? instant : nil
    }

    package static func text(_ instant: Timestamp) -> String {
        Date(timeIntervalSince1970: Double(instant.milliseconds / 1000)).formatted(.iso8601)
    }
}
