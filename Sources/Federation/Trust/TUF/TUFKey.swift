import CryptoShim

/// A public key that signs metadata (TUF 1.0, section 4.2): `ed25519`, or `ecdsa-sha2-nistp256`. Another kind is kept as
/// it stands, and no signature of it counts.
package struct TUFKey: Sendable, Hashable {
    package enum Scheme: String, Sendable {
        case ed25519
        case ecdsa = "ecdsa-sha2-nistp256"
    }

    /// Nil: of a kind that is not known here.
    package let scheme: Scheme?
    /// Hex digits of an Ed25519 key, PEM of an ECDSA one.
    package let publicText: String
    /// What two writings of one key share.
    package let value: [UInt8]
    /// `x-holder`: the person who keeps the private half.
    package let holder: String?

    /// - Parameter holder: nil for a key that no person keeps.
    package init?(scheme: Scheme, publicText: String, holder: String? = nil) {
        self.scheme = scheme
        self.publicText = publicText
        self.holder = holder
        switch scheme {
        case .ed25519:
            guard let bytes = Hex.decode(publicText, count: 32) else { return nil }
            value = bytes
        case .ecdsa:
            guard publicText.utf8.count < 1024, let bytes = TUFKey.point(publicText) else { return nil }
            value = bytes
        }
    }

    init(_ fields: SignedFields) throws(TUFFault) {
        let type = try fields.text("keytype")
        let name = try fields.text("scheme")
        publicText = try fields.object("keyval").text("public")
        holder = try fields.optionalText("x-holder")
        // `ecdsa-sha2-nistp256` as a type is how older writers name it.
        switch (type, name) {
        case ("ed25519", "ed25519"):
            scheme = .ed25519
            guard let bytes = Hex.decode(publicText, count: 32) else {
                throw fields.fault("an Ed25519 key is 32 bytes in hex")
            }
            value = bytes
        case ("ecdsa", "ecdsa-sha2-nistp256"), ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"):
            scheme = .ecdsa
            guard let bytes = TUFKey.point(publicText) else { throw fields.fault("no P-256 key in PEM") }
            value = bytes
        default:
            scheme = nil
            value = Array("\(type)/\(name)/\(publicText)".utf8)
        }
    }

    private static func point(_ pem: String) -> [UInt8]? {
        var value = [UInt8](repeating: 0, count: 65)
        return cs_public_value(pem, &value) == 65 ? value : nil
    }

    /// The key as it stands in metadata.
    package var json: JSONText.Value {
        var members: [(String, JSONText.Value)] = identifying
        if let holder { members.append(("x-holder", .string(holder))) }
        return .table(members)
    }

    private var identifying: [(String, JSONText.Value)] {
        [
            ("keytype", .string(scheme == .ecdsa ? "ecdsa" : "ed25519")), ("scheme", .string(scheme?.rawValue ?? "")),
            ("keyval", .table([("public", .string(publicText))])),
        ]
    }

    /// SHA-256 of the key's canonical form, without what we add to it.
    package var id: String {
        Digest.sha256(CanonicalJSON.encode(.table(identifying))).description
    }

    package func verifies(_ signature: [UInt8], over message: [UInt8]) -> Bool {
        switch scheme {
        case .ed25519:
            signature.count == 64 && cs_identity_verify(signature, message, message.count, value) == 1
        case .ecdsa: cs_ecdsa_verify(publicText, message, message.count, signature, signature.count) == 1
        case nil: false
        }
    }
}

/// Who signs for a role, and how many of them must.
package struct TUFRole: Sendable, Hashable {
    /// By the ids that the metadata gives them.
    package var keys: [String: TUFKey]
    package var threshold: Int

    package init(keys: [String: TUFKey], threshold: Int) {
        self.keys = keys
        self.threshold = threshold
    }

    package init(_ keys: [TUFKey], threshold: Int) {
        self.init(
            keys: Dictionary(keys.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first }), threshold: threshold)
    }

    /// One key under two ids would count twice, and so would one person with two keys (threat model, section 2).
    func requireDistinct(_ name: String) throws(TUFFault) {
        var values: Set<[UInt8]> = []
        var holders: Set<String> = []
        for (id, key) in keys.sorted(by: { $0.key < $1.key }) {
            guard values.insert(key.value).inserted else {
                throw TUFFault(.keyTwice, name, "key \(id) is another of its keys once more")
            }
            if let holder = key.holder, !holders.insert(holder).inserted {
                throw TUFFault(.holderTwice, name, "\(holder) holds two of its keys")
            }
        }
    }

    /// Whose signatures are good.
    package func signers(of metadata: SignedText) -> [TUFKey] {
        metadata.signatures.compactMap { signature in
            guard let key = keys[signature.keyID], key.verifies(signature.bytes, over: metadata.canonical) else {
                return nil
            }
            return key
        }
    }

    func requireSigned(_ metadata: SignedText, _ name: String) throws(TUFFault) {
        let count = Set(signers(of: metadata).map(\.value)).count
        guard count >= threshold else {
            throw TUFFault(.threshold, name, "\(count) of its keys have signed it, \(threshold) must")
        }
    }
}
