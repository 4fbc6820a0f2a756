import Federation
import Glibc

/// `node drain` and `node retire`.
enum DrainCommands {
    static func drain(_ command: ParsedCommand) throws -> Int32 {
        let seconds = try command.number("timeout", 0...86_400, otherwise: 60)
        let client = NodeCommands.client(command.operands[0])
        if command.flags.contains("undo") {
            let state = try client.exchange(AdminAPI.Drain.self, "DELETE", "/api/v1/drain")
            Output.print(command, state, "it takes what is new again")
            return 0
        }
        var state = try client.exchange(AdminAPI.Drain.self, "POST", "/api/v1/drain")
        let deadline = Clocks.monotonicMicroseconds() + Int64(seconds) * 1_000_000
        var told = ""
        while !state.isEmpty, Clocks.monotonicMicroseconds() < deadline {
            let words = say(state, command)
            if words != told, !command.json { Output.error(words) }
            told = words
            usleep(500_000)
            state = try client.exchange(AdminAPI.Drain.self, "GET", "/api/v1/drain")
        }
        let directory = command.operands[0]
        Output.print(
            command, state,
            state.isEmpty
                ? "nothing is left in it\nnext: ekc node retire \(directory), or ekc node drain \(directory) --undo"
                : "after \(seconds) s there is still something left; it goes on draining:\n\(say(state, command))\n"
                    + "next: ekc node drain \(directory) waits on; --undo takes it back; ekc link test \(directory) NODE "
                    + "says why a link is dark")
        return state.isEmpty ? 0 : 1
    }

    private static func say(_ state: AdminAPI.Drain, _ command: ParsedCommand) -> String {
        state.words.map { "  " + $0.replacing("DIR", with: command.operands[0]) }.joined(separator: "\n")
    }

    private struct Retired: Encodable {
        var isRetired: Bool
    }

    static func retire(_ command: ParsedCommand) throws -> Int32 {
        let directory = command.operands[0]
        if command.flags.contains("undo") {
            try Draining.undoRetirement(NodeFolder(directory), now: Clocks.wall())
            Output.print(
                command, Retired(isRetired: false),
                "it may run again, and still drains\nnext: ekc node run \(directory); ekc node drain \(directory) --undo"
            )
            return 0
        }
        _ = try NodeCommands.client(directory).exchange(AdminAPI.Drain.self, "POST", "/api/v1/retire")
        Output.print(
            command, Retired(isRetired: true),
            "it is retired: it stops now, and does not start again (--undo is the way back)\n"
                + "next: make it retired in a newer topology, and put that in force at every other node")
        return 0
    }
}
