/// What every role's metadata has (TUF 1.0, section 4.2.1).
package struct TUFCommon: Sendable, Hashable {
    package var version: UInt64
    package var expires: Timestamp

    init(_ text: SignedText, type: String, role: String) throws(TUFFault) {
        let fields = text.signed
        let found = try fields.text("_type")
        guard found == type else { throw TUFFault(.wrongType, role, "it is \"\(found)\", not \"\(type)\"") }
        let spec = try fields.text("spec_version").split(separator: ".", omittingEmptySubsequences: false)
        guard (2...3).contains(spec.count), spec[0] == "1", spec.allSatisfy({ UInt16($0) != nil }) else {
            throw TUFFault(.specVersion, role, "specification \(spec.joined(separator: ".")); 1 is read")
        }
        version = UInt64(try fields.integer("version", from: 1))
        expires = try fields.instant("expires")
    }
}

/// Whose keys count for the four roles at the top.
package struct TUFRoot: Sendable {
    package static let maximumBytes = 64 << 10
    package static let roles = ["root", "timestamp", "snapshot", "targets"]

    /// As it stands in the file; the tree is made again when it is asked for: a node keeps hundreds of them.
    package let bytes: [UInt8]
    package var text: SignedText { SignedText(again: bytes) }
    package let common: TUFCommon
    package let roles: [String: TUFRole]
    package let isConsistent: Bool

    package init(_ bytes: [UInt8]) throws(TUFFault) {
        self.bytes = bytes
        let text = try SignedText(bytes, "root", maximum: TUFRoot.maximumBytes)
        common = try TUFCommon(text, type: "root", role: "root")
        isConsistent = try text.signed.bool("consistent_snapshot")
        let keys = try TUFDelegations.keys(text.signed)
        var roles: [String: TUFRole] = [:]
        for (name, fields) in try text.signed.table("roles") {
            guard TUFRoot.roles.contains(name) else { throw text.signed.fault("\"\(name)\" is no role of root") }
            roles[name] = try TUFDelegations.role(fields, name, keys)
        }
        for name in TUFRoot.roles where roles[name] == nil { throw text.signed.fault("role \(name) is missing") }
        self.roles = roles
    }

    package func role(_ name: String) -> TUFRole { roles[name] ?? TUFRole(keys: [:], threshold: .max) }
}

