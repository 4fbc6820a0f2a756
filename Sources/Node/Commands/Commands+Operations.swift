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
            ]),
        CommandSpec(
            path: ["link", "test"],
            summary: "send an echo over a link; if it does not run, say which step of dialling fails first",
            operands: [directory, neighbour], options: [CommandSpec.json]),
        CommandSpec(
            path: ["node", "check"],
            summary: "look at what a node needs, whether it runs or not: each thing with reason and remedy",
            operands: [directory], options: [CommandSpec.json]),
        CommandSpec(
            path: ["node", "drain"],
            summary: "take nothing new, and wait until nothing is left; it goes on over a restart",
            operands: [directory],
            options: [
                Option(
                    name: "timeout", value: "SECONDS", help: "how long to wait; 60 unless told; exit code 1 after it"),
                Option(name: "undo", help: "take what is new again"), CommandSpec.json,
            ]),
        CommandSpec(
            path: ["node", "retire"], summary: "end a node that is drained and empty, for good", operands: [directory],
            options: [
                Option(name: "undo", help: "it was a mistake: let the stopped node run again"), CommandSpec.json,
            ]),
        CommandSpec(
            path: ["support", "bundle"],
            summary: "write what somebody who helps needs of a node, running or not; nothing personal, no keys",
            operands: [directory],
            options: [
                Option(name: "output", value: "FILE.tar", help: "a new file"),
                Option(name: "log", value: "FILE", help: "the node's log; DIR/log unless told, if it is there"),
                CommandSpec.json,
            ]),
    ]

    /// Nil: it is no command of these.
    static func operate(_ command: ParsedCommand) throws -> Int32? {
        switch command.path {
        case ["federation", "status"]: try FederationCommands.status(command)
        case ["link", "test"]: try LinkCommands.test(command)
        case ["node", "check"]: try CheckCommands.check(command)
        case ["node", "drain"]: try DrainCommands.drain(command)
        case ["node", "retire"]: try DrainCommands.retire(command)
        case ["support", "bundle"]: try SupportCommands.bundle(command)
        default: nil
        }
    }
}
