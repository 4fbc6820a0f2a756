/// Signed metadata: making it, signing it, reading it.
extension Commands {
    private static let proposal = Operand(name: "PROPOSAL", help: "the file that goes round the holders")
    private static let trusting = Operand(
        name: "DIR", help: "a folder with the signed topology: a node's, or a static tree")
    private static let whyOption = Option(name: "reason", value: "TEXT", help: "why; it is signed too")

    static let trust: [CommandSpec] = [
        CommandSpec(
            path: ["federation", "init"],
            summary:
                "begin the signed topology: propose the first publication; at a terminal it asks for what is not given",
            operands: [Operand(name: "OUT", help: "a new folder, outside the centre's")],
            options: FoundingCommands.options),
        CommandSpec(
            path: ["federation", "finish"],
            summary: "make the first publication from what the holders have signed",
            operands: [
                Operand(name: "OUT", help: "the folder of federation init; the static tree is written there"),
                Operand(name: "PROPOSAL", help: "the copies that have come back", isRepeated: true),
            ],
            options: [
                Option(
                    name: "centre", value: "DIR", help: "the folder of the centre's node, which holds the online keys"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["topology", "diff"],
            summary: "say what a new topology would change, the worst first; exit code 2 when somebody loses something",
            operands: [
                Operand(name: "LIVE", help: "a node's folder, a static tree, or a topology file"),
                Operand(name: "NEW", help: "the new topology, or a proposal of one"),
            ],
            options: [
                Option(name: "raise", help: "compare as if NEW had the next version, as propose --raise writes it"),
                Option(
                    name: "dry-run",
                    help: "LIVE is the centre's folder: with what every node last said of itself, and who is dark"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["topology", "key"], summary: "make a holder's signing key, and the file of its public half",
            operands: [Operand(name: "FILE", help: "the key, for its holder only; FILE.pub goes to whoever proposes")],
            options: [
                Option(name: "holder", value: "NAME", help: "the person; the same words in every key of this person"),
                Option(name: "ecdsa", help: "ECDSA P-256; Ed25519 unless told"),
                Option(name: "make-passphrase", help: "draw a passphrase, and show it once at the terminal"),
                Option(name: "no-passphrase", help: "in the clear: for demonstrations, and for machines"),
            ] + Passphrase.options + [CommandSpec.json]),
        CommandSpec(
            path: ["topology", "propose"], summary: "propose what follows the signed topology that is in force",
            operands: [trusting, Operand(name: "OUT", help: "the proposal, a new file")],
            options: ProposalCommands.proposeOptions),
        CommandSpec(
            path: ["topology", "revert"], summary: "propose an old topology once more, under a new version",
            operands: [
                Operand(name: "DIR", help: "the folder of the centre's node"),
                Operand(name: "N", help: "the version of targets with which it was published"),
                Operand(name: "OUT", help: "the proposal, a new file"),
            ], options: [whyOption, CommandSpec.json]),
        CommandSpec(
            path: ["topology", "sign"],
            summary: "say what a proposal changes, and sign every role in which the key counts", operands: [proposal],
            options: [
                Option(name: "key", value: "FILE", help: "the holder's key"),
                Option(
                    name: "with", value: "COMMAND",
                    help: "a token: the command gets the bytes as standard input and prints the signature in hex"),
                Option(
                    name: "trust", value: "DIR",
                    help: "refuse it unless it builds on what is in force in this folder; say what changes there"),
            ] + Passphrase.options + [CommandSpec.json]),
        CommandSpec(
            path: ["topology", "status"],
            summary: "of proposals: who has signed, who is missing; of a folder: what is in force, and until when",
            operands: [
                Operand(
                    name: "WHAT", help: "copies of a proposal, or a folder with the signed topology", isRepeated: true)
            ], options: [CommandSpec.json]),
        CommandSpec(
            path: ["topology", "publish"],
            summary: "publish a signed proposal through the centre's node, or write what is in force as a static tree",
            operands: [
                Operand(name: "DIR", help: "the folder of the centre's node, which runs"),
                Operand(name: "PROPOSAL", help: "the copies that have come back", isOptional: true, isRepeated: true),
            ],
            options: [
                Option(name: "directory", value: "OUT", help: "write the static tree of DIR, for any web server"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["node", "trust"], summary: "install the signed topology in a node's folder, for its first start",
            operands: [directory, Operand(name: "TREE", help: "the published tree: a folder, or a tar archive of it")],
            options: [
                Option(name: "root", value: "FILE", help: "the root that is believed; the tree's first unless told"),
                Option(
                    name: "fingerprint", value: "HEX", help: "SHA-256 of that root, as central operations have told it"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["tuf"], summary: "a plain TUF client: init ROOT, refresh, download",
            operands: [
                CommandSpec.Operand(name: "ACTION", help: "init, refresh or download"),
                CommandSpec.Operand(name: "ROOT", help: "with init: the root that is believed", isOptional: true),
            ],
            options: [
                Option(name: "metadata-dir", value: "DIR", help: "where verified metadata is kept"),
                Option(name: "metadata-url", value: "URL", help: "where metadata is published"),
                Option(
                    name: "target-name", value: "PATH", help: "the target to fetch; may stand several times",
                    isRepeated: true),
                Option(name: "target-base-url", value: "URL", help: "where targets are published"),
                Option(name: "target-dir", value: "DIR", help: "where targets are written"), CommandSpec.json,
            ]),
    ]

    /// Nil: it is no command of these.
    static func trust(_ command: ParsedCommand) throws -> Int32? {
        switch command.path {
        case ["federation", "init"]: try FoundingCommands.initialise(command)
        case ["federation", "finish"]: try FoundingCommands.finish(command)
        case ["topology", "diff"]: try TopologyDiffCommand.run(command)
        case ["topology", "key"]: try SigningKeyCommands.key(command)
        case ["topology", "propose"]: try ProposalCommands.propose(command)
        case ["topology", "revert"]: try ProposalCommands.revert(command)
        case ["topology", "sign"]: try ProposalCommands.sign(command)
        case ["topology", "status"]: try TopologyStatus.run(command)
        case ["topology", "publish"]: try ProposalCommands.publish(command)
        case ["node", "trust"]: try NodeTrust.install(command)
        case ["tuf"]: try TUFCommands.run(command)
        default: nil
        }
    }
}
