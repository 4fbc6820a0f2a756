import Federation

/// What is kept undecided, and what a person decides about it.
enum QuarantineCommands {
    static func list(_ command: ParsedCommand) throws -> Int32 {
        let all = try NodeCommands.client(command.operands[0])
            .exchange(AdminAPI.Quarantines.self, "GET", "/api/v1/quarantine")
        var lines = all.messages.map(line)
        lines += all.heldElsewhere.map { held in
            "at \(held.destination) since \(held.since): \(held.kind), position \(held.position), \(held.reason)"
        }
        Output.print(command, all, lines.isEmpty ? "nothing is held" : lines.joined(separator: "\n"))
        return 0
    }

    static func show(_ command: ParsedCommand) throws -> Int32 {
        let found = try NodeCommands.client(command.operands[0])
            .exchange(
                AdminAPI.Quarantined.self, "GET", "/api/v1/quarantine/\(PercentEncoding.segment(command.operands[1]))")
        var lines = [
            line(found),
            "created \(found.created) under topology \(found.topologyVersion), \(found.bytes) bytes, tries \(found.tries)",
        ]
        if let at = found.decidedAt {
            let code = found.code.map { " (\($0))" } ?? ""
            lines.append("\(found.state) at \(at) by \(found.decidedBy ?? "")\(code): \(found.why ?? "")")
        }
        Output.print(command, found, lines.joined(separator: "\n"))
        return 0
    }

    static func decide(_ command: ParsedCommand) throws -> Int32 {
        let order = AdminAPI.Reason(reason: try command.reason())
        let done = try NodeCommands.client(command.operands[0])
            .exchange(
                AdminAPI.Quarantined.self, "POST",
                "/api/v1/quarantine/\(PercentEncoding.segment(command.operands[1]))/\(command.path[1])",
                body: Output.encode(order))
        let code = done.code.map { ", \($0)" } ?? ""
        Output.print(command, done, "message \(done.number) is \(done.state)\(code); \(done.origin) will hear of it")
        return 0
    }

    private static func line(_ held: AdminAPI.Quarantined) -> String {
        "\(held.number)\t\(held.state)\t\(held.reason)\t\(held.heldAt)\t\(held.kind) \(held.id)\tfrom \(held.origin), "
            + "lane \(held.lane), position \(held.position)"
    }
}
