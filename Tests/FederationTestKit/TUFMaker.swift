package import Federation

/// Makes metadata of every kind, good and bad, with keys of its own: four roles with a key each, unless told otherwise.
package final class TUFMaker {
    package let folder: TemporaryFolder
    package var signers: [String: [SigningKey]] = [:]
    package static let now = Timestamp(milliseconds: 1_800_000_000_000)
    package static let tomorrow = now.advanced(byMilliseconds: 86_400_000)
    private var made = 0

    package init(ecdsa: Bool = false) throws {
        folder = try TemporaryFolder()
        for role in TUFRoot.roles { signers[role] = [try key(ecdsa ? .ecdsa : .ed25519)] }
    }

    package func key(_ scheme: TUFKey.Scheme = .ed25519, holder: String? = nil) throws -> SigningKey {
        made += 1
        return try SigningKey.create(folder.path + "/\(made).key", scheme: scheme, holder: holder)
    }

    /// - Parameter signers: nil: whoever the role has.
    package func file(
        _ signed: JSONText.Value, of role: String, by others: [SigningKey]? = nil
    ) throws -> [UInt8] {
        let message = CanonicalJSON.encode(signed)
        return SignedText.file(signed, try (others ?? signers[role] ?? []).map { try $0.signature(over: message) })
    }

    package static func common(
        _ type: String, _ version: Int64, expires: Timestamp = tomorrow
    ) -> [(String, JSONText.Value)] {
        [
            ("_type", .string(type)), ("spec_version", .string("1.0.31")), ("version", .integer(version)),
            ("expires", .string(Instant.text(expires))),
        ]
    }

    package func root(
        _ version: Int64 = 1, threshold: Int64 = 1, expires: Timestamp = tomorrow, by others: [SigningKey]? = nil
    ) throws -> [UInt8] {
        var keys: [(String, JSONText.Value)] = []
        for signer in signers.sorted(by: { $0.key < $1.key }).flatMap(\.value)
        where !keys.contains(where: { $0.0 == signer.key.id }) {
            keys.append((signer.key.id, signer.key.json))
        }
        let roles = TUFRoot.roles.map { role in
            (
                role,
                JSONText.Value.table([
                    ("keyids", .list((signers[role] ?? []).map { .string($0.key.id) })),
                    ("threshold", .integer(role == "root" ? threshold : 1)),
                ])
            )
        }
        return try file(
            .table(
                TUFMaker.common("root", version, expires: expires) + [
                    ("consistent_snapshot", .bool(true)), ("keys", .table(keys)), ("roles", .table(roles)),
                ]), of: "root", by: others)
    }

    package func timestamp(
        _ version: Int64, snapshot: [UInt8], _ snapshotVersion: Int64, expires: Timestamp = tomorrow
    ) throws -> [UInt8] {
        try file(
            .table(
                TUFMaker.common("timestamp", version, expires: expires) + [
                    (
                        "meta",
                        .table([
                            (
                                "snapshot.json",
                                .table([
                                    ("version", .integer(snapshotVersion)), ("length", .integer(Int64(snapshot.count))),
                                    (
                                        "hashes",
                                        .table([("sha256", .string(Digest.sha256(snapshot).description))])
                                    ),
                                ])
                            )
                        ])
                    )
                ]), of: "timestamp")
    }

    package func snapshot(
        _ version: Int64, _ meta: [(String, Int64)], expires: Timestamp = tomorrow
    ) throws -> [UInt8] {
        let entries = meta.map { ($0.0 + ".json", JSONText.Value.table([("version", .integer($0.1))])) }
        return try file(
            .table(TUFMaker.common("snapshot", version, expires: expires) + [("meta", .table(entries))]),
            of: "snapshot")
    }

    package func targets(
        _ version: Int64, role: String = "targets", expires: Timestamp = tomorrow, delegating: JSONText.Value? = nil
    ) throws -> [UInt8] {
        try file(
            .table(
                TUFMaker.common("targets", version, expires: expires) + [("targets", .table([]))]
                    + (delegating.map { [("delegations", $0)] } ?? [])), of: role)
    }
}
