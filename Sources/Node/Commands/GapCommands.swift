import Federation

/// What a store that was put back still misses.
enum GapCommands {
    static func list(_ command: ParsedCommand) throws -> Int32 {
        let all = try NodeCommands.client(command.operands[0]).exchange(AdminAPI.GapsHere.self, "GET", "/api/v1/gaps")
        var lines = all.gaps.map { gap in
            "\(gap.origin)\t\(gap.lane)\tpositions \(gap.first) to \(gap.last)\tmissing \(gap.missing)\tlost \(gap.lost)\t"
                + "since \(gap.since)"
        }
        lines += all.lostElsewhere.sorted { $0.key < $1.key }.map { "\($0.key) has lost \($0.value) of this node's" }
        Output.print(command, all, lines.isEmpty ? "nothing is missing" : lines.joined(separator: "\n"))
        return 0
    }

    static func giveUp(_ command: ParsedCommand) throws -> Int32 {
        let order = AdminAPI.Reason(reason: try command.reason())
        let done = try NodeCommands.client(command.operands[0])
            .exchange(
                AdminAPI.GivenUp.self, "POST", "/api/v1/gaps/\(PercentEncoding.segment(command.operands[1]))/give-up",
                body: Output.encode(order))
        Output.print(command, done, "\(done.lost) messages of \(command.operands[1]) are counted as lost")
        return 0
    }
}
