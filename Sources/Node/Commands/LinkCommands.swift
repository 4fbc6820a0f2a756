import Federation

/// Links to neighbours.
enum LinkCommands {
    static func list(_ command: ParsedCommand) throws -> Int32 {
        tell(command, try client(command).exchange(AdminAPI.Links.self, "GET", "/api/v1/links"))
    }

    static func pause(_ command: ParsedCommand) throws -> Int32 {
        let order = AdminAPI.Reason(reason: try command.required("reason"))
        return tell(
            command,
            try client(command)
                .exchange(
                    AdminAPI.Links.self, "POST", "/api/v1/links/\(HTTPClient.segment(command.operands[1]))/pause",
                    body: Output.encode(order)))
    }

    static func resume(_ command: ParsedCommand) throws -> Int32 {
        tell(
            command,
            try client(command)
                .exchange(
                    AdminAPI.Links.self, "POST", "/api/v1/links/\(HTTPClient.segment(command.operands[1]))/resume"))
    }

    private static func client(_ command: ParsedCommand) -> HTTPClient { NodeCommands.client(command.operands[0]) }

    private static func tell(_ command: ParsedCommand, _ all: AdminAPI.Links) -> Int32 {
        let lines = all.links.map { link in
            "\(link.peer)\t\(link.state) since \(link.since)\t\(link.dials ? "dialled" : "accepted")"
                + (link.why.map { "\t\($0)" } ?? "")
        }
        Output.print(command, all, lines.isEmpty ? "the topology names no neighbour" : lines.joined(separator: "\n"))
        return 0
    }
}
