import Federation
import Glibc

/// A script of Tests/Foreign, run as a process of its own and bounded in time.
package struct ForeignScript: Sendable {
    package enum Python: String, Sendable {
        /// Debian's, with Debian's packages.
        case debian = "/usr/bin/python3"
        /// That of `make setup`, with the pinned packages of Tests/Foreign/requirements.txt.
        case environment = "/.build/tools/python/bin/python"
    }

    package struct Answer: Sendable {
        package var exit: CInt
        package var output: String
        package var errors: String

        package var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    private let python: Python
    private let name: String

    package init(_ name: String, _ python: Python = .environment) {
        self.name = name
        self.python = python
    }

    private static let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()

    package static func path(of python: Python) -> String {
        python == .debian ? python.rawValue : root + python.rawValue
    }

    package static func path(of script: String) -> String { root + "/Tests/Foreign/" + script }

    /// - Parameters:
    ///   - input: a file for its standard input.
    ///   - seconds: after these it is stopped, and its exit is 124.
    /// - Throws: `foreign-missing` when it cannot be started.
    package func run(_ arguments: [String], input: String = "/dev/null", within seconds: Int = 60) throws -> Answer {
        let interpreter = ForeignScript.path(of: python)
        guard Files.exists(interpreter) else {
            throw FederationError("foreign-missing", "\(interpreter) is not there", remedy: "make setup")
        }
        let folder = try TemporaryFolder()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0)
        for (descriptor, name) in [(STDOUT_FILENO, "/output"), (STDERR_FILENO, "/errors")] {
            posix_spawn_file_actions_addopen(
                &actions, descriptor, folder.path + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        }
        let words =
            ["/usr/bin/timeout", "-k", "5", "\(seconds)", interpreter, "-B", ForeignScript.path(of: name)] + arguments
        var list: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for word in list { free(word) } }
        var pid: pid_t = 0
        guard posix_spawn(&pid, words[0], &actions, nil, &list, environ) == 0 else {
            throw FederationError("foreign-missing", "\(words[0]) cannot be started", remedy: "make setup")
        }
        var status: CInt = 0
        waitpid(pid, &status, 0)
        func read(_ name: String) throws -> String {
            String(decoding: try Files.read(folder.path + name, maximum: 64 << 20), as: UTF8.self)
        }
        return Answer(
            exit: status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F, output: try read("/output"),
            errors: try read("/errors"))
    }
}
