import Federation
import Glibc

/// Debian's python3-jsonschema, run as a process of its own: whether a value fits a schema is not for our own code to say.
package enum ForeignValidator {
    package struct Case: Sendable {
        /// A pointer into the document: `#/components/schemas/Appeal`.
        package var schema: String
        /// As JSON.
        package var value: String

        package init(schema: String = "#", value: String) {
            self.schema = schema
            self.value = value
        }
    }

    private static var script: String {
        #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Foreign/validate.py"
    }

    /// - Returns: for each case what is wrong with it, as JSON; `[]` when nothing is.
    package static func faults(_ cases: [Case], in document: String) throws -> [String] {
        let folder = try TemporaryFolder()
        let lines = cases.map { "{\"schema\": \"\($0.schema)\", \"value\": \($0.value.replacing("\n", with: " "))}\n" }
        try Files.write(Array(lines.joined().utf8), to: folder.path + "/cases")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, folder.path + "/cases", O_RDONLY, 0)
        for (descriptor, name) in [(STDOUT_FILENO, "/answers"), (STDERR_FILENO, "/errors")] {
            posix_spawn_file_actions_addopen(
                &actions, descriptor, folder.path + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        }
        let words = ["/usr/bin/python3", "-B", script, document]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        guard posix_spawn(&pid, words[0], &actions, nil, &arguments, environ) == 0 else {
            throw FederationError("foreign-missing", "\(words[0]) cannot be started", remedy: "make setup")
        }
        var status: CInt = 0
        waitpid(pid, &status, 0)
        func read(_ name: String) throws -> String {
            String(decoding: try Files.read(folder.path + name, maximum: 64 << 20), as: UTF8.self)
        }
        let answers = try read("/answers").split(separator: "\n").map(String.init)
        guard status == 0, answers.count == cases.count else {
            throw FederationError(
                "foreign-failed", "validate.py: status \(status); \(try read("/errors").suffix(500))",
                remedy: "make setup installs python3-jsonschema")
        }
        return answers
    }
}
