/// What a holder is asked to sign, in sentences.
extension ProposalContent {
    package func sentences() throws(FederationError) -> [String] {
        var said = [
            rootBefore.map { root in
                let hash = Digest.sha256(root.bytes).description.prefix(16)
                let targets = targetsBefore.map { " and targets \($0.common.version)" } ?? ""
                return "federation \(federation); it builds on root \(root.common.version) (\(hash))\(targets)"
            } ?? "the first publication of federation \(federation)",
            "reason: \(reason)",
        ]
        if let root { said += rootSentences(root) }
        if let targets { said += try targetsSentences(targets) }
        if let deny { said += try denySentences(deny) }
        if !nodes.isEmpty {
            said.append("with it go keys that nodes have signed themselves: \(list(nodes.map(\.text)))")
        }
        return said
    }

    private func list(_ names: some Sequence<String>) -> String { names.sorted().joined(separator: ", ") }

    private func until(_ common: TUFCommon) -> String {
        "version \(common.version), until \(Instant.text(common.expires).prefix(10))"
    }

    // MARK: root

    private func rootSentences(_ root: TUFRoot) -> [String] {
        var said = ["root: \(until(root.common))"]
        for name in TUFRoot.roles {
            let role = root.role(name)
            let before = rootBefore?.role(name)
            guard before != role else { continue }
            said.append("  \(name): \(role.threshold) of \(list(role.keys.values.map(\.person)))")
            said += changes(from: before, to: role)
        }
        if said.count == 1 { said.append("  the same keys, under a later date") }
        return said
    }

    private func changes(from before: TUFRole?, to role: TUFRole) -> [String] {
        guard let before else { return [] }
        let old = Dictionary(before.keys.values.map { ($0.value, $0.person) }, uniquingKeysWith: { first, _ in first })
        let new = Dictionary(role.keys.values.map { ($0.value, $0.person) }, uniquingKeysWith: { first, _ in first })
        let gone = old.filter { new[$0.key] == nil }.map(\.value)
        let come = new.filter { old[$0.key] == nil }.map(\.value)
        return (gone.isEmpty ? [] : ["    no longer: \(list(gone))"]) + (come.isEmpty ? [] : ["    new: \(list(come))"])
            + (before.threshold == role.threshold ? [] : ["    until now \(before.threshold) had to sign"])
    }

    // MARK: targets

    private func targetsSentences(_ targets: TUFTargets) throws(FederationError) -> [String] {
        var said = ["targets: \(until(targets.common))"]
        if let topology = try topology() {
            let hash = targets.targets[SignedFederation.topologyPath]?.sha256 ?? ""
            said.append(
                "  topology: version \(topology.version), \(topology.nodes.count) nodes, \(topology.links.count) links")
            said.append("    SHA-256 \(hash)")
        }
        said += try fileSentences(targets) + delegationSentences(targets)
        let before = try lifted(targetsBefore)
        let entries = try denied(denyBefore)
        for id in try lifted(targets).subtracting(before).sorted() {
            let node = entries.first { $0.id == id }.map { " of \($0.node)" } ?? ""
            said.append("  lifted: the denial \(id)\(node): others talk to it again")
        }
        said += try noticeSentences(targets)
        if said.count == 1 { said.append("  the same, under a later date") }
        return said
    }

    private func noticeSentences(_ targets: TUFTargets) throws(FederationError) -> [String] {
        let (before, now) = (try identities(targetsBefore).announced, try identities(targets).announced)
        var said: [String] = []
        for (node, notice) in now.sorted(by: { $0.key < $1.key }) where before[node] != notice {
            said.append(
                "  NOTICE: from \(Instant.text(notice.from)) on \(node) may get another identity key, "
                    + "\(notice.key.prefix(16))…; ask its engineer")
        }
        for node in before.keys.sorted() where now[node] == nil {
            said.append("  the notice of another identity key for \(node) is taken back")
        }
        return said
    }

    private func fileSentences(_ targets: TUFTargets) throws(FederationError) -> [String] {
        let before = targetsBefore?.targets ?? [:]
        var said: [String] = []
        for path in Set(targets.targets.keys).union(before.keys).sorted() where path != SignedFederation.topologyPath {
            let (old, new) = (before[path]?.sha256, targets.targets[path]?.sha256)
            guard old != new else { continue }
            said.append("  \(path): " + (new == nil ? "goes" : old == nil ? "new" : "changes"))
            guard path == SignedFederation.pinsPath, let bytes = files[path] else { continue }
            let pins = try TrustFile.read(Pins.self, bytes, from: path)
            said.append(
                "    keys that count until their nodes sign: \(list(pins.nodes.map { "\($0.node) \($0.linkPin.prefix(8))…" }))"
            )
        }
        return said
    }

    private func delegationSentences(_ targets: TUFTargets) -> [String] {
        let before = Dictionary(
            (targetsBefore?.delegations ?? []).map { ($0.name, $0.role) }, uniquingKeysWith: { first, _ in first })
        let now = Dictionary(targets.delegations.map { ($0.name, $0.role) }, uniquingKeysWith: { first, _ in first })
        var said: [String] = []
        if let role = now[Denial.role], before[Denial.role] != role {
            said.append("  one of these may deny a node: \(list(role.keys.values.map(\.person)))")
            said += changes(from: before[Denial.role], to: role)
        }
        func nodes(_ names: some Sequence<String>) -> [String] {
            names.filter { $0.hasPrefix("node-") }.map { String($0.dropFirst(5)) }
        }
        let come = nodes(now.keys.filter { before[$0] == nil })
        let gone = nodes(before.keys.filter { now[$0] == nil })
        let other = nodes(now.keys.filter { name in before[name].map { $0 != now[name] } ?? false })
        if !come.isEmpty { said.append("  nodes that sign for their keys from now on: \(list(come))") }
        if !gone.isEmpty { said.append("  nodes that do no longer: \(list(gone))") }
        if !other.isEmpty {
            said.append(
                "  ANOTHER IDENTITY KEY for: \(list(other)), of which notice was given; ask each node's engineer")
        }
        return said
    }

    // MARK: deny

    private func denySentences(_ deny: TUFTargets) throws(FederationError) -> [String] {
        let before = Set(try denied(denyBefore).map(\.id))
        let entries = try denied(deny)
        let come = entries.filter { !before.contains($0.id) }
        let gone = before.subtracting(entries.map(\.id))
        var said = ["deny: \(until(deny.common)), \(entries.count) nodes denied"]
        said += come.map { "  OUT: \($0.node), until targets lifts \($0.id): \($0.reason)" }
        if !gone.isEmpty { said.append("  entries that go: \(list(gone))") }
        if come.isEmpty, gone.isEmpty, denyBefore != nil { said.append("  the same entries") }
        return said
    }
}
