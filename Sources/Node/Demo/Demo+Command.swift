import CLinux
import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// The command: where the demo is built, whether it goes on, and counting a kept one again.
extension Demo {
    static func run(_ command: ParsedCommand) throws -> Int32 {
        let options = Options(
            appeals: try command.number("appeals", 10...1_000_000, otherwise: 5000),
            entries: try command.number("entries", 1...SampleKnowledge.most, otherwise: 2000),
            seed: UInt64(try command.number("seed", 0...Int.max, otherwise: 1)),
            directory: try folder(command), isKept: command.flags.contains("keep"),
            isServed: command.flags.contains("serve"))
        if command.flags.contains("recount") { return try recount(command, options) }
        let begun = Clocks.monotonicMicroseconds()
        var demo = try Demo(options)
        defer {
            demo.robots.stop()
            for node in demo.nodes.values { node.stop() }
            demo.relay?.end()
            if !options.isKept { try? FileManager.default.removeItem(atPath: options.directory) }
        }
        var ledger = try demo.play()
        ledger.seconds = Double((Clocks.monotonicMicroseconds() - begun) / 1000) / 1000
        Output.print(command, ledger, demo.words(ledger))
        if options.isKept { Output.error("kept in \(options.directory)") }
        if options.isServed { demo.serve() }
        return ledger.isClean && ledger.nodesConverged == ledger.nodes ? 0 : 1
    }

    /// Where the demo is built: what somebody else has there is not the demo's to fill or to delete.
    private static func folder(_ command: ParsedCommand) throws -> String {
        guard let directory = command.values["directory"] else {
            guard !command.flags.contains("recount") else {
                throw UsageError(message: "--recount wants --directory", remedy: "name the folder of a kept demo")
            }
            return try temporaryFolder()
        }
        if command.flags.contains("recount") { return directory }
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

    /// The ledger of a demo that was kept, from its journals and stores as they are now.
    private static func recount(_ command: ParsedCommand, _ options: Options) throws -> Int32 {
        guard Files.exists(options.directory + "/centre/store") else {
            throw FederationError(
                "no-demo", "\(options.directory) holds no kept demo",
                remedy: "run ekc demo --keep --directory DIR first")
        }
        let demo = try Demo(options)
        let ledger = try demo.ledger()
        Output.print(command, ledger, demo.words(ledger))
        return ledger.isClean ? 0 : 1
    }

    /// The nodes go on, for whoever wants to look, until this process is told to stop.
    private func serve() {
        Output.error(
            "\nserving from \(options.directory) until Ctrl-C; tokens are the .token files there, for curl -H @FILE")
        for name in nodes.keys.sorted() {
            guard let ready = node(name).ready else { continue }
            let channels = ready.channels.map { ", channels http://127.0.0.1:\($0)/api/v1" } ?? ""
            Output.error("  \(name): operators http://127.0.0.1:\(ready.operators ?? 0)/api/v1\(channels)")
        }
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var received: CInt = 0
        sigwait(&signals, &received)
        Output.error("stopping")
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
