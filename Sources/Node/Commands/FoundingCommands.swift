import Federation

/// The ceremony with which a federation's signed metadata begins.
enum FoundingCommands {
    private struct Proposed: Encodable {
        var proposal: String
        var holders: [String]
        var onlineKeys: [String]
        var next: String
    }

    static let options: [CommandSpec.Option] = [
        .init(name: "topology", value: "FILE", help: "the topology that is in force from then on"),
        .init(
            name: "answer", value: "FILE", help: "what an authority has answered a node; once for each node",
            isRepeated: true),
        .init(
            name: "from", value: "TOPOLOGY PINS",
            help: "a federation that runs already: its topology.json and its pins.json", isPair: true),
        .init(name: "centre", value: "DIR", help: "the folder of the centre's node: its online keys are made there"),
        .init(name: "root", value: "K:PUB,PUB,…", help: "who signs root: how many must, and everybody's public key"),
        .init(name: "targets", value: "K:PUB,PUB,…", help: "who signs topology and rights"),
        .init(name: "deny", value: "PUB,PUB,…", help: "who may take a node out, each alone"),
        .init(name: "snapshot", value: "PUB,…", help: "spare keys of the online roles, which lie sealed elsewhere"),
        .init(name: "timestamp", value: "PUB,…", help: "the same, for timestamp"),
        .init(name: "reason", value: "TEXT", help: "why; it is signed too"),
        .init(
            name: "demonstration",
            help: "make invented holders under OUT/holders, keys in the clear, and sign and publish at once"),
        CommandSpec.json,
    ]

    static func initialise(_ command: ParsedCommand) throws -> Int32 {
        let out = command.operands[0]
        guard !Files.exists(out + "/proposal.json"), !Files.exists(out + "/tree") else {
            throw FederationError(
                "directory-not-empty", "\(out) holds a ceremony already", remedy: "name a new folder")
        }
        SigningKeyCommands.keepOutOfCores()
        var command = command
        let isDemonstration = command.flags.contains("demonstration")
        if Terminal.isThere, !isDemonstration { try CeremonyTalk.complete(&command) }
        let centre = NodeFolder(try command.required("centre"))
        let bytes = try Files.read(try topologyFile(command), maximum: 16 << 20)
        let topology = try FederationNode.topology(try topologyFile(command))
        try requireCentre(centre, topology)
        guard !Files.isInside(out, centre.path) else {
            throw FederationError(
                "key-at-centre", "\(out) lies in the centre's folder, which holds nothing but what is its own",
                remedy: "name a folder elsewhere")
        }
        try Files.makeFolder(out, mode: isDemonstration ? 0o700 : 0o755)
        var founding: Founding
        if isDemonstration {
            let ceremony = try OpenCeremony(out + "/holders")
            for role in ["root", "targets", Denial.role] {
                for (holder, key) in zip(OpenCeremony.holders, try ceremony.keys(role)) {
                    try Files.write(key.key.file, to: ceremony.path(role, holder) + ".pub")
                }
            }
            let online = try centre.makeOnlineKeys()
            founding = try ceremony.founding(bytes, snapshot: online.snapshot.key, timestamp: online.timestamp.key)
            try collect(command, &founding)
            var proposal = try founding.proposal(
                reason: command.values["reason"] ?? "demonstration", now: Clocks.wall())
            try ceremony.sign(&proposal)
            try Files.write(proposal.bytes, to: out + "/proposal.json")
            return try found(command, proposal, centre, out)
        }
        // Everything that can be refused is refused before the centre's keys are made.
        guard let root = try SignersOption.role(command, "root"),
            let targets = try SignersOption.role(command, "targets")
        else { throw missing("root", "targets") }
        let deny = try SignersOption.keys(try command.required("deny"))
        let reason = try command.reason()
        let spares = (
            try SignersOption.keys(command.values["snapshot"] ?? ""),
            try SignersOption.keys(command.values["timestamp"] ?? "")
        )
        let online = try centre.makeOnlineKeys()
        founding = Founding(
            topology: bytes, root: root, targets: targets, deny: deny, snapshot: [online.snapshot.key] + spares.0,
            timestamp: [online.timestamp.key] + spares.1)
        try collect(command, &founding)
        let proposal = try founding.proposal(reason: reason, now: Clocks.wall())
        let file = out + "/proposal.json"
        try Files.write(proposal.bytes, to: file)
        let holders = Set(try proposal.standings().flatMap(\.missing).map(\.person)).sorted()
        let done = Proposed(
            proposal: file, holders: holders, onlineKeys: [centre.snapshotKey, centre.timestampKey],
            next: "ekc topology sign \(file) --key FILE")
        let sentences = try ProposalContent(proposal).sentences()
        Output.print(
            command, done,
            (sentences
                + [
                    "",
                    "wrote \(file); online keys, in the clear and for the centre only: "
                        + done.onlineKeys.joined(separator: ", "),
                    "each holder signs it on his own machine: \(holders.joined(separator: ", "))",
                    "next: \(done.next); then: ekc federation finish \(out) \(file) --centre \(centre.path)",
                ]).joined(separator: "\n"))
        return 0
    }

