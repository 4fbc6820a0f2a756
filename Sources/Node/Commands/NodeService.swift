import CLinux
import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// The daemon: one node, its links and its listeners.
enum NodeService {
    static func run(_ command: ParsedCommand) throws -> Int32 {
        if command.flags.contains("with-parent") {
            _ = clinux_die_with_parent(SIGKILL)
            if getppid() == 1 { return 1 }
        }
        _ = clinux_set_undumpable()
        // Signals are waited for here and nowhere else: every thread that starts later inherits the mask.
        var stopSignals = sigset_t()
        sigemptyset(&stopSignals)
        for signal in [SIGTERM, SIGINT] { sigaddset(&stopSignals, signal) }
        pthread_sigmask(SIG_BLOCK, &stopSignals, nil)
        signal(SIGPIPE, SIG_IGN)

        let folder = NodeFolder(command.operands[0])
        let node = try FederationNode.open(
            folder, tables: ContactCentreTables.all, log: { Log.write($0) },
            application: { id, topology, outbox in
                ContactCentreApplication(
                    Desk(
                        node: id, centre: topology.centre ?? id, router: Router(topology), sender: outbox,
                        random: Random.id128))
            })
        let routes = AdminAPI(node).routes
        let admin = try HTTPServer(.unix(path: folder.adminSocket), handler: routes.handle)
        node.start()
        Output.line(
            String(
                decoding: Output.encode(Ready(node: node.id.text, link: node.links.port, admin: folder.adminSocket)),
                as: UTF8.self))
        var received: Int32 = 0
        sigwait(&stopSignals, &received)
        Log.write(LinkLoop.Event(code: "stopping", peer: nil, detail: "signal \(received)"))
        admin.stop()
        node.stop()
        return 0
    }

    /// The one line on standard output, once the node takes work.
    struct Ready: Codable {
        var event = "ready"
        var node: String
        /// The port on which links are accepted.
        var link: UInt16?
        var admin: String
    }
}

/// JSON lines on standard error, without personal data.
enum Log {
    private struct Line: Encodable {
        var at: String
        var event: String
        var peer: String?
        var detail: String
    }

    static func write(_ event: LinkLoop.Event) {
        let line = Line(
            at: Clocks.wall().rfc3339, event: event.code, peer: event.peer?.text, detail: event.detail)
        Output.error(String(decoding: Output.encode(line), as: UTF8.self))
    }
}
