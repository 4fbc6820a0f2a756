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
            folder, tables: ContactCentreApplication.tables, log: { Log.write($0) },
            application: { _, _, _ in ContactCentreApplication() })
        let routes = AdminAPI(node).routes
        let admin = try HTTPServer(.unix(path: folder.adminSocket)) { routes.handle($0, $1) }
        node.start()
        Output.line(
            String(
                decoding: JSONBody.encode(Ready(node: node.id.text, link: node.links.port, admin: folder.adminSocket)),
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
            at: RFC3339.text(Clocks.wall()), event: event.code, peer: event.peer?.text, detail: event.detail)
        Output.error(String(decoding: JSONBody.encode(line), as: UTF8.self))
    }
}

/// Instants in JSON: RFC 3339 with three decimals and `Z`.
enum RFC3339 {
    static func text(_ instant: Timestamp) -> String {
        let (day, rest) = instant.milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        let (days, milliseconds) = rest < 0 ? (day - 1, rest + 86_400_000) : (day, rest)
        // Days to a civil date, after Howard Hinnant's "chrono-compatible low-level date algorithms".
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, 2))"
        let time =
            "\(padded(milliseconds / 3_600_000, 2)):\(padded(milliseconds / 60_000 % 60, 2)):\(padded(milliseconds / 1000 % 60, 2))"
        return "\(date)T\(time).\(padded(milliseconds % 1000, 3))Z"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
