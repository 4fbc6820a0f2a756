/// What is to be published, on its way round the holders of keys: new metadata of some roles, with the signatures that are
/// there already, and the files that belong to it. A text that says by itself who must sign: it carries the root that is in
/// force.
package struct Proposal: Sendable {
    package static let maximumBytes = 32 << 20

    package var federation: String
    /// Why; it stands in the metadata too.
    package var reason: String
    package var created: Timestamp
    /// The metadata in force when it was made: root, and targets unless it is the first.
    package var base: [String: SignedText]
    /// `root`, `targets`, `deny`, and roles of nodes.
    package private(set) var roles: [String: SignedText]
    /// Target files by path.
    package var files: [String: [UInt8]]

    package init(
        federation: String, reason: String, created: Timestamp, base: [String: SignedText],
        roles: [String: SignedText], files: [String: [UInt8]]
    ) {
        self.federation = federation
        self.reason = reason
        self.created = created
        self.base = base
        self.roles = roles
        self.files = files
    }

    // MARK: As a text

    package init(_ bytes: [UInt8], from path: String) throws(FederationError) {
        do throws(TUFFault) {
            let root: JSONText.Node
            do throws(JSONText.Fault) {
                root = try JSONText.read(bytes, lenient: false, maximum: Proposal.maximumBytes)
            } catch { throw TUFFault(.malformed, path, "byte \(error.offset): \(error.message)") }
            let fields = try SignedFields(root.value, path)
            guard try fields.integer("format", from: 1) == 1 else { throw fields.fault("another format than 1") }
            federation = try fields.text("federation")
            reason = try fields.text("reason")
            created = try fields.instant("created")
            base = try Proposal.metadata("base", fields)
            roles = try Proposal.metadata("roles", fields)
            files = [:]
            for member in try fields.object("files").members {
                guard case .string(let text) = member.node.value else { throw fields.fault("a file is no text") }
                files[member.name] = Array(text.utf8)
            }
        } catch { throw error.error }
    }

    private static func metadata(
        _ name: String, _ fields: SignedFields
    ) throws(TUFFault) -> [String: SignedText] {
        var found: [String: SignedText] = [:]
        for member in try fields.object(name).members {
            found[member.name] = try SignedText(
                JSONText.write(member.node.value), member.name, maximum: TUFTargets.maximumBytes)
        }
        return found
    }

    package var bytes: [UInt8] {
        func trees(_ texts: [String: SignedText]) -> JSONText.Value {
            .table(texts.sorted { $0.key < $1.key }.map { ($0.key, $0.value.tree) })
        }
        return JSONText.write(
            .table([
                ("format", .integer(1)), ("federation", .string(federation)), ("reason", .string(reason)),
                ("created", .string(Instant.text(created))), ("roles", trees(roles)),
                (
                    "files",
                    .table(
                        files.sorted { $0.key < $1.key }.map {
                            ($0.key, .string(String(decoding: $0.value, as: UTF8.self)))
                        })
                ), ("base", trees(base)),
            ]))
    }

    // MARK: Signing

    /// Who must sign a role, and who has.
    package struct Standing: Sendable {
        package var role: String
        /// By the keys of which root or role it counts.
        package var authority: String
        package var version: UInt64
        package var threshold: Int
        package var signed: [TUFKey]
        package var missing: [TUFKey]

        package var isEnough: Bool { signed.count >= threshold }
    }

    /// Every role of it, with each authority under which it must be signed.
    package func standings() throws(FederationError) -> [Standing] {
        do throws(TUFFault) {
            var found: [Standing] = []
            for (name, text) in roles.sorted(by: { $0.key < $1.key }) {
                let version = UInt64(try text.signed.integer("version", from: 1))
                for (authority, role) in try authorities(of: name) {
                    let signed = role.signers(of: text)
                    let values = Set(signed.map(\.value))
                    found.append(
                        Standing(
                            role: name, authority: authority, version: version, threshold: role.threshold,
                            signed: signed.sorted { $0.id < $1.id },
                            missing: role.keys.values.filter { !values.contains($0.value) }.sorted { $0.id < $1.id }))
                }
            }
            return found
        } catch { throw error.error }
    }

    func authorities(of role: String) throws(TUFFault) -> [(String, TUFRole)] {
        let old = try base["root"].map { (text) throws(TUFFault) in try TUFRoot(text.bytes) }
        let new = try roles["root"].map { (text) throws(TUFFault) in try TUFRoot(text.bytes) }
        if role == "root" {
            return [old, new].compactMap { root in
                root.map { ("root \($0.common.version)", $0.role("root")) }
            }
        }
        if role == "targets" {
            return [new ?? old].compactMap { $0.map { ("root \($0.common.version)", $0.role("targets")) } }
        }
        guard let parent = roles["targets"] ?? base["targets"] else { return [] }
        let targets = try TUFTargets(parent.bytes, "targets")
        guard let delegation = targets.delegation(role) else {
            throw TUFFault(.delegationUnknown, role, "targets does not delegate to it")
        }
        return [("targets \(targets.common.version)", delegation.role)]
    }

    /// Signs every role in which the key counts and has not signed yet.
    /// - Returns: the roles.
    /// - Throws: `key-unknown` when it counts in none.
    package mutating func sign(by signer: any MetadataSigner) throws(FederationError) -> [String] {
        var signed: [String] = []
        var counts = false
        for (name, text) in roles.sorted(by: { $0.key < $1.key }) {
            var ids: [String] = []
            do throws(TUFFault) {
                for (_, role) in try authorities(of: name) {
                    ids += role.keys.filter { $0.value.value == signer.key.value }.map(\.key)
                }
            } catch { throw error.error }
            guard let id = ids.first else { continue }
            counts = true
            guard !text.signatures.contains(where: { ids.contains($0.keyID) }) else { continue }
            try add(try signer.signature(over: text.canonical, as: id), to: name)
            signed.append(name)
        }
        guard counts else {
            throw FederationError(
                "key-unknown", "this key signs for none of \(roles.keys.sorted().joined(separator: ", "))",
                remedy: "ekc topology status says whose signatures are missing")
        }
        return signed
    }

    mutating func add(_ signature: SignedText.Signature, to role: String) throws(FederationError) {
        guard let text = roles[role] else { return }
        do throws(TUFFault) {
            roles[role] = try SignedText(text.with([signature]), role, maximum: TUFTargets.maximumBytes)
        } catch { throw error.error }
    }

    /// Takes over the signatures of another copy.
    /// - Throws: `proposal-differs` when it is not the same that was signed there.
    package mutating func merge(_ other: Proposal) throws(FederationError) {
        guard roles.keys == other.roles.keys, files == other.files,
            roles.allSatisfy({ $0.value.canonical == other.roles[$0.key]?.canonical })
        else {
            throw FederationError(
                "proposal-differs", "the two files are not copies of one proposal",
                remedy: "send one file round, and publish what has come back of it")
        }
        for (name, text) in other.roles {
            for signature in text.signatures where roles[name]?.signatures.contains(signature) == false {
                try add(signature, to: name)
            }
        }
    }
}

extension SignedText {
    /// What is signed, with the signatures.
    var tree: JSONText.Value {
        (try? JSONText.read(bytes, lenient: false, maximum: bytes.count))?.value ?? .null
    }
}
