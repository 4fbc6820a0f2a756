/// That a node is out: one security administrator has said so, and only `targets` takes it back.
package struct Denial: Sendable, Hashable {
    /// Names it, for who lifts it: the node, and sixteen digits that nobody can have lifted before.
    package var id: String
    package var node: NodeID
    package var reason: String
    package var at: Timestamp

    package init(id: String? = nil, node: NodeID, reason: String, at: Timestamp) {
        self.id = id ?? "\(node)-\(Hex.encode(withUnsafeBytes(of: Random.id128().high.bigEndian, Array.init)))"
        self.node = node
        self.reason = reason
        self.at = at
    }

    package static let role = "deny"

    /// The entries of the role's metadata, `x-denied`.
    package static func read(_ deny: TUFTargets) throws(TUFFault) -> [Denial] {
        let signed = deny.text.signed
        guard signed.has("x-denied") else { return [] }
        var ids: Set<String> = []
        return try signed.list("x-denied").map { (entry) throws(TUFFault) in
            let fields = try SignedFields(entry.value, role)
            let id = try fields.text("id")
            guard let node = NodeID(try fields.text("node")) else { throw fields.fault("an entry names no node") }
            guard id.hasPrefix("\(node)-"), Hex.decode(String(id.dropFirst(node.text.utf8.count + 1)), count: 8) != nil,
                ids.insert(id).inserted
            else { throw fields.fault("\(id.debugDescription) stands twice, or is no name of an entry of \(node)") }
            return Denial(id: id, node: node, reason: try fields.text("reason"), at: try fields.instant("at"))
        }
    }

    /// The ids that `targets` takes back, `x-lifted`.
    package static func lifted(_ targets: TUFTargets) throws(TUFFault) -> Set<String> {
        let signed = targets.text.signed
        return signed.has("x-lifted") ? Set(try signed.texts("x-lifted")) : []
    }

    var json: JSONText.Value {
        .table([
            ("id", .string(id)), ("node", .string(node.text)), ("reason", .string(reason)),
            ("at", .string(Instant.text(at))),
        ])
    }

    package static func document(version: UInt64, expires: Timestamp, entries: [Denial]) -> JSONText.Value {
        RoleDocument.targets(
            version: version, expires: expires, targets: [], extra: [("x-denied", .list(entries.map(\.json)))])
    }
}
