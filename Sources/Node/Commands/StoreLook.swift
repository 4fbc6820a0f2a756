import CLinux
import Federation
import FoundationEssentials
import Glibc

/// A look at the whole store, in a child process: `ekc store verify`. What a damaged file does to it is no harm to the node.
enum StoreLook {
    enum Outcome: Equatable {
        case sound(StoreReport)
        case damaged(StoreDamage)
        /// It could not look; why.
        case notDone(String)
    }

    /// As `store verify --json` prints it.
    struct Verified: Codable, Equatable {
        var report: StoreReport
        var damage: StoreDamage?
        var remedy: String?
    }

    /// It says something every second; a disk that gives nothing for so long is none.
    static let silenceMilliseconds: CInt = 120_000

    /// Blocks until the child has ended.
    /// - Parameter started: told its id.
    static func run(
        _ directory: String, executable: String = "/proc/self/exe", silence: CInt = silenceMilliseconds,
        started: (pid_t) -> Void = { _ in }
    ) -> Outcome {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { return .notDone("no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = clinux_fcntl_int(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_adddup2(&actions, ends[1], descriptor)
        }
        // The node waits for its signals; the child is to end by them.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let words = [executable, "store", "verify", directory, "--json", "--with-parent"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, executable, &actions, &attributes, &arguments, environ)
        close(ends[1])
        defer { close(ends[0]) }
        guard status == 0 else { return .notDone("\(executable): \(String(cString: strerror(status)))") }
        started(pid)
        let (output, isSilent) = listen(to: ends[0], silence)
        if isSilent { kill(pid, SIGKILL) }
        var ended: CInt = 0
        while waitpid(pid, &ended, 0) < 0, errno == EINTR {}
        return judge(ended, output, isSilent: isSilent)
    }

    private static func listen(to descriptor: CInt, _ silence: CInt) -> (output: [UInt8], isSilent: Bool) {
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watched, 1, silence)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return (output, true) }
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return (output, false) }
            output += buffer[..<count]
        }
    }

    /// What an ended child says of the store.
    static func judge(_ status: CInt, _ output: [UInt8], isSilent: Bool) -> Outcome {
        func died(_ how: String) -> Outcome {
            .damaged(
                StoreDamage(foundAt: Clocks.wall(), detail: "whoever reads all of it \(how)", unreadable: nil))
        }
        if isSilent { return died("comes to no end") }
        let signal = status & 0x7F
        if [SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP].contains(signal) {
            return died("dies by signal \(signal)")
        }
        let line = output.split(separator: 0x0A).last { $0.first == 0x7B }
        guard signal == 0, let line, let said = try? JSONDecoder().decode(Verified.self, from: Data(line)) else {
            return .notDone(
                "it ended by \(signal == 0 ? "exit code \(status >> 8 & 0xFF)" : "signal \(signal)"): "
                    + String(decoding: output.suffix(500), as: UTF8.self).filter { !$0.isNewline })
        }
        return said.damage.map { .damaged($0) } ?? .sound(said.report)
    }
}

/// Looks after a running node's store: after an end that was none it has it looked at, beside the node, and it hears of
/// damage that others have found.
final class StoreGuard: Sendable {
    private struct State {
        var stopping = false
        var finished = false
        var child: pid_t?
    }

    /// After a look that could not be had.
    private static let pauseMicroseconds: Int64 = 600_000_000
    /// A bit that flips while a store is used well is found by nobody else.
    private static let looksEverySeconds = 7 * 86_400

    private let node: FederationNode
    private let state = Monitor(State())

    init(_ node: FederationNode) {
        self.node = node
        Threads.start("store-guard") { self.run() }
    }

    func stop() {
        state.change { state in
            state.stopping = true
            if let child = state.child { kill(child, SIGKILL) }
        }
        state.wait(until: { $0.finished }, then: { _ in })
    }

    private func run() {
        var next: Int64 = 0
        repeat {
            node.store.health.look()
            // Whoever has looked from outside and was ended holds a snapshot, and with it every page given up since.
            node.store.engine.forgetReaders()
            guard node.store.mustBeVerified || isDue,
                Clocks.monotonicMicroseconds() >= next
            else { continue }
            next = Clocks.monotonicMicroseconds() + StoreGuard.pauseMicroseconds
            verify()
        } while state.wait(milliseconds: 1_000, until: { $0.stopping }, then: { _ in true }) == nil
        state.change { $0.finished = true }
    }

    /// When somebody has last looked at all of it: the file's time. A store that is new was just written.
    private var lookedFile: String { node.folder.storeFolder + "/verified" }

    private var isDue: Bool {
        guard node.store.health.damage == nil else { return false }
        var facts = stat()
        guard stat(lookedFile, &facts) == 0 else {
            try? Files.write([], to: lookedFile, mode: 0o600)
            return false
        }
        return time(nil) - facts.st_mtim.tv_sec > StoreGuard.looksEverySeconds
    }

    private func verify() {
        let why =
            node.store.mustBeVerified
            ? "the last process did not come to its end, or damage was met" : "nobody has looked for a week"
        tell("store-verify", "\(why): the store is read through")
        let outcome = StoreLook.run(node.folder.path) { pid in
            state.change { state in
                state.child = pid
                if state.stopping { kill(pid, SIGKILL) }
            }
        }
        let isStopping = state.change { state in
            state.child = nil
            return state.stopping
        }
        node.store.engine.forgetReaders()
        switch outcome {
        case .sound(let report):
            let rows = report.tables.reduce(0) { $0 + $1.rows }
            do {
                try node.store.verified()
                try Files.write([], to: lookedFile, mode: 0o600)
                tell("store-sound", "\(rows) rows on \(report.pages) pages are as they were written")
            } catch { tell("store-verify-failed", "\(error)") }
        case .damaged(let damage): node.store.health.found(damage)
        case .notDone(let why): if !isStopping { tell("store-verify-failed", why) }
        }
    }

    private func tell(_ code: String, _ detail: String) {
        Log.write(LinkLoop.Event(code: code, peer: nil, detail: detail))
    }
}
