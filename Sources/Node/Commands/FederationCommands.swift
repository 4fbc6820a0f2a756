import Federation
import Glibc

/// The whole federation, as its centre knows it.
enum FederationCommands {
    private static let periodSeconds: UInt32 = 2

    static func status(_ command: ParsedCommand) throws -> Int32 {
        let client = NodeCommands.client(command.operands[0])
        guard command.flags.contains("watch") else { return tell(command, try ask(client)) }
        let clear = isatty(STDOUT_FILENO) == 1 && !["", "dumb"].contains(terminal) ? "\u{1B}[H\u{1B}[2J" : ""
        // Until Ctrl-C. A centre that does not answer is what somebody who watches wants to see.
        while true {
            var text: String
            do throws(FederationError) {
                let status = try ask(client)
                text = command.json ? String(decoding: Output.encode(status), as: UTF8.self) : words(command, status)
            } catch { text = "\(Clocks.wall().rfc3339): \(error)" }
            Output.line(clear + text)
            sleep(periodSeconds)
        }
    }

    static func ask(_ client: HTTPClient) throws(FederationError) -> FederationStatus {
        try client.exchange(FederationStatus.self, "GET", "/api/v1/federation")
    }

    private static func tell(_ command: ParsedCommand, _ status: FederationStatus) -> Int32 {
        var shown = status
        if command.flags.contains("problems") { shown.nodes.removeAll { $0.problems.isEmpty } }
        Output.print(command, shown, words(command, status))
        guard command.flags.contains("problems") else { return 0 }
        return status.nodes.contains { !$0.problems.isEmpty } ? 1 : 0
    }

    private static func words(_ command: ParsedCommand, _ status: FederationStatus) -> String {
        command.flags.contains("problems")
            ? StatusScreen.problems(status, directory: command.operands[0]) : StatusScreen.table(status)
    }

    private static var terminal: String { getenv("TERM").map { String(cString: $0) } ?? "" }
}
