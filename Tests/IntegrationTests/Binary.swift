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

    /// - Parameter path: of another build, unless it is the one beside the tests.
    static func start(_ arguments: [String], of path: String = path, errors: String? = nil) throws -> Running {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        if let errors {
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        }
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, path, &actions, nil, &words, environ) == 0, "\(path) cannot be started")
        close(ends[1])
        return Running(pid: pid, output: ends[0])
    }
}
