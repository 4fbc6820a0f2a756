import Federation

/// What goes round the holders of keys: made here, signed at each holder's, published by the centre.
enum ProposalCommands {
    static let proposeOptions: [CommandSpec.Option] = [
        .init(name: "reason", value: "TEXT", help: "why; it is signed too"),
        .init(name: "topology", value: "FILE", help: "the new topology"),
        .init(name: "raise", help: "write the next version into the proposal's copy of the topology; FILE stays"),
        .init(
            name: "answer", value: "FILE", help: "admit a node: what its authority has answered", isRepeated: true),
        .init(
            name: "authority", value: "SEGMENT=PEM", help: "the authority of a segment, its ca.crt", isRepeated: true),
        .init(name: "dismiss", value: "NODE", help: "its identity key counts no longer", isRepeated: true),
        .init(
            name: "withdraw", value: "NODE", help: "take back the notice of another identity key of it",
            isRepeated: true),
        .init(name: "deny", value: "NODE", help: "take it out: one signature, and alone", isRepeated: true),
        .init(name: "lift", value: "ID", help: "take back an entry of deny", isRepeated: true),
        .init(name: "root", value: "K:PUB,PUB,…", help: "who signs root from then on"),
        .init(name: "targets", value: "K:PUB,PUB,…", help: "who signs targets from then on"),
        .init(name: "deny-keys", value: "PUB,PUB,…", help: "who may deny a node from then on"),
        .init(name: "snapshot", value: "PUB,…", help: "the online keys for snapshot from then on, with the spare"),
        .init(name: "timestamp", value: "PUB,…", help: "the same, for timestamp"),
        .init(
            name: "renew", value: "ROLE", help: "root, targets or deny: the same under a later date", isRepeated: true),
        CommandSpec.json,
    ]

    private struct Proposed: Encodable {
        var proposal: String
        var says: [String]
        /// Why it would not be published now.
        var warnings: [String]
        var signatures: [ProposalFiles.Signatures]
    }

    /// A folder of a node, or a static tree.
    static func trust(_ path: String) -> TrustFolder {
        let own = NodeFolder(path).trust
        return own.isThere ? own : TrustFolder(path)
    }

