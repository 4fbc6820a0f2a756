/// What keeps a federation running: seen from the centre, looked into at a node.
extension Commands {
    static let operations: [CommandSpec] = [
        CommandSpec(
            path: ["federation", "status"], summary: "show every node of the federation, the worst first",
            operands: [Operand(name: "DIR", help: "the folder of the centre's node, which runs")],
            options: [
                Option(name: "watch", help: "draw it anew every 2 s, until Ctrl-C"),
                Option(name: "problems", help: "only what is wrong, with what helps; exit code 1 if anything is"),
                CommandSpec.json,
            ])
    ]

    /// Nil: it is no command of these.
    static func operate(_ command: ParsedCommand) throws -> Int32? {
        switch command.path {
        case ["federation", "status"]: try FederationCommands.status(command)
        default: nil
        }
    }
}
