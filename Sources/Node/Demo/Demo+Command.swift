import CLinux
import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// The command: where the demo is built, whether it goes on, and counting a kept one again.
extension Demo {
    static func run(_ command: ParsedCommand) throws -> Int32 {
        if command.flags.contains("recount") { return try recount(command) }
        StopSignals.block()
        let nodes = try command.number("nodes", 1...1000, otherwise: 10)
        let load = command.values["load"].flatMap(SampleArrivals.Load.init)
        guard (command.values["load"] == nil) == (load == nil) else {
            throw UsageError(message: "--load is burst or day", remedy: "name one of the two")
        }
        guard let scheme = DemoScheme.of(nodes) else {
            throw UsageError(message: "--nodes is 10 or 103", remedy: "name one of the two")
        }
        var options = Options(
            nodes: nodes,
            appeals: try command.number("appeals", 10...1_000_000, otherwise: load?.count ?? 5000),
            entries: try command.number(
                "entries", 1...SampleKnowledge.most, otherwise: scheme.entries),
            load: load,
            previous: command.values["previous"],
            seed: UInt64(try command.number("seed", 0...Int.max, otherwise: 1)),
            directory: command.values["directory"] ?? "/tmp",
            // What somebody has named is not the demo's to delete.
            isKept: command.flags.contains("keep") || command.values["directory"] != nil,
            isServed: command.flags.contains("serve"))
        try require(options, scheme)
        options.directory = try folder(command)
        var demo = try Demo(options)
        do {
            let ledger = try demo.play()
            demo.show(ledger, command)
            if options.isServed { try demo.serve() }
            demo.end(isKept: options.isKept || !ledger.isClean)
            return ledger.isClean ? 0 : 1
        } catch {
            let cause = demo.cause(of: error)
            demo.end(isKept: options.isKept || !StopSignals.haveCome)
            throw cause
        }
    }

    private static func require(_ options: Options, _ scheme: DemoScheme) throws {
        let desks = try read(scheme.file(port: 0)).tenancies.count { $0.open }
        let needs = DemoNeeds(
            nodes: options.nodes, desks: desks, entries: options.entries, appeals: options.appeals)
        // A new folder is made in one that exists.
        let place = options.directory
        let parent = Files.exists(place) ? place : String(place[..<(place.lastIndex(of: "/") ?? place.startIndex)])
        let directory = parent.isEmpty ? place.hasPrefix("/") ? "/" : "." : parent
        try needs.require(DemoNeeds.machine(directory), in: directory)
    }

    /// That somebody wants it to stop, or that a node has died, comes before what followed from it.
    private func cause(of error: any Error) -> any Error {
        usleep(100_000)
        do { try checkNodes() } catch { return error }
        return error
    }

    /// Nobody is left running; of a play that went wrong the folder stays, for the logs.
    private func end(isKept: Bool) {
        robots.stop()
        for node in nodes.values { node.stop() }
        relay?.end()
        if isKept {
            Output.error("kept in \(options.directory)")
        } else {
            try? FileManager.default.removeItem(atPath: options.directory)
        }
    }

    /// Where the demo is built: what somebody else has there is not the demo's to fill or to delete.
    private static func folder(_ command: ParsedCommand) throws -> String {
        guard let directory = command.values["directory"] else { return try temporaryFolder() }
        if Files.exists(directory) {
            guard let inside = try? FileManager.default.contentsOfDirectory(atPath: directory), inside.isEmpty else {
                throw FederationError(
                    "directory-not-empty", "\(directory) is no empty folder", remedy: "name a new folder, or empty it")
            }
        } else {
            guard mkdir(directory, 0o700) == 0 else {
                throw FederationError(
                    "file-unwritable", "\(directory): \(String(cString: strerror(errno)))",
                    remedy: "name a folder whose parent exists and is writable")
            }
        }
        return directory
    }

    /// The ledger of a demo that was kept, from its journals and stores as they are now, against its record.
    private static func recount(_ command: ParsedCommand) throws -> Int32 {
        guard let directory = command.values["directory"] else {
            throw UsageError(message: "--recount wants --directory", remedy: "name the folder of a kept demo")
        }
        let record = try DemoRecord.read(from: directory)
        var demo = try Demo(
            Options(
                nodes: record.nodes, appeals: record.appeals, entries: record.entries, seed: record.seed,
                directory: directory,
                isKept: true, isServed: false))
        demo.record = record
        let ledger = try demo.ledger()
        demo.show(ledger, command)
        return ledger.isClean ? 0 : 1
    }

    /// The nodes go on, for whoever wants to look, until this process is told to stop.
    private func serve() throws {
        try Files.write(Output.encode(endpoints), to: options.directory + "/endpoints.json")
        Output.error(
            "\nserving from \(options.directory) until Ctrl-C; endpoints.json there says where, tokens are the .token files, "
                + "for curl -H @FILE\nevery node in one screen: ekc federation status "
                + "\(node(Demo.centre).folder.path) --watch")
        for name in nodes.keys.sorted() {
            guard let endpoint = endpoints[name] else { continue }
            Output.error(
                "  \(name): operators \(endpoint.operators)" + (endpoint.channels.map { ", channels \($0)" } ?? ""))
        }
        while !StopSignals.wait(seconds: 1) {
            for (name, node) in nodes.sorted(by: { $0.key < $1.key }) {
                guard let death = node.death() else { continue }
                Output.error("\(name) ended by itself (\(death)), the others go on; \(node.endOfLog)")
            }
        }
        Output.error("stopping")
    }

    /// Where a node listens for people and programs.
    private struct Endpoint: Encodable {
        var operators: String
        var channels: String?
    }

    private var endpoints: [String: Endpoint] {
        func address(_ port: UInt16) -> String { "http://127.0.0.1:\(port)/api/v1" }
        return nodes.compactMapValues { node in
            guard let ready = node.ready, let operators = ready.operators else { return nil }
            return Endpoint(operators: address(operators), channels: ready.channels.map(address))
        }
    }

    private static func temporaryFolder() throws -> String {
        var template = Array("/tmp/ekc-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw FederationError(
                "file-unwritable", "/tmp: \(String(cString: strerror(errno)))", remedy: "name --directory")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