/// What a file of metadata or a target must be.
package struct TUFFileFacts: Sendable, Hashable {
    package var length: Int?
    /// By algorithm, hex; others than these two are passed over.
    package var sha256: String?
    package var sha512: String?
    /// The first that is listed: it names the file of a target.
    package var first: String?

    package init(length: Int, sha256: String) {
        self.length = length
        self.sha256 = sha256
        first = sha256
    }

    init(_ fields: SignedFields, isTarget: Bool) throws(TUFFault) {
        length = try fields.optionalInteger("length", from: 0).map { Int($0) }
        if fields.has("hashes") {
            for member in try fields.object("hashes").members {
                guard case .string(let digits) = member.node.value, digits.utf8.allSatisfy(TUFFileFacts.isHex) else {
                    throw fields.fault("a hash is not in hex")
                }
                if first == nil { first = digits }
                if member.name == "sha256" { sha256 = digits }
                if member.name == "sha512" { sha512 = digits }
            }
            guard sha256 != nil || sha512 != nil else { throw fields.fault("no hash is sha256 or sha512") }
        }
        if isTarget, length == nil || first == nil { throw fields.fault("a target has a length and hashes") }
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    /// What differs, or nil.
    package func difference(of bytes: [UInt8]) -> String? {
        if let length, length != bytes.count { return "\(bytes.count) bytes long, not \(length)" }
        if let sha256, Digest.sha256(bytes).description != sha256 { return "it has another SHA-256" }
        if let sha512, Hex.encode(Digest.sha512(bytes)) != sha512 { return "it has another SHA-512" }
        return nil
    }
}

/// A version that the metadata above names.
package struct TUFMeta: Sendable, Hashable {
    package var version: UInt64
    package var facts: TUFFileFacts

    /// Of a file as it stands.
    package init(version: UInt64, _ bytes: [UInt8]) {
        self.version = version
        facts = TUFFileFacts(length: bytes.count, sha256: Digest.sha256(bytes).description)
    }

    init(_ fields: SignedFields) throws(TUFFault) {
        version = UInt64(try fields.integer("version", from: 1))
        facts = try TUFFileFacts(fields, isTarget: false)
    }
}

/// Says which snapshot is the newest.
package struct TUFTimestamp: Sendable {
    package static let maximumBytes = 16 << 10

    /// As it stands in the file; the tree is made again when it is asked for: a node keeps hundreds of them.
    package let bytes: [UInt8]
    package var text: SignedText { SignedText(again: bytes) }
    package let common: TUFCommon
    package let snapshot: TUFMeta
    /// `x-signed`: when it was signed; nil in what others write.
    package let signedAt: Timestamp?

    package init(_ bytes: [UInt8]) throws(TUFFault) {
        self.bytes = bytes
        let text = try SignedText(bytes, "timestamp", maximum: TUFTimestamp.maximumBytes)
        common = try TUFCommon(text, type: "timestamp", role: "timestamp")
        let meta = try text.signed.table("meta")
        guard meta.count == 1, meta[0].name == "snapshot.json" else {
            throw text.signed.fault("it names snapshot.json and nothing else")
        }
        snapshot = try TUFMeta(meta[0].fields)
        signedAt = text.signed.has("x-signed") ? try text.signed.instant("x-signed") : nil
    }
}

/// Says which version of each role's metadata belongs together.
package struct TUFSnapshot: Sendable {
    package static let maximumBytes = 1 << 20

    /// As it stands in the file; the tree is made again when it is asked for: a node keeps hundreds of them.
    package let bytes: [UInt8]
    package var text: SignedText { SignedText(again: bytes) }
    package let common: TUFCommon
    /// By role.
    package let meta: [String: TUFMeta]

    package init(_ bytes: [UInt8]) throws(TUFFault) {
        self.bytes = bytes
        let text = try SignedText(bytes, "snapshot", maximum: TUFSnapshot.maximumBytes)
        common = try TUFCommon(text, type: "snapshot", role: "snapshot")
        var meta: [String: TUFMeta] = [:]
        for (name, fields) in try text.signed.table("meta") {
            guard name.hasSuffix(".json") else { throw text.signed.fault("\"\(name)\" is no file of metadata") }
            meta[String(name.dropLast(5))] = try TUFMeta(fields)
        }
        self.meta = meta
    }
}

/// What a role vouches for, and to whom it delegates.
package struct TUFTargets: Sendable {
    package static let maximumBytes = 8 << 20

    /// As it stands in the file; the tree is made again when it is asked for: a node keeps hundreds of them.
    package let bytes: [UInt8]
    package var text: SignedText { SignedText(again: bytes) }
    package let common: TUFCommon
    package let targets: [String: TUFFileFacts]
    package let delegations: [TUFDelegation]

    package init(_ bytes: [UInt8], _ role: String) throws(TUFFault) {
        self.bytes = bytes
        let text = try SignedText(bytes, role, maximum: TUFTargets.maximumBytes)
        common = try TUFCommon(text, type: "targets", role: role)
        var targets: [String: TUFFileFacts] = [:]
        for (path, fields) in try text.signed.table("targets") {
            targets[path] = try TUFFileFacts(fields, isTarget: true)
        }
        self.targets = targets
        delegations =
            text.signed.has("delegations") ? try TUFDelegations.read(text.signed.object("delegations"), role) : []
    }

    package func delegation(_ name: String) -> TUFDelegation? { delegations.first { $0.name == name } }
}
