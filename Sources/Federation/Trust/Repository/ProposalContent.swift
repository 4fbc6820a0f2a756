/// A proposal as it was read: every role of it and of what it builds on, found to belong together. Who signs looks at this
/// and not at the words of whoever has sent the file.
package struct ProposalContent: Sendable {
    package let federation: String
    package let reason: String
    package let created: Timestamp
    package let files: [String: [UInt8]]
    package let root: TUFRoot?
    package let targets: TUFTargets?
    package let deny: TUFTargets?
    /// Roles of nodes, signed by the nodes themselves.
    package let nodes: [NodeID]
    /// What it builds on, as the file says; nil: it is the first.
    package let rootBefore: TUFRoot?
    package let targetsBefore: TUFTargets?
    package let denyBefore: TUFTargets?

    /// - Throws: `proposal-inconsistent`, and what is wrong with a role.
    package init(_ proposal: Proposal) throws(FederationError) {
        federation = proposal.federation
        reason = proposal.reason
        created = proposal.created
        files = proposal.files
        do throws(TUFFault) {
            root = try proposal.roles["root"].map { (text) throws(TUFFault) in try TUFRoot(text.bytes) }
            rootBefore = try proposal.base["root"].map { (text) throws(TUFFault) in try TUFRoot(text.bytes) }
            func read(_ role: String, _ from: [String: SignedText]) throws(TUFFault) -> TUFTargets? {
                try from[role].map { (text) throws(TUFFault) in try TUFTargets(text.bytes, role) }
            }
            targets = try read("targets", proposal.roles)
            targetsBefore = try read("targets", proposal.base)
            deny = try read(Denial.role, proposal.roles)
            denyBefore = try read(Denial.role, proposal.base)
            if let rootBefore, let targetsBefore {
                try rootBefore.role("targets").requireSigned(targetsBefore.text, "targets")
            }
            if let denyBefore, let delegation = targetsBefore?.delegation(Denial.role) {
                try delegation.role.requireSigned(denyBefore.text, Denial.role)
            }
        } catch { throw error.error }
        nodes = proposal.roles.keys.filter { $0.hasPrefix("node-") }.compactMap { NodeID(String($0.dropFirst(5))) }
            .sorted()
        try requireKnownRoles(proposal)
        try requirePlainWords()
        try requireNext()
        try requireFiles()
    }

    private func inconsistent(_ why: String) -> FederationError {
        FederationError(
            "proposal-inconsistent", why, remedy: "do not sign it; ask who has sent it, and have it proposed again")
    }

    private func requireKnownRoles(_ proposal: Proposal) throws(FederationError) {
        for name in proposal.roles.keys where !["root", "targets", Denial.role].contains(name) {
            guard nodes.contains(where: { PublishedKeys.role(of: $0) == name }) else {
                throw inconsistent("it has a role \"\(name.prefix(64))\", which means nothing here")
            }
        }
        guard !proposal.roles.isEmpty else { throw inconsistent("it has no role") }
        guard rootBefore != nil || root?.common.version == 1 else {
            throw inconsistent("it says neither on which root it builds nor is it the first")
        }
    }

    /// Words of others go to a terminal.
    private func requirePlainWords() throws(FederationError) {
        guard !reason.isEmpty, reason.utf8.count <= 255, reason.isPlainLine, federation.isPlainLine else {
            throw inconsistent("its reason is empty, too long, or no plain line")
        }
        let keys =
            [root, rootBefore].compactMap(\.self).flatMap { $0.roles.values }.flatMap { $0.keys.values }
            + [targets, targetsBefore].compactMap(\.self).flatMap(\.delegations).flatMap { $0.role.keys.values }
        for holder in keys.compactMap(\.holder) where !TUFKey.isHolder(holder) {
            throw inconsistent("a holder's name is no plain line")
        }
        for entry in try denied(deny) where !entry.reason.isPlainLine || !entry.id.isPlainLine {
            throw inconsistent("an entry of deny is no plain line")
        }
    }

    private func requireNext() throws(FederationError) {
        let pairs: [(String, TUFCommon?, TUFCommon?)] = [
            ("root", rootBefore?.common, root?.common), ("targets", targetsBefore?.common, targets?.common),
            (Denial.role, denyBefore?.common, deny?.common),
        ]
        for case (let role, let before, let next?) in pairs where next.version != (before?.version ?? 0) + 1 {
            throw inconsistent("\(role) has version \(next.version) and builds on \(before?.version ?? 0)")
        }
    }

    /// What is signed is what lies beside it.
    private func requireFiles() throws(FederationError) {
        guard let targets else {
            guard files.keys.allSatisfy(isOfNode) else { throw inconsistent("it has files, and no targets") }
            return
        }
        for (path, target) in targets.targets {
            if let bytes = files[path] {
                if let what = target.difference(of: bytes) { throw inconsistent("\(path): \(what)") }
            } else if targetsBefore?.targets[path]?.sha256 != target.sha256 || target.sha256 == nil {
                throw inconsistent("\(path) is signed and does not lie in it")
            }
        }
        for path in files.keys where targets.targets[path] == nil && !isOfNode(path) {
            throw inconsistent("it has a file that nobody signs")
        }
        do throws(TUFFault) { try SignedFederation.requireMeaning(of: targets, files) } catch { throw error.error }
        guard targets.targets[SignedFederation.topologyPath] != nil else { throw inconsistent("it has no topology") }
        guard try topology()?.federation ?? federation == federation else {
            throw inconsistent("its topology is of another federation")
        }
    }

    private func isOfNode(_ path: String) -> Bool { nodes.contains { PublishedKeys.path(of: $0) == path } }

    /// The new topology; nil: it stays.
    package func topology() throws(FederationError) -> Topology? {
        try files[SignedFederation.topologyPath].map { (bytes) throws(FederationError) in
            try FederationNode.topology(bytes, from: SignedFederation.topologyPath)
        }
    }

    package func denied(_ deny: TUFTargets?) throws(FederationError) -> [Denial] {
        do throws(TUFFault) {
            return try deny.map { (deny) throws(TUFFault) in try Denial.read(deny) } ?? []
        } catch { throw error.error }
    }

    package func identities(_ targets: TUFTargets?) throws(FederationError) -> Identities {
        do throws(TUFFault) {
            return try targets.map { (targets) throws(TUFFault) in try Identities(targets) } ?? Identities()
        } catch { throw error.error }
    }

    package func lifted(_ targets: TUFTargets?) throws(FederationError) -> Set<String> {
        do throws(TUFFault) {
            return try targets.map { (targets) throws(TUFFault) in try Denial.lifted(targets) } ?? []
        } catch { throw error.error }
    }
}
