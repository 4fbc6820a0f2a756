/// Whether a proposal may be published: it follows what is in force, and enough holders have signed it.
extension Proposal {
    /// - Throws: `not-enough-signatures`, with who is missing.
    package func requireEnough() throws(FederationError) {
        for standing in try standings() where !standing.isEnough {
            throw FederationError(
                "not-enough-signatures",
                "\(standing.role) \(standing.version) has \(standing.signed.count) of \(standing.threshold) signatures "
                    + "by \(standing.authority)",
                remedy: "missing: \(standing.missing.map(\.person).sorted().joined(separator: ", "))")
        }
    }

    /// Each role is of the version that comes next: of two proposals that were made beside each other one is published, and
    /// the other is made anew.
    /// - Parameter current: nil: nothing is in force yet.
    /// - Throws: `proposal-stale`.
    package func requireFollows(_ root: TUFRoot, _ current: SignedFederation?) throws(FederationError) {
        for (name, text) in roles.sorted(by: { $0.key < $1.key }) {
            let version = try text.version()
            let known =
                name == "root"
                ? (current == nil ? 0 : root.common.version) : current?.metadata.snapshot?.meta[name]?.version ?? 0
            // A node's own role may have been signed anew meanwhile, and its versions need not follow each other.
            let isNext = name.hasPrefix("node-") ? version > known : version == known + 1
            guard isNext else {
                throw FederationError(
                    "proposal-stale",
                    "it has \(name) \(version), \(known == 0 ? "none" : "version \(known)") is in force",
                    remedy: "something else was published meanwhile: ekc topology propose again, and have it signed")
            }
        }
    }

    /// Adds a signature that some device has made, if it is one of a key that is missing in the role.
    /// - Returns: whose it is; nil: it is of none.
    package mutating func accept(_ signature: [UInt8], for role: String) throws(FederationError) -> TUFKey? {
        guard let text = roles[role] else { return nil }
        var found: [(id: String, key: TUFKey)] = []
        do throws(TUFFault) {
            for (_, authority) in try authorities(of: role) {
                found += authority.keys.filter { $0.value.verifies(signature, over: text.canonical) }
                    .map { (id: $0.key, key: $0.value) }
            }
        } catch { throw error.error }
        guard let signer = found.first else { return nil }
        if !text.signatures.contains(where: { known in found.contains { $0.id == known.keyID } }) {
            try add(SignedText.Signature(keyID: signer.id, bytes: signature), to: role)
        }
        return signer.key
    }

    /// Roles that want more signatures, in order.
    package func unsigned() throws(FederationError) -> [String] {
        Set(try standings().filter { !$0.missing.isEmpty }.map(\.role)).sorted()
    }
}

extension TUFKey {
    /// Whose key it is, for people.
    package var person: String { holder ?? "key \(id.prefix(8))" }
}

extension SignedText {
    /// Of a role's metadata.
    package func version() throws(FederationError) -> UInt64 {
        do throws(TUFFault) { return UInt64(try signed.integer("version", from: 1)) } catch { throw error.error }
    }

    /// Until when it is good.
    package func expires() throws(FederationError) -> Timestamp {
        do throws(TUFFault) { return try signed.instant("expires") } catch { throw error.error }
    }
}
