/// Signed metadata: making it, signing it, reading it.
extension Commands {
    static let trust: [CommandSpec] = [
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
            ])
    ]

    /// Nil: it is no command of these.
    static func trust(_ command: ParsedCommand) throws -> Int32? {
        switch command.path {
        case ["tuf"]: try TUFCommands.run(command)
        default: nil
        }
    }
}