    static func propose(_ command: ParsedCommand) throws -> Int32 {
        let reason = try command.reason()
        let current = try trust(command.operands[0]).load()
        var draft = ProposalDraft()
        draft.topology = try command.values["topology"].map { try Files.read($0, maximum: 16 << 20) }
        if command.flags.contains("raise"), let bytes = draft.topology {
            draft.topology = try TopologyVersion.raised(bytes, to: current.inForce.topology.version + 1)
        }
        draft.answers = try (command.lists["answer"] ?? []).map { try TrustFile.read(EnrolmentAnswer.self, $0) }
        draft.authorities = try (command.lists["authority"] ?? []).map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw UsageError(
                    message: "--authority \(pair) names no segment and file", remedy: "write SEGMENT=ca.crt")
            }
            return (parts[0], try Files.read(parts[1], maximum: 64 << 10))
        }
        draft.dismissed = try nodes(command, "dismiss")
        draft.withdrawn = try nodes(command, "withdraw")
        draft.denied = try nodes(command, "deny")
        draft.lifted = command.lists["lift"] ?? []
        for role in ["root", "targets"] { draft.signers[role] = try SignersOption.role(command, role) }
        for role in ["snapshot", "timestamp"] {
            draft.signers[role] = try command.values[role].map { try TUFRole(role, 1, of: SignersOption.keys($0)) }
        }
        draft.denyKeys = try command.values["deny-keys"].map(SignersOption.keys)
        for role in command.lists["renew"] ?? [] {
            guard ["root", "targets", Denial.role].contains(role) else {
                throw UsageError(
                    message: "--renew \(role) is no role that people sign", remedy: "root, targets or deny")
            }
            draft.renewed.insert(role)
        }
        return try write(draft, after: current, reason, command)
    }

    private static func nodes(_ command: ParsedCommand, _ option: String) throws -> [NodeID] {
        try (command.lists[option] ?? []).map { name in
            guard let node = NodeID(name) else {
                throw UsageError(message: "--\(option) \(name) is no node's name", remedy: "use [a-z0-9-]{1,32}")
            }
            return node
        }
    }

    private static func write(
        _ draft: ProposalDraft, after current: TrustFolder.Loaded, _ reason: String, _ command: ParsedCommand
    ) throws -> Int32 {
        let proposal = try draft.proposal(after: current, reason: reason, now: Clocks.wall())
        let warnings = try draft.topology.map { try objections($0, current.inForce.topology, command) } ?? []
        guard let out = command.operands.last, !Files.exists(out) else {
            throw FederationError(
                "file-exists", "\(command.operands.last ?? "") is there already", remedy: "name a new file")
        }
        let says = try ProposalContent(proposal).sentences()
        let signatures = try ProposalFiles.signatures(proposal)
        try Files.write(proposal.bytes, to: out)
        Output.print(
            command, Proposed(proposal: out, says: says, warnings: warnings, signatures: signatures),
            (says + warnings + [""] + ProposalFiles.lines(signatures)
                + ["wrote \(out); each holder: ekc topology sign \(out) --key FILE"]).joined(separator: "\n"))
        return 0
    }

    static func revert(_ command: ParsedCommand) throws -> Int32 {
        let reason = try command.reason()
        let folder = NodeFolder(command.operands[0])
        guard let version = UInt64(command.operands[1]) else {
            throw UsageError(
                message: "\(command.operands[1]) is no version",
                remedy: "name a version of targets: ekc topology status DIR lists what was published")
        }
        let current = try folder.trust.load()
        var draft = ProposalDraft()
        draft.topology = try TopologyVersion.raised(
            try folder.publishedTopology(version), to: current.inForce.topology.version + 1)
        return try write(draft, after: current, reason, command)
    }

    /// What lasts refuses the proposal as it would refuse its publication; what is under way may be settled until then.
    /// - Returns: what a centre that runs here would say now.
    private static func objections(
        _ topology: [UInt8], _ current: Topology, _ command: ParsedCommand
    ) throws -> [String] {
        let diff = TopologyDiff(
            from: current, to: try TopologyDiffCommand.read(topology), today: TopologyDiffCommand.today)
        if let error = TopologyObjections.lasting(diff) { throw error }
        switch UnderWay.ask(command.operands[0], topology) {
        case .success(let found) where found.isCentre:
            return found.objections.map { "publish would be refused now: \($0.code): \($0.detail); \($0.remedy)" }
        case .failure(let error): return [UnderWay.notKnown(error)]
        case .success, nil: return []
        }
    }

    // MARK: Signing

    private struct Signed: Encodable {
        var says: [String]
        /// Nil: no folder is trusted, or the topology stays.
        var changes: [TopologyDiff.Finding]?
        var signed: [String]
        var by: String
        var signatures: [ProposalFiles.Signatures]
    }

    static func sign(_ command: ParsedCommand) throws -> Int32 {
        let file = command.operands[0]
        guard (command.values["key"] == nil) != (command.values["with"] == nil) else {
            throw UsageError(
                message: "topology sign wants either --key or --with",
                remedy: "--key FILE for a key file, --with COMMAND for a token")
        }
        SigningKeyCommands.keepOutOfCores()
        var proposal = try ProposalFiles.read(file)
        let content = try ProposalContent(proposal)
        let says = try content.sentences()
        var changes: [TopologyDiff.Finding]?
        var lines = says
        if let folder = command.values["trust"] {
            let current = try trust(folder).load()
            try requireBase(of: content, current)
            if let next = try content.topology() {
                let live = current.inForce.topology
                let findings = TopologyDiff(from: live, to: next, today: TopologyDiffCommand.today).findings
                changes = findings
                lines += TopologyDiffCommand.words(from: live, to: next, findings)
            }
        }
        if !command.json { Output.line(lines.joined(separator: "\n") + "\n") }
        let (signed, person) =
            if let path = command.values["key"] {
                try sign(&proposal, path, command)
            } else {
                try SignatureCommand.sign(&proposal, try command.required("with"))
            }
        try Files.write(proposal.bytes, to: file)
        let signatures = try ProposalFiles.signatures(proposal)
        let what =
            signed.isEmpty
            ? "\(person) had signed all of it before" : "\(person) signed \(signed.joined(separator: ", "))"
        Output.print(
            command, Signed(says: says, changes: changes, signed: signed, by: person, signatures: signatures),
            ([what] + ProposalFiles.lines(signatures)).joined(separator: "\n"))
        return 0
    }

    private static func sign(
        _ proposal: inout Proposal, _ path: String, _ command: ParsedCommand
    ) throws -> (roles: [String], person: String) {
        let key = try SigningKey.read(path, passphrase: try Passphrase.known(command, for: path))
        let roles = try proposal.sign(by: key)
        let person = try proposal.standings().flatMap(\.signed).first { $0.value == key.key.value }?.person
        return (roles, person ?? key.key.person)
    }

    /// The file builds on what the holder knows to be in force.
    private static func requireBase(of content: ProposalContent, _ current: TrustFolder.Loaded) throws {
        let targets = current.inForce.targets
        guard content.rootBefore?.text.canonical == current.baseline.root.text.canonical,
            content.targetsBefore?.text.canonical == targets.text.canonical
        else {
            throw FederationError(
                "proposal-stale",
                "it builds on another root or targets than root \(current.baseline.root.common.version) and targets "
                    + "\(targets.common.version) of the folder that is trusted",
                remedy: "bring that folder up to date: ekc node trust; if it is, do not sign")
        }
    }

    // MARK: Publishing

    private struct Tree: Encodable {
        var tree: String
        var root: UInt64
        var timestamp: UInt64
    }

    static func publish(_ command: ParsedCommand) throws -> Int32 {
        let directory = command.operands[0]
        let files = Array(command.operands.dropFirst())
        if let out = command.values["directory"] {
            guard files.isEmpty else {
                throw UsageError(
                    message: "--directory writes what is in force, not a proposal",
                    remedy: "publish the proposal first, then the directory")
            }
            let tree = TrustFolder(out)
            let state = try trust(directory).export(to: tree)
            let done = Tree(
                tree: out, root: state.metadata.root.common.version,
                timestamp: state.metadata.timestamp?.common.version ?? 0)
            Output.print(
                command, done, "\(out): root \(done.root), timestamp \(done.timestamp); any web server may serve it")
            return 0
        }
        let proposal = try ProposalFiles.merged(files)
        _ = try ProposalContent(proposal)
        // Said before the node is asked, so that it is said even when the node does not run.
        try proposal.requireEnough()
        let done = try NodeCommands.client(directory)
            .exchange(
                AdminAPI.Published.self, "POST", "/api/v1/topology/publish",
                body: Output.encode(
                    AdminAPI.NewPublication(proposal: String(decoding: proposal.bytes, as: UTF8.self))))
        Output.print(
            command, done,
            "in force: topology \(done.topology), root \(done.root), targets \(done.targets), "
                + "timestamp \(done.timestamp); every node fetches it now"
        )
        return 0
    }
}
