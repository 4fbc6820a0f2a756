import Federation

/// Who has signed, of proposals; what is in force, until when, and who is denied, of a folder.
enum TopologyStatus {
    static func run(_ command: ParsedCommand) throws -> Int32 {
        let first = command.operands[0]
        if command.operands.count == 1, ProposalCommands.trust(first).isThere || Files.isFolder(first) {
            return try folder(command, first)
        }
        return try proposals(command)
    }

    // MARK: Of proposals

    private struct Proposed: Encodable {
        var says: [String]
        var signatures: [ProposalFiles.Signatures]
        /// Whether it can be published.
        var enough: Bool
        var missing: [String]
    }

    private static func proposals(_ command: ParsedCommand) throws -> Int32 {
        let proposal = try ProposalFiles.merged(command.operands)
        let says = try ProposalContent(proposal).sentences()
        let signatures = try ProposalFiles.signatures(proposal)
        let lacking = signatures.filter { !$0.enough }
        let missing = Set(lacking.flatMap(\.missing)).sorted()
        let end =
            lacking.isEmpty
            ? "it can be published: ekc topology publish DIR \(command.operands.joined(separator: " "))"
            : "it cannot be published yet; missing: \(missing.joined(separator: ", "))"
        Output.print(
            command,
            Proposed(says: says, signatures: signatures, enough: lacking.isEmpty, missing: missing),
            (says + [""] + ProposalFiles.lines(signatures) + [end]).joined(separator: "\n"))
        return 0
    }

    // MARK: Of a folder

    private struct InForce: Encodable {
        var federation: String
        var topology: UInt64
        var topologySha256: String
        var fingerprint: String?
        /// Seconds since a newer timestamp was verified, or signed where no node keeps the tree.
        var age: Int64?
        var freshness: String
        var roles: [Role]
        var denied: [Out]
        var announced: [Notice]
        /// Nodes whose own keys are not good, and why.
        var faults: [String: String]
        var published: [Earlier]
        /// What had no targets: a denial, or other keys of root.
        var publishedBeside: [Beside]
    }

    private struct Role: Encodable {
        var subject: String
        var version: UInt64?
        var expires: String
        var days: Int64
        var alarm: String?
    }

    private struct Out: Encodable {
        var id: String
        var node: String
        var at: String
        var reason: String
    }

    /// Of another identity key.
    private struct Notice: Encodable {
        var node: String
        var key: String
        var from: String
    }

    private struct Earlier: Encodable {
        var targets: UInt64
        var topology: UInt64?
        var at: String
        var reason: String
    }

    private struct Beside: Encodable {
        var role: String
        var at: String
        var reason: String
    }

    private static func folder(_ command: ParsedCommand, _ path: String) throws -> Int32 {
        let folder = ProposalCommands.trust(path)
        let loaded = try folder.load()
        let state = try describe(loaded, folder, NodeFolder(path), now: Clocks.wall())
        Output.print(command, state, words(state).joined(separator: "\n"))
        return 0
    }

    private static func describe(
        _ loaded: TrustFolder.Loaded, _ folder: TrustFolder, _ node: NodeFolder, now: Timestamp
    ) throws -> InForce {
        let state = loaded.inForce
        let age = try age(state, folder, now)
        let roles = Expiry.all(of: state, root: loaded.baseline.root, now: now).map { expiry in
            Role(
                subject: expiry.subject, version: expiry.version, expires: Instant.text(expiry.expires),
                days: (expiry.expires.milliseconds - now.milliseconds) / 86_400_000,
                alarm: expiry.alarm?.description)
        }
        let published = try node.publishedVersions().map { version in
            let proposal = try node.published(version)
            return Earlier(
                targets: version, topology: try ProposalContent(proposal).topology()?.version,
                at: Instant.text(proposal.created), reason: proposal.reason)
        }
        let beside = try node.publishedBeside().map { name, proposal in
            Beside(role: name, at: Instant.text(proposal.created), reason: proposal.reason)
        }
        return InForce(
            federation: state.topology.federation, topology: state.topology.version,
            topologySha256: Digest.sha256(state.files[SignedFederation.topologyPath] ?? []).description,
            fingerprint: try folder.fingerprint()?.description, age: age, freshness: freshness(age), roles: roles,
            denied: state.denied.map {
                Out(id: $0.id, node: $0.node.text, at: Instant.text($0.at), reason: $0.reason)
            },
            announced: state.identities.announced.sorted { $0.key < $1.key }.filter {
                state.identities.key(of: $0.key) != $0.value.key
            }.map { Notice(node: $0.key.text, key: $0.value.key, from: Instant.text($0.value.from)) },
            faults: Dictionary(
                state.faults.map { ($0.key.text, $0.value.description) }, uniquingKeysWith: { first, _ in first }),
            published: published, publishedBeside: beside)
    }

    /// As the node remembers it; of a tree that no node keeps, by what stands in it.
    private static func age(
        _ state: SignedFederation, _ folder: TrustFolder, _ now: Timestamp
    ) throws(FederationError) -> Int64? {
        guard Files.exists(folder.freshnessFile) else {
            return state.metadata.timestamp?.signedAt.map { (now.milliseconds - $0.milliseconds) / 1000 }
        }
        var freshness = try TrustFile.read(Freshness.self, folder.freshnessFile)
        freshness.resumed(at: now)
        return freshness.age / 1000
    }

    private static func freshness(_ age: Int64?) -> String {
        guard let age = age.map({ $0 * 1000 }) else { return "unknown" }
        return age <= Freshness.warnMilliseconds ? "fresh" : age <= Freshness.hardMilliseconds ? "old" : "too old"
    }

    private static func words(_ state: InForce) -> [String] {
        var lines = ["\(state.federation): topology \(state.topology), SHA-256 \(state.topologySha256)"]
        if let fingerprint = state.fingerprint.flatMap({ Hex.decode($0, count: 32) }).map({ Digest32($0) }) {
            lines.append("fingerprint of the first root: \(fingerprint.grouped)")
        }
        lines.append(
            "timestamp: \(state.freshness)" + (state.age.map { ", \($0) s old" } ?? ""))
        lines += state.roles.map { role in
            "\(role.subject)\(role.version.map { " \($0)" } ?? ""): until \(role.expires), \(role.days) days"
                + (role.alarm.map { "; ALARM: \($0)" } ?? "")
        }
        lines += state.denied.map { "denied: \($0.node) since \($0.at) (\($0.id)): \($0.reason)" }
        lines += state.announced.map {
            "NOTICE: from \($0.from) on \($0.node) may get another identity key, \($0.key.prefix(16))…"
        }
        lines += state.faults.sorted { $0.key < $1.key }.map { "keys of \($0.key) are not good: \($0.value)" }
        lines += state.published.map { earlier in
            "published: targets \(earlier.targets)" + (earlier.topology.map { ", topology \($0)" } ?? "")
                + ", \(earlier.at): \(earlier.reason)"
        }
        lines += state.publishedBeside.map { "published: \($0.role), \($0.at): \($0.reason)" }
        return lines
    }
}
