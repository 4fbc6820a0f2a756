import CLinux
import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// One node of the demo: a process of this same binary, started, killed and started again.
final class DemoProcess {
    let folder: NodeFolder
    /// The binary that it runs: this one, or another release's.
    var program = DemoProcess.own
    private var pid: pid_t = 0
    private(set) var ready: NodeService.Ready?

    static let own = "/proc/self/exe"

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
        let words = [program, "node", "run", folder.path, "--with-parent"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let status = posix_spawn(&pid, program, &actions, nil, &arguments, environ)
        close(ends[1])
        defer { close(ends[0]) }
        guard status == 0 else { throw failed(String(cString: strerror(status))) }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 0x0A { line.append(byte) }
        guard let ready = try? JSONDecoder().decode(NodeService.Ready.self, from: Data(line)) else {
            kill()
            throw failed("it ended before it was ready; \(endOfLog)")
        }
        self.ready = ready
    }

    /// SIGKILL: nothing is said, nothing is written.
    func kill() {
        guard pid > 0 else { return }
        Glibc.kill(pid, SIGKILL)
        var status: CInt = 0
        waitpid(pid, &status, 0)
        pid = 0
    }

    /// TERM, and waits; not for ever for one that does not listen.
    func stop() {
        guard pid > 0 else { return }
        Glibc.kill(pid, SIGTERM)
        let deadline = Clocks.monotonicMicroseconds() + 10_000_000
        while death() == nil, Clocks.monotonicMicroseconds() < deadline { usleep(5000) }
        kill()
    }

    /// How it ended, when it has ended by itself; said once.
    func death() -> String? {
        var status: CInt = 0
        guard pid > 0, waitpid(pid, &status, WNOHANG) == pid else { return nil }
        pid = 0
        return status & 0x7F == 0 ? "exit code \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
    }

    /// Where its log is and what it says last.
    var endOfLog: String {
        let path = folder.path + "/log"
        let bytes = (try? Files.read(path, maximum: 1 << 30)) ?? []
        let lines = String(decoding: bytes.suffix(8192), as: UTF8.self).split(separator: "\n").suffix(5)
        return (["the end of \(path):"] + lines).joined(separator: "\n    ")
    }

    func readStore(whole: Bool = false) throws -> DemoStore {
        try DemoStore(folder: folder.storeFolder, whole: whole)
    }

    private func failed(_ why: String) -> FederationError {
        FederationError(
            "demo-node-failed", "\(folder.path): \(why)", remedy: "put right what it says, and run the demo again")
    }
}
