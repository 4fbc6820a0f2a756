import CLinux
import Glibc
import Testing

/// The built binary, as users run it.
enum Binary {
    /// Beside the test bundle, whatever the configuration.
    static var path: String {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? ""
        return bundle.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/ekc"
    }

    /// Runs it to its end. Its standard error goes where the tests' goes, unless a file is named for it.
    static func run(_ arguments: [String], errors: String? = nil) throws -> (exit: Int32, output: String) {
        try start(arguments, errors: errors).finish()
    }

    /// One that runs.
    struct Running {
        var pid: pid_t
        fileprivate var output: CInt

        /// The next line on standard output.
        func line() -> String {
            var said: [UInt8] = []
            var byte: UInt8 = 0
            while read(output, &byte, 1) == 1, byte != 0x0A { said.append(byte) }
            return String(decoding: said, as: UTF8.self)
        }

        /// Its exit code, or 128 and the signal, and what it said on standard output.
        func finish() -> (exit: Int32, output: String) {
            var said: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while case let count = read(output, &buffer, buffer.count), count > 0 { said += buffer[..<count] }
            close(output)
            var status: CInt = 0
            waitpid(pid, &status, 0)
            return (
                status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F, String(decoding: said, as: UTF8.self)
            )
        }
    }

    /// - Parameter limit: how many files it may open; nil: as many as this process.
    static func start(_ arguments: [String], errors: String? = nil, limit: Int? = nil) throws -> Running {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        for end in ends { _ = clinux_fcntl_int(end, F_SETFD, FD_CLOEXEC) }
        if let errors {
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        }
        // As from a shell: a thread of the test's pool has its signals blocked, and a child inherits that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let limited = limit.map { ["/bin/sh", "-c", "ulimit -n \($0); exec \"$0\" \"$@\""] } ?? []
        var words: [UnsafeMutablePointer<CChar>?] = (limited + [path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let program = limited.first ?? path
        try #require(
            posix_spawn(&pid, program, &actions, &attributes, &words, environ) == 0, "\(path) cannot be started")
        close(ends[1])
        return Running(pid: pid, output: ends[0])
    }
}
