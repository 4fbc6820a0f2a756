import Federation
import Glibc

/// Keys, certificates and pins.
enum KeyCommands {
    private struct Done: Encodable {
        var wrote: String
        var next: String
    }

    static func authorityInit(_ command: ParsedCommand) throws -> Int32 {
        let directory = command.operands[0]
        let segment = try command.required("segment")
        let federation = try command.required("federation")
        _ = try Authority.create(directory, segment: segment, federation: federation)
        let done = Done(wrote: directory, next: "ekc authority issue \(directory) request.json answer.json")
        Output.print(command, done, "authority of \(segment).\(federation) made in \(directory)\nnext: \(done.next)")
        return 0
    }

    static func authorityIssue(_ command: ParsedCommand) throws -> Int32 {
        let days = try command.number("days", 1...90, otherwise: 30)
        let request = try TrustFile.read(EnrolmentRequest.self, command.operands[1])
        let answer = try Authority(command.operands[0]).issue(
            request, days: days, replacing: command.flags.contains("replace"), now: Clocks.wall())
        try TrustFile.write(answer, to: command.operands[2])
        let done = Done(wrote: command.operands[2], next: "ekc node init DIR --answer \(command.operands[2])")
        Output.print(command, done, "certificate for \(request.node), \(days) days\nnext, at the node: \(done.next)")
        return 0
    }

    static func nodeInit(_ command: ParsedCommand) throws -> Int32 {
        let folder = NodeFolder(command.operands[0])
        if command.flags.contains("new-incarnation") { return try newIncarnation(command, folder) }
        if let file = command.values["answer"] {
            try folder.install(try TrustFile.read(EnrolmentAnswer.self, file))
            let done = Done(wrote: folder.path, next: "ekc node trust \(folder.path) TREE")
            Output.print(command, done, "certificate installed in \(folder.path)\nnext: \(done.next)")
            return 0
        }
        let settings = NodeSettings(
            node: try command.required("node"), segment: try command.required("segment"),
            federation: try command.required("federation"), anyPorts: command.flags.contains("any-ports"))
        guard NodeID(settings.node) != nil else {
            throw FederationError("bad-node-name", "\"\(settings.node)\"", remedy: "use a name of [a-z0-9-]{1,32}")
        }
        _ = try folder.create(settings)
        let done = Done(
            wrote: folder.requestFile, next: "give \(folder.requestFile) to the authority of \(settings.segment)")
        Output.print(
            command, done, "keys of \(settings.node) made in \(folder.path); they do not leave it\nnext: \(done.next)")
        return 0
    }

    private struct Opened: Encodable {
        var incarnation: String
        var parent: String
        /// Envelopes that were accepted anew.
        var reminted: Int
    }

    private static func newIncarnation(_ command: ParsedCommand, _ folder: NodeFolder) throws -> Int32 {
        let reason = try command.reason()
        let settings = try folder.settings()
        guard let node = NodeID(settings.node) else {
            throw FederationError("bad-node-name", "node.json names \"\(settings.node)\"", remedy: "mend node.json")
        }
        let lock = try StoreLock(directory: folder.storeFolder)
        defer { lock.release() }
        let engine = try LMDBEngine(directory: folder.storeFolder, tables: Table.exchange)
        defer { engine.close() }
        let outcome = try NewIncarnation.open(
            engine, node: node, as: Incarnation(bits: Random.id128()), reason: reason, actor: getuid(),
            now: Clocks.wall(), livesBefore: folder.livesBegun())
        try folder.setLivesBegun(outcome.life)
        let opened = Opened(
            incarnation: outcome.incarnation.text, parent: outcome.parent.text, reminted: outcome.reminted)
        Output.print(
            command, opened,
            "\(node) goes on as incarnation \(opened.incarnation); \(opened.reminted) messages were accepted anew\n"
                + "next: ekc node run \(folder.path)")
        return 0
    }
}
