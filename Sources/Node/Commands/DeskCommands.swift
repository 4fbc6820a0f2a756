import ContactCentre
import Federation
import FoundationEssentials

/// Clients of the operators' and the channels' listener, for people who work from a terminal and for scripts.
enum DeskCommands {
    /// The token file is a header line: `Authorization: Bearer …`.
    private static func headers(_ command: ParsedCommand) throws -> [String] {
        let file = try command.required("as")
        let line = String(decoding: try Files.read(file, maximum: 4096), as: UTF8.self).split(separator: "\n").first
        guard let line, line.hasPrefix("Authorization: Bearer ") else {
            throw FederationError(
                "token-file-malformed", "\(file) is no token file",
                remedy: "use what ekc operator add or channel add wrote")
        }
        let key = command.values["key"] ?? Hex.encode(Random.bytes(16))
        guard (1...64).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw UsageError(message: "--key is not 1 to 64 visible ASCII characters", remedy: "use a UUID")
        }
        return [String(line), "Idempotency-Key: \(key)"]
    }

    private static func client(_ command: ParsedCommand, port: Int) throws -> HTTPClient {
        HTTPClient(base: "http://127.0.0.1:\(try command.number("port", 1...65_535, otherwise: port))")
    }

    static func submit(_ command: ParsedCommand) throws -> Int32 {
        let text = try command.required("text")
        let submission = PublicAPI.Submission(
            organisation: try command.required("organisation"), subject: try command.required("subject"),
            topic: command.values["topic"], site: nil,
            history: [Strict(Utterance(at: Clocks.wall().rfc3339, author: .citizen, text: text))])
        let accepted = try client(command, port: 7412).exchange(
            PublicAPI.Accepted.self, "POST", "/api/v1/appeals", headers: headers(command),
            body: Output.encode(submission))
        Output.print(command, accepted, "accepted \(accepted.number) (\(accepted.id))")
        return 0
    }

    static func show(_ command: ParsedCommand) throws -> Int32 {
        let view = try client(command, port: 7411).exchange(
            AppealView.self, "GET", "/api/v1/appeals/\(PercentEncoding.segment(command.operands[0]))",
            headers: headers(command))
        Output.print(command, view, words(view))
        return 0
    }

    static func list(_ command: ParsedCommand) throws -> Int32 {
        let listing = try client(command, port: 7411).exchange(
            OperatorAPI.Listing.self, "GET", command.path[0] == "queue" ? "/api/v1/queue" : "/api/v1/appeals",
            headers: headers(command))
        var lines = listing.appeals.map {
            "\($0.number)\t\($0.id)\t\($0.organisation) \($0.subject)\t\($0.state)\t\($0.dueAt ?? "-")"
        }
        if listing.more == true { lines.append("… and more") }
        Output.print(command, listing, lines.isEmpty ? "nothing is there" : lines.joined(separator: "\n"))
        return 0
    }

    static func claim(_ command: ParsedCommand) throws -> Int32 {
        var act = OperatorAPI.Act()
        act.id = command.operands.first
        return try send(command, "/api/v1/queue/claim", act)
    }

    /// One act on an appeal that is claimed: the verb is the last word of the command.
    static func act(_ command: ParsedCommand) throws -> Int32 {
        var act = OperatorAPI.Act()
        _ = try command.required("claim")
        act.claim = try command.number("claim", 1...Int.max, otherwise: 0)
        act.text = command.values["text"]
        act.delivery = command.values["delivery"]
        act.code = command.values["code"]
        return try send(
            command, "/api/v1/appeals/\(PercentEncoding.segment(command.operands[0]))/\(command.path[1])", act)
    }

    private static func send(_ command: ParsedCommand, _ path: String, _ act: OperatorAPI.Act) throws -> Int32 {
        let view = try client(command, port: 7411).exchange(
            AppealView.self, "POST", path, headers: headers(command), body: Output.encode(act))
        Output.print(command, view, words(view))
        return 0
    }

    private static func words(_ view: AppealView) -> String {
        var lines = ["\(view.number) (\(view.id)): \(view.state), \(view.organisation) \(view.subject)"]
        if let claim = view.claim?.number { lines.append("claim \(claim)") }
        if let reason = view.reason { lines.append("\(reason) at \(view.tenancy ?? "-"), due \(view.dueAt ?? "-")") }
        lines += (view.history ?? []).map { "\($0.at) \($0.author.rawValue): \(Output.printable($0.text))" }
        if let answer = view.answer { lines.append("answer: \(Output.printable(answer))") }
        return lines.joined(separator: "\n")
    }

    private static func owner(_ trace: AdminAPI.Trace) -> String {
        if let owner = trace.owner { return owner }
        switch trace.state {
        case "escalating": return "nobody: on its way to \(trace.home ?? trace.tenancy ?? "its home")"
        case "returned_l1": return "nobody here: on its way back, or with the centre"
        default: return "its home, \(trace.home ?? trace.tenancy ?? "-")"
        }
    }

    /// Where an appeal is, from this node's own store: no text.
    static func trace(_ command: ParsedCommand) throws -> Int32 {
        let trace = try NodeCommands.client(command.operands[0])
            .exchange(AdminAPI.Trace.self, "GET", "/api/v1/trace/\(PercentEncoding.segment(command.operands[1]))")
        var lines = [
            "\(trace.id) at \(trace.node): \(trace.state), owner \(owner(trace)), epoch \(trace.ownershipEpoch)"
        ]
        lines += trace.events.map {
            "\($0.at)  \($0.from ?? "-") → \($0.to)  \($0.event) by \($0.actor)\($0.code.map { " (\($0))" } ?? "")"
        }
        lines += trace.outbox.map {
            "outbox for \($0.destination): position \($0.position), next hop \($0.nextHop ?? "none"), \($0.ageSeconds) s: \($0.reason)"
        }
        Output.print(command, trace, lines.joined(separator: "\n"))
        return 0
    }
}

extension Output {
    /// Text of others, without what would steer a terminal.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
    }
}
