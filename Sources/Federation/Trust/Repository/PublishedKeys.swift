/// What a node says of its keys, `nodes/<id>/keys.json`: a target of role `node-<id>`, which the node's identity key signs.
/// Nobody else can say it.
package struct PublishedKeys: Sendable, Hashable {
    package static let maximumBytes = 16 << 10
    /// The life of the metadata that vouches for it, in days.
    package static let days: Int64 = 90
    /// Afterwards peers still know the node for so many days: it must come in to sign anew.
    package static let graceDays: Int64 = 30

    package var node: NodeID
    /// SHA-256 of the link key's SubjectPublicKeyInfo, in hex.
    package var linkPin: String
    /// Of the link key that comes after it, if that is made already.
    package var nextLinkPin: String?

    package init(node: NodeID, linkPin: String, nextLinkPin: String? = nil) {
        self.node = node
        self.linkPin = linkPin
        self.nextLinkPin = nextLinkPin
    }

    package static func role(of node: NodeID) -> String { "node-\(node)" }
    package static func path(of node: NodeID) -> String { "nodes/\(node)/keys.json" }

    package init(_ bytes: [UInt8], of node: NodeID) throws(TUFFault) {
        let path = PublishedKeys.path(of: node)
        let root: JSONText.Node
        do throws(JSONText.Fault) {
            root = try JSONText.read(bytes, lenient: false, maximum: PublishedKeys.maximumBytes)
        } catch { throw TUFFault(.malformed, path, "byte \(error.offset): \(error.message)") }
        let fields = try SignedFields(root.value, path)
        guard try fields.integer("format", from: 1) == 1 else { throw fields.fault("another format than 1") }
        guard try fields.text("node") == node.text else { throw fields.fault("it is of another node") }
        let link = try fields.object("link")
        self.node = node
        linkPin = try PublishedKeys.pin("current", link)
        nextLinkPin = link.has("next") ? try PublishedKeys.pin("next", link) : nil
    }

    private static func pin(_ name: String, _ fields: SignedFields) throws(TUFFault) -> String {
        let pin = try fields.text(name)
        guard Hex.decode(pin, count: 32) != nil, pin == pin.lowercased() else {
            throw fields.fault("the \(name) pin is not 32 bytes in hex")
        }
        return pin
    }

    package var bytes: [UInt8] {
        var link: [(String, JSONText.Value)] = [("current", .string(linkPin))]
        if let nextLinkPin { link.append(("next", .string(nextLinkPin))) }
        return JSONText.write(
            .table([("format", .integer(1)), ("node", .string(node.text)), ("link", .table(link))]))
    }

    /// The metadata that vouches for it, signed.
    package func metadata(version: UInt64, now: Timestamp, by identity: some MetadataSigner) throws(FederationError)
        -> [UInt8]
    {
        let target = TUFFileFacts(length: bytes.count, sha256: Digest.sha256(bytes).description)
        let signed = RoleDocument.targets(
            version: version, expires: now.advanced(byMilliseconds: PublishedKeys.days * 86_400_000),
            targets: [(PublishedKeys.path(of: node), target)])
        return SignedText.file(signed, [try identity.signature(over: CanonicalJSON.encode(signed))])
    }
}
