/// What each role signs, as a tree (TUF 1.0, section 4). Expiry is in whole seconds.
package enum RoleDocument {
    package static let specification = "1.0.34"

    private static func common(
        _ type: String, _ version: UInt64, _ expires: Timestamp
    ) -> [(String, JSONText.Value)] {
        [
            ("_type", .string(type)), ("spec_version", .string(specification)), ("version", .integer(Int64(version))),
            ("expires", .string(Instant.text(expires))),
        ]
    }

    private static func why(_ reason: String?) -> [(String, JSONText.Value)] {
        reason.map { [("x-reason", .string($0))] } ?? []
    }

    /// - Parameter reason: why it is published; nil: nobody asks.
    package static func root(
        version: UInt64, expires: Timestamp, roles: [String: TUFRole], reason: String?
    ) -> JSONText.Value {
        .table(
            common("root", version, expires) + why(reason) + [
                ("consistent_snapshot", .bool(true)),
                ("keys", keys(of: roles.values)),
                ("roles", .table(roles.sorted { $0.key < $1.key }.map { ($0.key, .table(signers($0.value))) })),
            ])
    }

    private static func keys(of roles: some Sequence<TUFRole>) -> JSONText.Value {
        var keys: [String: TUFKey] = [:]
        for role in roles { keys.merge(role.keys) { first, _ in first } }
        return .table(keys.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })
    }

    private static func signers(_ role: TUFRole) -> [(String, JSONText.Value)] {
        [
            ("keyids", .list(role.keys.keys.sorted().map { .string($0) })),
            ("threshold", .integer(Int64(role.threshold))),
        ]
    }

    /// - Parameter extra: fields of our own, whose names begin with `x-`.
    package static func targets(
        version: UInt64, expires: Timestamp, targets: [(String, TUFFileFacts)], delegations: [TUFDelegation] = [],
        reason: String? = nil, extra: [(String, JSONText.Value)] = []
    ) -> JSONText.Value {
        let files = targets.sorted { $0.0 < $1.0 }.map { ($0.0, JSONText.Value.table(facts($0.1))) }
        let roles = delegations.map { delegation in
            let paths: [String] = if case .paths(let paths) = delegation.scope { paths } else { [] }
            return JSONText.Value.table(
                [("name", .string(delegation.name))] + signers(delegation.role) + [
                    ("terminating", .bool(delegation.isTerminating)), ("paths", .list(paths.map { .string($0) })),
                ])
        }
        let delegated: [(String, JSONText.Value)] =
            delegations.isEmpty
            ? [] : [("delegations", .table([("keys", keys(of: delegations.map(\.role))), ("roles", .list(roles))]))]
        return .table(
            common("targets", version, expires) + why(reason) + extra + [("targets", .table(files))] + delegated)
    }

    private static func facts(_ facts: TUFFileFacts) -> [(String, JSONText.Value)] {
        var members: [(String, JSONText.Value)] = []
        if let length = facts.length { members.append(("length", .integer(Int64(length)))) }
        if let hash = facts.sha256 { members.append(("hashes", .table([("sha256", .string(hash))]))) }
        return members
    }

    package static func snapshot(
        version: UInt64, expires: Timestamp, meta: [String: TUFMeta]
    ) -> JSONText.Value {
        let entries = meta.sorted { $0.key < $1.key }.map { ("\($0.key).json", entry($0.value)) }
        return .table(common("snapshot", version, expires) + [("meta", .table(entries))])
    }

    private static func entry(_ meta: TUFMeta) -> JSONText.Value {
        .table([("version", .integer(Int64(meta.version)))] + facts(meta.facts))
    }

    package static func timestamp(
        version: UInt64, expires: Timestamp, signedAt: Timestamp, snapshot: TUFMeta
    ) -> JSONText.Value {
        .table(
            common("timestamp", version, expires) + [
                ("x-signed", .string(Instant.text(signedAt))),
                ("meta", .table([("snapshot.json", entry(snapshot))])),
            ])
    }
}
