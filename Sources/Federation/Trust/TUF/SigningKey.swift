import CryptoShim

/// Who can sign metadata: a key file, a token behind a command, a node's identity key.
package protocol MetadataSigner {
    /// The public half.
    var key: TUFKey { get }
    func sign(_ message: [UInt8]) throws(FederationError) -> [UInt8]
}

extension MetadataSigner {
    /// - Parameter id: what the metadata calls the key; nil: its own.
    package func signature(
        over message: [UInt8], as id: String? = nil
    ) throws(FederationError) -> SignedText.Signature {
        SignedText.Signature(keyID: id ?? key.id, bytes: try sign(message))
    }
}

/// A key that signs metadata, from a file: PKCS#8 PEM (RFC 5958), under a passphrase with scrypt (RFC 7914), or in the clear
/// for a machine that signs by itself. `openssl pkey` reads it too.
package final class SigningKey: MetadataSigner {
    /// Bytes that a passphrase may have.
    package static let longestPassphrase = 256

    private let pem: Secret
    private let passphrase: Secret?
    package let key: TUFKey

    private init(_ pem: consuming Secret, _ passphrase: consuming Secret?, _ key: TUFKey) {
        self.pem = pem
        self.passphrase = passphrase
        self.key = key
    }

    /// Makes a key and its file, which is never written over.
    /// - Parameters:
    ///   - passphrase: with a zero at its end; nil: the file is in the clear.
    ///   - holder: the person who keeps it; nil: no person does.
    package static func create(
        _ path: String, scheme: TUFKey.Scheme = .ed25519, passphrase: consuming Secret? = nil, holder: String? = nil
    ) throws(FederationError) -> SigningKey {
        guard !Files.exists(path) else {
            throw FederationError("file-exists", "\(path) is there already", remedy: "name another file for the key")
        }
        var pem = Secret(count: 4096)
        let size = passphrase.withOptionalText { passphrase in
            pem.withMutableBytes {
                cs_signing_key_generate(
                    scheme == .ecdsa ? 1 : 0, passphrase, $0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
            }
        }
        guard size > 0, let key = publicKey(of: pem, passphrase, holder) else {
            throw FederationError(
                "keys-failed", "no signing key could be made", remedy: "check the OpenSSL installation")
        }
        try NodeFolder.write(pem, count: Int(size), to: path)
        return SigningKey(pem, passphrase, key)
    }

    /// - Throws: `passphrase-wrong`, `key-file-open`, `file-unreadable`.
    package static func read(
        _ path: String, passphrase: consuming Secret? = nil, holder: String? = nil
    ) throws(FederationError) -> SigningKey {
        let pem = try Secret.read(path)
        guard let key = publicKey(of: pem, passphrase, holder) else {
            throw FederationError(
                "passphrase-wrong", "\(path) holds no key that opens with this passphrase",
                remedy: "type the passphrase with which the key was made")
        }
        return SigningKey(pem, passphrase, key)
    }

    /// Whether a key file asks for a passphrase.
    package static func isProtected(_ path: String) throws(FederationError) -> Bool {
        try Secret.read(path).withText { String(cString: $0).hasPrefix("-----BEGIN ENCRYPTED") } ?? false
    }

    package func sign(_ message: [UInt8]) throws(FederationError) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: 128)
        let size = passphrase.withOptionalText { passphrase in
            pem.withText {
                cs_signing_key_sign($0, passphrase, message, message.count, &signature, signature.count)
            } ?? 0
        }
        guard size > 0 else {
            throw FederationError("keys-failed", "the key does not sign", remedy: "check the OpenSSL installation")
        }
        return Array(signature[..<Int(size)])
    }

    private static func publicKey(
        of pem: borrowing Secret, _ passphrase: borrowing Secret?, _ holder: String?
    ) -> TUFKey? {
        let text = passphrase.withOptionalText { passphrase in
            pem.withText { pem in NodeFolder.pem { cs_signing_key_public(pem, passphrase, $0, $1) } } ?? nil
        }
        guard let text else { return nil }
        var value = [UInt8](repeating: 0, count: 65)
        return switch cs_public_value(text, &value) {
        case 32: TUFKey(scheme: .ed25519, publicText: Hex.encode(value[..<32]), holder: holder)
        case 65: TUFKey(scheme: .ecdsa, publicText: text, holder: holder)
        default: nil
        }
    }
}

extension Optional where Wrapped == Secret {
    /// The bytes as a C string, or nil.
    fileprivate borrowing func withOptionalText<Result>(_ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        switch self {
        case .some(let secret): secret.withText { body($0) } ?? body(nil)
        case .none: body(nil)
        }
    }
}

/// A node's identity key as it lies in `keys/identity.key`: the 64 bytes of libsodium.
package final class IdentityKey: MetadataSigner {
    private let secret: Secret
    package let key: TUFKey

    private init(_ secret: consuming Secret, _ key: TUFKey) {
        self.secret = secret
        self.key = key
    }

    package static func read(_ path: String, publicText: String) throws(FederationError) -> IdentityKey {
        guard let key = TUFKey(scheme: .ed25519, publicText: publicText) else {
            throw FederationError(
                "file-malformed", "the identity key is not 32 bytes in hex", remedy: "enrol the node anew")
        }
        return IdentityKey(try Secret.read(path), key)
    }

    package func sign(_ message: [UInt8]) throws(FederationError) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: 64)
        secret.withBytes {
            cs_identity_sign(&signature, message, message.count, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        return signature
    }
}