    private static func missing(_ options: String...) -> UsageError {
        UsageError(
            message: "federation init wants \(options.map { "--" + $0 }.joined(separator: " and "))",
            remedy: "give them, or run it at a terminal, which asks; ekc federation init --help says what they are")
    }

    private static func topologyFile(_ command: ParsedCommand) throws -> String {
        guard let file = command.lists["from"]?.first ?? command.values["topology"] else { throw missing("topology") }
        return file
    }

    private static func requireCentre(_ folder: NodeFolder, _ topology: Topology) throws {
        let settings = try folder.settings()
        guard settings.federation == topology.federation, settings.node == topology.centre?.text else {
            throw FederationError(
                "not-the-centre",
                "\(folder.path) is of \(settings.node) in \(settings.federation), the centre is "
                    + "\(topology.centre?.text ?? "none") in \(topology.federation)",
                remedy: "name the folder of the centre's node")
        }
        guard !folder.trust.isThere else {
            throw FederationError(
                "already-founded", "\(folder.trust.path) holds a signed topology already",
                remedy: "ekc topology propose makes what follows it")
        }
    }

    private static func collect(_ command: ParsedCommand, _ founding: inout Founding) throws {
        if let file = command.lists["from"]?.last {
            founding.pins = try TrustFile.read(Pins.self, file, maximum: 8 << 20)
        }
        founding.answers = try (command.lists["answer"] ?? []).map { try TrustFile.read(EnrolmentAnswer.self, $0) }
    }

    // MARK: The end

    static func finish(_ command: ParsedCommand) throws -> Int32 {
        let proposal = try ProposalFiles.merged(Array(command.operands.dropFirst()))
        let centre = NodeFolder(try command.required("centre"))
        if let topology = try ProposalContent(proposal).topology() { try requireCentre(centre, topology) }
        return try found(command, proposal, centre, command.operands[0])
    }

    private struct Founded: Encodable {
        var tree: String
        var fingerprint: String
        var topology: UInt64
        var targets: UInt64
    }

    private static func found(
        _ command: ParsedCommand, _ proposal: Proposal, _ centre: NodeFolder, _ out: String
    ) throws -> Int32 {
        try Files.makeFolder(out, mode: 0o755)
        let tree = TrustFolder(out + "/tree")
        let state = try centre.found(proposal, tree: tree, now: Clocks.wall())
        guard let fingerprint = try tree.fingerprint() else { return 1 }
        let founded = Founded(
            tree: tree.path, fingerprint: fingerprint.description, topology: state.topology.version,
            targets: state.targets.common.version)
        Output.print(
            command, founded,
            """
            the signed topology \(founded.topology) of \(state.topology.federation) is in force at \(centre.path)
            the static tree for every other node: \(tree.path)
            fingerprint of the first root; tell it every engineer another way than the tree goes:
              \(fingerprint.grouped)
            next, at each node: ekc node trust DIR \(tree.path)
            """)
        return 0
    }
}

extension Digest32 {
    /// For reading aloud: groups of four digits.
    var grouped: String {
        let digits = Array(description)
        return stride(from: 0, to: digits.count, by: 4).map { String(digits[$0..<min($0 + 4, digits.count)]) }
            .joined(separator: " ")
    }
}
