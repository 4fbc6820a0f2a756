import CLinux
import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// One node of the demo: a process of this same binary, started, killed and started again.
final class DemoProcess {
    let folder: NodeFolder
    private var pid: pid_t = 0
    private(set) var ready: NodeService.Ready?

    init(_ folder: NodeFolder) { self.folder = folder }

    var isRunning: Bool { pid > 0 }

    /// Returns when the node has said that it is ready.
    func start() throws {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw failed("no pipe") }
        for end in ends { _ = clinux_fcntl_int(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addopen(
            &actions, STDERR_FILENO, folder.path + "/log", O_WRONLY | O_CREAT | O_APPEND, 0o640)
        let words = ["/proc/self/exe", "node", "run", folder.path, "--with-parent"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let status = posix_spawn(&pid, "/proc/self/exe", &actions, nil, &arguments, environ)
        close(ends[1])
        defer { close(ends[0]) }
        guard status == 0 else { throw failed(String(cString: strerror(status))) }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 0x0A { line.append(byte) }
        guard let ready = try? JSONDecoder().decode(NodeService.Ready.self, from: Data(line)) else {
            kill()
            throw failed("it ended before it was ready; see \(folder.path)/log")
        }
        self.ready = ready
    }

    /// SIGKILL: nothing is said, nothing is written.
    func kill() { end(SIGKILL) }

    /// TERM, and waits.
    func stop() { end(SIGTERM) }

    private func end(_ signal: CInt) {
        guard pid > 0 else { return }
        Glibc.kill(pid, signal)
        var status: CInt = 0
        waitpid(pid, &status, 0)
        pid = 0
    }

    /// What a store holds, read from outside, whatever the process says.
    struct Count {
        /// Probes that took effect here.
        var applied: UInt64 = 0
        /// Envelopes that this node keeps for others.
        var kept: UInt64 = 0
        /// The number of the last knowledge entry that was published or applied here.
        var knowledge: UInt64 = 0
        var appeals: [AppealRecord] = []
        var events: [AppealEventRecord] = []
        /// Appeals, once a row of the table.
        var queued: [AppealID] = []
        var citizens: [AppealID] = []
    }

    /// - Parameter whole: with every appeal and every event.
    func readStore(whole: Bool = false) throws -> Count {
        let tables = Table.exchange + ContactCentreTables.all
        let engine = try LMDBEngine(directory: folder.storeFolder, tables: tables, readOnly: true)
        defer { engine.close() }
        return try Store.read(engine) { transaction throws(StoreError) in
            var count = Count()
            count.applied = try transaction.number(Array("probes".utf8))
            for stream in try Sessions.streams(in: transaction) {
                if stream.id.destination == .everyone {
                    count.knowledge = max(count.knowledge, stream.row.last)
                } else {
                    count.kept += stream.row.last - stream.row.base
                }
            }
            guard whole else { return count }
            try transaction.scan(.appeals, from: []) { _, value in
                if let row = try? JSONDecoder().decode(AppealRecord.self, from: Data(Array(value))) {
                    count.appeals.append(row)
                }
                return true
            }
            try transaction.scan(.events, from: []) { _, value in
                if let row = try? JSONDecoder().decode(AppealEventRecord.self, from: Data(Array(value))) {
                    count.events.append(row)
                }
                return true
            }
            for (table, ids) in [(Table.queue, \Count.queued), (Table.citizens, \Count.citizens)] {
                try transaction.scan(table, from: []) { key, _ in
                    // Both keys end with the appeal's id.
                    var reader = ByteReader(Array(key).suffix(16))
                    if let bits = try? reader.id128() { count[keyPath: ids].append(AppealID(bits: bits)) }
                    return true
                }
            }
            return count
        }
    }

    private func failed(_ why: String) -> FederationError {
        FederationError("demo-node-failed", "\(folder.path): \(why)", remedy: "look at the node's log")
    }
}
