import Federation
import Glibc

/// Every command of `ekc`.
enum Commands {
    typealias Operand = CommandSpec.Operand
    typealias Option = CommandSpec.Option

    static let directory = Operand(name: "DIR", help: "the node's folder")

    private static let appeal = Operand(name: "ID", help: "the appeal: its id, or its number")
    private static let quarantined = Operand(name: "N", help: "its number in quarantine list")
    static let neighbour = Operand(name: "PEER", help: "the neighbour's name in the topology")
    private static let reason = Option(name: "reason", value: "TEXT", help: "why; it is kept")
    private static let claim = Option(name: "claim", value: "N", help: "the number of your claim")
    private static let desk = [
        Option(name: "as", value: "TOKENFILE", help: "who you are: what operator add or channel add wrote"),
        Option(name: "port", value: "PORT", help: "the listener; 7411 for operators, 7412 for channels unless told"),
        Option(name: "key", value: "KEY", help: "the Idempotency-Key, to repeat a request safely; drawn unless told"),
        CommandSpec.json,
    ]

    static let specs = listed + operations + trust

    private static let listed: [CommandSpec] = [
        CommandSpec(
            path: ["authority", "init"], summary: "make a segment's certificate authority",
            operands: [Operand(name: "DIR", help: "its folder, which is made")],
            options: [
                Option(name: "segment", value: "SEGMENT", help: "the segment that it serves"),
                Option(name: "federation", value: "NAME", help: "the federation, such as ekc.test"), CommandSpec.json,
            ]),
        CommandSpec(
            path: ["authority", "issue"], summary: "check a node's request and answer it with a certificate",
            operands: [
                Operand(name: "DIR", help: "the authority's folder"),
                Operand(name: "REQUEST", help: "the node's request.json"),
                Operand(name: "ANSWER", help: "where to write the answer"),
            ],
            options: [
                Option(name: "days", value: "N", help: "how long it is valid, 1 to 90; 30 unless told"),
                Option(name: "replace", help: "the node's earlier identity key is lost: take the new one"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["node", "init"],
            summary: "make a node's keys and request, install the answer, or open a new incarnation",
            operands: [Operand(name: "DIR", help: "the node's folder, which is made")],
            options: [
                Option(name: "node", value: "ID", help: "the node's name in the topology"),
                Option(name: "segment", value: "SEGMENT", help: "its segment"),
                Option(name: "federation", value: "NAME", help: "the federation"),
                Option(
                    name: "any-ports",
                    help: "listen for operators, channels and metrics on any free port, not 7411 to 7413"),
                Option(name: "answer", value: "FILE", help: "install what the authority answered"),
                Option(name: "new-incarnation", help: "the way out of node-rewound: go on as a new life of the store"),
                Option(name: "reason", value: "TEXT", help: "why, with --new-incarnation; it is kept"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["node", "run"], summary: "run a node until it is told to stop (TERM)", operands: [directory],
            options: [CommandSpec.json, Option(name: "with-parent", help: "end when the process that started it ends")]),
        CommandSpec(
            path: ["node", "status"], summary: "say how a running node is", operands: [directory],
            options: [CommandSpec.json]),
        CommandSpec(
            path: ["topology", "check"], summary: "check a topology file: every fault at once",
            operands: [Operand(name: "FILE", help: "the topology")], options: [CommandSpec.json]),
        CommandSpec(
            path: ["topology", "routes"], summary: "say where each appeal would go, and why",
            operands: [Operand(name: "FILE", help: "the topology")],
            options: [Option(name: "on", value: "DATE", help: "as of that day; today unless told"), CommandSpec.json]),
        CommandSpec(
            path: ["topology", "upgrade"], summary: "write a topology file of format 1 as format 2, with rights",
            operands: [
                Operand(name: "FILE", help: "the topology, of format 1"),
                Operand(name: "OUT", help: "the new file; it allows what format 1 allowed: narrow it down"),
            ], options: [CommandSpec.json]),
        CommandSpec(
            path: ["link", "list"], summary: "say how the link to each neighbour is, since when, and why",
            operands: [directory], options: [CommandSpec.json]),
        CommandSpec(
            path: ["link", "pause"], summary: "hang up on a neighbour until resumed; what is for it waits",
            operands: [directory, neighbour], options: [reason, CommandSpec.json]),
        CommandSpec(
            path: ["link", "resume"], summary: "let a paused link come up again", operands: [directory, neighbour],
            options: [CommandSpec.json]),
        CommandSpec(
            path: ["link", "probe"],
            summary: "send messages that are counted where they arrive, and wait for their receipts",
            operands: [directory, Operand(name: "NODE", help: "the destination")],
            options: [
                Option(name: "count", value: "N", help: "how many; 1 unless told"),
                Option(name: "size", value: "BYTES", help: "bytes of each; 100 unless told"),
                Option(name: "group", value: "N", help: "accepted together; 1 unless told"),
                Option(name: "no-wait", help: "return when they are accepted"), CommandSpec.json,
            ]),
        CommandSpec(
            path: ["operator", "add"], summary: "name a person at a desk, and write the person's token to a file",
            operands: [directory, Operand(name: "NAME", help: "[a-z0-9-]{1,32}")],
            options: [
                Option(name: "organisation", value: "ORG", help: "the participant, with --line 1"),
                Option(name: "tenancy", value: "T", help: "the tenancy, with --line 2 or 2.1"),
                Option(name: "line", value: "LINE", help: "1, 2 or 2.1"),
                Option(name: "token-file", value: "FILE", help: "where to write the token; it is shown nowhere else"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["operator", "list"], summary: "list who has a desk at a node", operands: [directory],
            options: [CommandSpec.json]),
        CommandSpec(
            path: ["operator", "remove"], summary: "withdraw a person's token; the name is given to nobody else",
            operands: [directory, Operand(name: "NAME", help: "as operator list says it")],
            options: [CommandSpec.json]),
        CommandSpec(
            path: ["channel", "remove"], summary: "withdraw a channel's token; the name is given to no other",
            operands: [directory, Operand(name: "NAME", help: "as it was added")], options: [CommandSpec.json]),
        CommandSpec(
            path: ["channel", "add"], summary: "name a channel at the centre, and write its token to a file",
            operands: [directory, Operand(name: "NAME", help: "[a-z0-9-]{1,32}")],
            options: [
                Option(name: "kind", value: "KIND", help: "voice, chat or form"),
                Option(name: "token-file", value: "FILE", help: "where to write the token; it is shown nowhere else"),
                CommandSpec.json,
            ]),
        CommandSpec(
            path: ["appeal", "submit"], summary: "hand in an appeal, as a channel",
            options: desk + [
                Option(name: "organisation", value: "ORG", help: "the participant"),
                Option(name: "subject", value: "NN", help: "the citizen's subject"),
                Option(name: "topic", value: "TOPIC", help: "if it is known"),
                Option(name: "text", value: "TEXT", help: "what the citizen says"),
            ]),
        CommandSpec(
            path: ["appeal", "show"], summary: "show an appeal with its history", operands: [appeal], options: desk),
        CommandSpec(
            path: ["appeal", "list"], summary: "list the appeals that you hold", options: desk),
        CommandSpec(
            path: ["appeal", "trace"], summary: "say where an appeal is, from a node's own store",
            operands: [directory, appeal], options: [CommandSpec.json]),
        CommandSpec(
            path: ["queue", "list"], summary: "list what waits at your desk, first what is due first", options: desk),
        CommandSpec(
            path: ["queue", "claim"], summary: "claim an appeal, or the first that waits",
            operands: [Operand(name: "ID", help: "the appeal", isOptional: true)], options: desk),
        CommandSpec(
            path: ["queue", "release"], summary: "give an appeal back to its queue", operands: [appeal],
            options: desk + [claim]),
        CommandSpec(
            path: ["queue", "answer"], summary: "the citizen has the answer", operands: [appeal],
            options: desk + [
                claim, Option(name: "text", value: "TEXT", help: "the answer"),
                Option(name: "delivery", value: "HOW", help: "call or letter"),
            ]),
        CommandSpec(
            path: ["queue", "pass"], summary: "pass an appeal from line 2 of MSE to line 2.1 in the citizen's subject",
            operands: [appeal], options: desk + [claim]),
        CommandSpec(
            path: ["queue", "return"], summary: "give an appeal back to the first line", operands: [appeal],
            options: desk + [claim, Option(name: "code", value: "CODE", help: "why")]),
        CommandSpec(
            path: ["knowledge", "import"], summary: "take entries from a file as drafts, at the centre",
            operands: [directory, Operand(name: "FILE", help: "JSON: a list of entries")], options: [CommandSpec.json]),
        CommandSpec(
            path: ["knowledge", "publish"], summary: "publish all drafts to every node, from the centre",
            operands: [directory], options: [CommandSpec.json]),
        CommandSpec(
            path: ["knowledge", "show"], summary: "show the newest revision of an entry that a node knows",
            operands: [directory, Operand(name: "ID", help: "the entry")], options: [CommandSpec.json]),
        CommandSpec(
            path: ["backup", "create"], summary: "copy a running node's store, and read the copy through",
            operands: [directory, Operand(name: "BACKUP", help: "a new folder, written by the node")],
            options: [CommandSpec.json]),
        CommandSpec(
            path: ["backup", "restore"], summary: "put a backup in the place of a stopped node's store, as a new life",
            operands: [directory, Operand(name: "BACKUP", help: "what backup create has made")],
            options: [reason, CommandSpec.json]),
        CommandSpec(
            path: ["quarantine", "list"], summary: "list messages that are kept undecided, here and elsewhere",
            operands: [directory], options: [CommandSpec.json]),
        CommandSpec(
            path: ["quarantine", "show"], summary: "show one of them, without what is in it",
            operands: [directory, quarantined], options: [CommandSpec.json]),
        CommandSpec(
            path: ["quarantine", "release"], summary: "apply it after all, under its own id, and tell its origin",
            operands: [directory, quarantined], options: [reason, CommandSpec.json]),
        CommandSpec(
            path: ["quarantine", "return"], summary: "refuse it: what it carried is its origin's again",
            operands: [directory, quarantined], options: [reason, CommandSpec.json]),
        CommandSpec(
            path: ["gap", "list"], summary: "list what a store that was put back still misses, and what is lost",
            operands: [directory], options: [CommandSpec.json]),
        CommandSpec(
            path: ["gap", "give-up"], summary: "wait no longer for an origin that will never answer: it is lost",
            operands: [directory, Operand(name: "ORIGIN", help: "whose messages are missing")],
            options: [reason, CommandSpec.json]),
        CommandSpec(
            path: ["outbox", "list"], summary: "list what a node keeps for others, by destination and lane",
            operands: [directory], options: [CommandSpec.json]),
        CommandSpec(
            path: ["store", "stat"], summary: "say what a running node's store holds, table by table",
            operands: [directory], options: [CommandSpec.json]),
        CommandSpec(
            path: ["store", "verify"],
            summary: "read a store through, beside its node or alone: is every row what was written?",
            operands: [directory],
            options: [CommandSpec.json, Option(name: "with-parent", help: "end when the process that started it ends")]),
        CommandSpec(
            path: ["generate", "knowledge"], summary: "print synthetic entries, for knowledge import",
            options: [Option(name: "count", value: "N", help: "how many; 2000 unless told"), CommandSpec.json]),
        CommandSpec(
            path: ["generate", "appeals"], summary: "print synthetic appeals, as channels hand them in",
            options: [
                Option(name: "count", value: "N", help: "how many; 100 unless told"),
                Option(name: "seed", value: "N", help: "what they are drawn from; 1 unless told"),
                Option(name: "personal", help: "plant personal data, of nobody, in 18 of 100"), CommandSpec.json,
            ]),
        CommandSpec(
            path: ["generate", "stock"],
            summary:
                "fill the store of a stopped centre with closed and waiting appeals, for measuring, and count them",
            operands: [directory],
            options: [
                Option(name: "closed", value: "N", help: "closed appeals of the past; 2000000 unless told"),
                Option(name: "queued", value: "N", help: "appeals that wait since now; 100000 unless told"),
                Option(name: "seed", value: "N", help: "what they are drawn from; 1 unless told"), CommandSpec.json,
            ]),
        CommandSpec(
            path: ["demo"], summary: "run a small federation on this machine, break it, and count",
            options: [
                Option(
                    name: "nodes", value: "N",
                    help: "10 unless told; 103: the centre, 89 subjects and 13 competence centres, each a process"),
                Option(name: "appeals", value: "N", help: "how many; 5000 unless told"),
                Option(
                    name: "load", value: "LOAD",
                    help: "burst: 800 appeals within 10 s; day: 30000 as in a day, within 10 minutes; nothing is broken"
                ),
                Option(
                    name: "previous", value: "EKC",
                    help:
                        "another release's binary: every node begins with it, and is changed to this one under load, and back"
                ),
                Option(name: "seed", value: "N", help: "what the appeals are drawn from; 1 unless told"),
                Option(name: "entries", value: "N", help: "knowledge entries; 2000 unless told, 30000 with 103 nodes"),
                Option(
                    name: "directory", value: "DIR",
                    help: "where to build it, new or empty; it stays. Unless told: under /tmp, and removed at the end"),
                Option(name: "keep", help: "leave the folder under /tmp too; what goes wrong leaves it as well"),
                Option(name: "serve", help: "go on running after the ledger, until Ctrl-C"),
                Option(name: "recount", help: "count the stores in DIR again, against what was asked; start nothing"),
                CommandSpec.json,
            ]),
    ]

    /// Runs a command line. Returns the exit code: 0 done, 1 failed, 2 somebody would lose something, 64 usage.
    static func run(_ arguments: [String]) -> Int32 {
        if arguments == ["--version"] {
            Output.line(Release.words)
            return 0
        }
        do {
            switch try CommandParser(specs: specs).parse(arguments) {
            case .help(let text):
                Output.line(text)
                return 0
            case .run(let command):
                do { return try perform(command) } catch let error as FederationError {
                    throw placed(error, command)
                }
            }
        } catch let error as UsageError {
            Output.error("ekc: \(error.message)\n  remedy: \(error.remedy)")
            return 64
        } catch {
            Output.error("ekc: \(error)")
            return 1
        }
    }

    /// A remedy for the folder of the command names it, not `DIR`.
    private static func placed(_ error: FederationError, _ command: ParsedCommand) -> FederationError {
        let operands = specs.first { $0.path == command.path }?.operands ?? []
        guard let index = operands.firstIndex(where: { $0.name == "DIR" }), index < command.operands.count else {
            return error
        }
        var placed = error
        placed.remedy = error.remedy.replacing(/\bDIR\b/, with: command.operands[index])
        return placed
    }

    private static func perform(_ command: ParsedCommand) throws -> Int32 {
        switch command.path {
        case ["authority", "init"]: return try KeyCommands.authorityInit(command)
        case ["authority", "issue"]: return try KeyCommands.authorityIssue(command)
        case ["node", "init"]: return try KeyCommands.nodeInit(command)
        case ["node", "run"]: return try NodeService.run(command)
        case ["node", "status"]: return try NodeCommands.status(command)
        case ["topology", "check"]: return try TopologyCommands.check(command)
        case ["topology", "upgrade"]: return try TopologyCommands.upgrade(command)
        case ["topology", "routes"]: return try TopologyCommands.routes(command)
        case ["link", "probe"]: return try NodeCommands.probe(command)
        case ["operator", "add"]: return try AccountCommands.addOperator(command)
        case ["operator", "list"]: return try AccountCommands.listOperators(command)
        case ["operator", "remove"], ["channel", "remove"]: return try AccountCommands.remove(command)
        case ["channel", "add"]: return try AccountCommands.addChannel(command)
        case ["appeal", "submit"]: return try DeskCommands.submit(command)
        case ["appeal", "show"]: return try DeskCommands.show(command)
        case ["appeal", "list"], ["queue", "list"]: return try DeskCommands.list(command)
        case ["appeal", "trace"]: return try DeskCommands.trace(command)
        case ["queue", "claim"]: return try DeskCommands.claim(command)
        case ["queue", "release"], ["queue", "answer"], ["queue", "pass"], ["queue", "return"]:
            return try DeskCommands.act(command)
        case ["knowledge", "import"]: return try KnowledgeCommands.importFile(command)
        case ["knowledge", "publish"]: return try KnowledgeCommands.publish(command)
        case ["knowledge", "show"]: return try KnowledgeCommands.show(command)
        case ["backup", "create"]: return try BackupCommands.create(command)
        case ["backup", "restore"]: return try BackupCommands.restore(command)
        case ["link", "list"]: return try LinkCommands.list(command)
        case ["link", "pause"]: return try LinkCommands.pause(command)
        case ["link", "resume"]: return try LinkCommands.resume(command)
        case ["outbox", "list"]: return try StoreCommands.outbox(command)
        case ["store", "verify"]: return try StoreCommands.verify(command)
        case ["store", "stat"]: return try StoreCommands.stat(command)
        case ["gap", "list"]: return try GapCommands.list(command)
        case ["gap", "give-up"]: return try GapCommands.giveUp(command)
        case ["quarantine", "list"]: return try QuarantineCommands.list(command)
        case ["quarantine", "show"]: return try QuarantineCommands.show(command)
        case ["quarantine", "release"], ["quarantine", "return"]: return try QuarantineCommands.decide(command)
        case ["generate", "knowledge"]: return try KnowledgeCommands.generate(command)
        case ["generate", "appeals"]: return try KnowledgeCommands.generateAppeals(command)
        case ["generate", "stock"]: return try StoreCommands.generateStock(command)
        case ["demo"]: return try Demo.run(command)
        default:
            if let exit = try operate(command) ?? trust(command) { return exit }
            throw UsageError(message: "this command is not there yet", remedy: "ekc --help lists all")
        }
    }
}

extension ParsedCommand {
    func required(_ option: String) throws(UsageError) -> String {
        guard let value = values[option] else {
            throw UsageError(
                message: "\(path.joined(separator: " ")) wants --\(option)",
                remedy: "ekc \(path.joined(separator: " ")) --help says what it is")
        }
        return value
    }

    /// Why somebody does it: kept, and shown to others.
    func reason() throws(UsageError) -> String {
        let reason = try required("reason")
        guard AdminAPI.Reason(reason: reason).isFit else {
            throw UsageError(
                message: "--reason is empty, longer than 255 bytes, or holds control characters",
                remedy: "say in a sentence why")
        }
        return reason
    }

    func number(_ option: String, _ range: ClosedRange<Int>, otherwise: Int) throws(UsageError) -> Int {
        guard let text = values[option] else { return otherwise }
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(
                message: "--\(option) \(text) is not a number of the range",
                remedy: "use \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}

/// Standard output and error, unbuffered, whole lines.
enum Output {
    static func line(_ text: String) { write(text, to: STDOUT_FILENO) }
    static func error(_ text: String) { write(text, to: STDERR_FILENO) }

    /// JSON with sorted keys. What is given here always can be encoded.
    static func encode(_ value: some Encodable) -> [UInt8] { (try? JSONBody.encode(value)) ?? Array("{}".utf8) }

    /// The text for people, or one line of JSON.
    static func print(_ command: ParsedCommand, _ value: some Encodable, _ text: @autoclosure () -> String) {
        line(command.json ? String(decoding: Output.encode(value), as: UTF8.self) : text())
    }

    private static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array((text + "\n").utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            written += count
        }
    }
}
