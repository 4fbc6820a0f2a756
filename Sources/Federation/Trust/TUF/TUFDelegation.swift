/// To whom a role gives a part of its targets (TUF 1.0, section 4.5).
package struct TUFDelegation: Sendable {
    package enum Scope: Sendable, Hashable {
        /// Shell patterns, part by part between the slashes.
        case paths([String])
        /// First digits of the SHA-256 of a path.
        case hashPrefixes([String])
    }

    package var name: String
    package var role: TUFRole
    package var isTerminating: Bool
    package var scope: Scope

    package func covers(_ path: String) -> Bool {
        switch scope {
        case .paths(let patterns): patterns.contains { TUFDelegation.matches(path, $0) }
        case .hashPrefixes(let prefixes):
            prefixes.contains { Digest.sha256(Array(path.utf8)).description.hasPrefix($0) }
        }
    }

    private static func matches(_ path: String, _ pattern: String) -> Bool {
        let path = path.unicodeScalars.split(separator: "/", omittingEmptySubsequences: false)
        let pattern = pattern.unicodeScalars.split(separator: "/", omittingEmptySubsequences: false)
        return path.count == pattern.count
            && zip(path, pattern).allSatisfy { ShellPattern($1).matches($0) }
    }
}

/// Reads keys, roles and delegations.
enum TUFDelegations {
    static let mostRoles = 4096
    private static let longestPattern = 512

    static func keys(_ fields: SignedFields) throws(TUFFault) -> [String: TUFKey] {
        var keys: [String: TUFKey] = [:]
        for (id, fields) in try fields.table("keys") { keys[id] = try TUFKey(fields) }
        return keys
    }

    static func role(
        _ fields: SignedFields, _ name: String, _ keys: [String: TUFKey]
    ) throws(TUFFault) -> TUFRole {
        var own: [String: TUFKey] = [:]
        for id in try fields.texts("keyids") {
            guard own[id] == nil else { throw fields.fault("key \(id) stands twice in role \(name)") }
            guard let key = keys[id] else { throw fields.fault("role \(name) names key \(id), which is not there") }
            own[id] = key
        }
        let role = TUFRole(keys: own, threshold: Int(try fields.integer("threshold", from: 1)))
        try role.requireDistinct(name)
        return role
    }

    static func read(_ fields: SignedFields, _ parent: String) throws(TUFFault) -> [TUFDelegation] {
        let keys = try keys(fields)
        guard !fields.has("succinct_roles") else { throw fields.fault("succinct roles (TAP 15) are not read") }
        var names: Set<String> = []
        let entries = try fields.list("roles")
        guard entries.count <= mostRoles else { throw fields.fault("more than \(mostRoles) delegations") }
        return try entries.map { (entry) throws(TUFFault) in
            let entry = try SignedFields(entry.value, parent)
            let name = try entry.text("name")
            guard !name.isEmpty, name.utf8.count <= 128, !TUFRoot.roles.contains(name) else {
                throw entry.fault("\"\(name)\" is no name of a delegated role")
            }
            guard names.insert(name).inserted else { throw entry.fault("role \(name) stands twice") }
            guard entry.has("paths") != entry.has("path_hash_prefixes") else {
                throw entry.fault("role \(name) has either paths or path_hash_prefixes")
            }
            let scope: TUFDelegation.Scope =
                entry.has("paths")
                ? .paths(try entry.texts("paths")) : .hashPrefixes(try entry.texts("path_hash_prefixes"))
            if case .paths(let paths) = scope, let path = paths.first(where: { $0.utf8.count > longestPattern }) {
                throw entry.fault("pattern \"\(path)\" is longer than \(longestPattern) bytes")
            }
            return TUFDelegation(
                name: name, role: try role(entry, name, keys), isTerminating: try entry.bool("terminating"),
                scope: scope)
        }
    }
}
