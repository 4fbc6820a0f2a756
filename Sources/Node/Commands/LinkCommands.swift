import Federation

/// Links to neighbours.
enum LinkCommands {
    static func list(_ command: ParsedCommand) throws -> Int32 {
        tell(command, try client(command).exchange(AdminAPI.Links.self, "GET", "/api/v1/links"))
    }

    static func pause(_ command: ParsedCommand) throws -> Int32 {
        let order = AdminAPI.Reason(reason: try command.reason())
        return tell(
            command,
            try client(command)
                .exchange(
                    AdminAPI.Links.self, "POST", "/api/v1/links/\(PercentEncoding.segment(command.operands[1]))/pause",
                    body: Output.encode(order)))
    }

    static func resume(_ command: ParsedCommand) throws -> Int32 {
        tell(
            command,
            try client(command)
                .exchange(
                    AdminAPI.Links.self, "POST", "/api/v1/links/\(PercentEncoding.segment(command.operands[1]))/resume")
        )
    }

    /// Exit code 1 unless the link runs and answers.
    static func test(_ command: ParsedCommand) throws -> Int32 {
        let test = try client(command).exchange(
            FederationNode.LinkTest.self, "POST", "/api/v1/links/\(PercentEncoding.segment(command.operands[1]))/test")
        Output.print(command, test, words(test, directory: command.operands[0]))
        return test.isGood ? 0 : 1
    }

    private static func words(_ test: FederationNode.LinkTest, directory: String) -> String {
        var lines = ["\(test.peer): \(test.state)"]
        if let trip = test.roundTripMicroseconds {
            let skew = test.skewMilliseconds.map { ", its clock is \(abs($0)) ms \($0 < 0 ? "behind" : "ahead")" } ?? ""
            lines[0] += ", there and back in \(Double(trip / 10) / 100) ms\(skew)"
        }
        return (lines + CheckWords.lines(test.steps, directory: directory)).joined(separator: "\n")
    }

    private static func client(_ command: ParsedCommand) -> HTTPClient { NodeCommands.client(command.operands[0]) }

    private static func tell(_ command: ParsedCommand, _ all: AdminAPI.Links) -> Int32 {
        let lines = all.links.map { link in
            "\(link.peer)\t\(link.state) since \(link.since)\t\(link.dials ? "dialled" : "accepted")"
                + (link.why.map { "\t\(Plain.text($0))" } ?? "")
        }
        Output.print(command, all, lines.isEmpty ? "the topology names no neighbour" : lines.joined(separator: "\n"))
        return 0
    }
}
