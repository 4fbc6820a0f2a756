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
        OpenFiles.raiseLimit()
        Allocator.keepLittle()
        _ = clinux_set_undumpable()
        // Signals are waited for here and nowhere else: every thread that starts later inherits the mask.
        var stopSignals = sigset_t()
        sigemptyset(&stopSignals)
        for signal in [SIGTERM, SIGINT] { sigaddset(&stopSignals, signal) }
        pthread_sigmask(SIG_BLOCK, &stopSignals, nil)
        signal(SIGPIPE, SIG_IGN)

        let service = try RunningNode(NodeFolder(command.operands[0]))
        Output.line(String(decoding: Output.encode(service.ready), as: UTF8.self))
        var received: Int32 = 0
        sigwait(&stopSignals, &received)
        Log.write(LinkLoop.Event(code: "stopping", peer: nil, detail: "signal \(received)"))
        service.stop()
        return 0
    }

    /// The one line on standard output, once the node takes work, or can say why it takes none.
    struct Ready: Codable {
        var event = "ready"
        var node: String
        /// The port on which links are accepted.
        var link: UInt16?
        var admin: String
        /// Ports of the operators' and the channels' listener, on loopback.
        var operators: UInt16?
        var channels: UInt16?
        /// Of `/metrics`, on loopback.
        var metrics: UInt16?
        /// What is wrong with its store.
        var damage: String?
    }
}

/// A node with its links and its listeners, in this process.
final class RunningNode {
    let node: FederationNode
    let ready: NodeService.Ready
    private let admin: HTTPServer
    private let backups = BackupDesk()
    private let operators: HTTPServer
    private let channels: HTTPServer?
    private let metrics: HTTPServer
    private let events: DeskEvents
    private let clock: DeskClock
    private let reporter: NodeReporter
    private let guardian: StoreGuard

    /// Opens the node's folder, binds what it listens on and starts its links.
    init(_ folder: NodeFolder) throws {
        RunningNode.lookFirst(folder)
        let made = Monitor<Desk<Outbox>?>(nil)
        node = try FederationNode.open(
            folder, tables: ContactCentreTables.all, log: { Log.write($0) },
            application: { id, inForce, outbox in
                let desk = Desk(
                    node: id, centre: inForce.current.centre ?? id, router: Router(following: inForce), sender: outbox,
                    random: Random.id128)
                made.change { $0 = desk }
                return ContactCentreApplication(desk)
            })
        guard let desk = made.changeQuietly({ $0 }) else { preconditionFailure("made while opening") }
        // Administrators hand in whole files, so that they are taken whole or not at all.
        var limits = HTTPLimits()
        limits.body = 64 << 20
        reporter = NodeReporter(node)
        admin = try HTTPServer(
            .unix(path: folder.adminSocket), limits: limits, handler: AdminAPI(node, reporter, backups).routes.handle)
        do { try RunningNode.begin(node, desk) } catch {
            // It has been told to the log; what can be read of it is shown.
            guard node.store.health.damage != nil else { throw error }
        }
        let door = DeskDoor(node: node, desk: desk)
        events = DeskEvents(node, desk)
        operators = try HTTPServer(
            .tcp(host: "127.0.0.1", port: node.settings.operatorsPort ?? 7411),
            handler: OperatorAPI(door: door, events: events).routes.handle)
        channels =
            node.topology.centre == node.id
            ? try HTTPServer(
                .tcp(host: "127.0.0.1", port: node.settings.publicPort ?? 7412),
                handler: PublicAPI(door: door).routes.handle)
            : nil
        metrics = try HTTPServer(
            .tcp(host: "127.0.0.1", port: node.settings.metricsPort ?? 7413),
            handler: MetricsAPI(node: node, reporter: reporter).routes.handle)
        clock = DeskClock(node, desk)
        node.start()
        guardian = StoreGuard(node)
        ready = NodeService.Ready(
            node: node.id.text, link: node.links.port, admin: folder.adminSocket, operators: operators.port,
            channels: channels?.port, metrics: metrics.port, damage: node.store.health.damage?.detail)
    }

    /// What a start does before work is taken.
    private static func begin(_ node: FederationNode, _ desk: Desk<Outbox>) throws {
        if let refusal = node.store.health.refusal { throw refusal }
        try node.store.write(.essential) { transaction in
            try desk.stepNumbers(in: transaction)
            try desk.renewClaims(in: transaction)
        }
        _ = try node.releaseParked()
        try node.askForGaps()
        try node.reconcile(desk)
    }

    /// A node that dies again and again may die of what is in its store: then it is looked at before it is opened.
    private static func lookFirst(_ folder: NodeFolder) {
        let mark = RunningMark(directory: folder.storeFolder)
        let unended = mark.unended
        guard unended >= 3, StoreHealth(directory: folder.storeFolder).damage == nil else { return }
        Log.write(
            LinkLoop.Event(
                code: "store-verify", peer: nil,
                detail: "\(unended) processes did not come to their end: the store is read through first"))
        switch StoreLook.run(folder.path) {
        case .sound: try? mark.clear()
        case .damaged(let damage): StoreHealth(directory: folder.storeFolder).found(damage)
        case .notDone(let why): Log.write(LinkLoop.Event(code: "store-verify-failed", peer: nil, detail: why))
        }
    }

    /// Answers what is under way, says good-bye to peers, and lets go of the folder.
    func stop() {
        events.stop()
        metrics.stop()
        channels?.stop()
        operators.stop()
        clock.stop()
        reporter.stop()
        guardian.stop()
        backups.stop()
        admin.stop()
        node.stop()
    }
}

/// JSON lines on standard error, without personal data.
enum Log {
    private struct Line: Encodable {
        var at: String
        var event: String
        var peer: String?
        var detail: String
        var count: Int?
    }

    static func write(_ event: LinkLoop.Event) {
        let line = Line(
            at: Clocks.wall().rfc3339, event: event.code, peer: event.peer?.text, detail: event.detail,
            count: event.count)
        Output.error(String(decoding: Output.encode(line), as: UTF8.self))
    }
}
