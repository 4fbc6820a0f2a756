import CLinux
import Foundation
import Glibc
import Testing

/// The binary at a terminal of its own, and somebody who types.
final class TypedTerminal {
    private let end: CInt
    private let pid: pid_t
    private(set) var seen = ""
    private var answered = ""

    init(_ arguments: [String]) throws {
        var (end, other) = (CInt(-1), CInt(-1))
        var place = [CChar](repeating: 0, count: 128)
        try #require(openpty(&end, &other, &place, nil, nil) == 0)
        for end in [end, other] { _ = clinux_fcntl_int(end, F_SETFD, FD_CLOEXEC) }
        defer { close(other) }
        self.end = end
        let name = String(decoding: place.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // The first terminal that the leader of a session opens is its own.
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, name, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let newSession = 0x80  // POSIX_SPAWN_SETSID
        posix_spawnattr_setflags(
            &attributes, Int16(Int(POSIX_SPAWN_SETSIGMASK) | Int(POSIX_SPAWN_SETSIGDEF) | newSession))
        var words: [UnsafeMutablePointer<CChar>?] = ([Binary.path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, Binary.path, &actions, &attributes, &words, environ) == 0)
        self.pid = pid
    }

    deinit {
        kill(pid, SIGKILL)
        var status: CInt = 0
        waitpid(pid, &status, 0)
        close(end)
    }

    /// Whether what is typed would be shown.
    var isShowing: Bool {
        var state = termios()
        return tcgetattr(end, &state) == 0 && state.c_lflag & tcflag_t(ECHO) != 0
    }

    /// Waits for a question, and types.
    func answer(_ question: String, _ text: String, line: String = "\n") throws {
        try #require(read(until: { $0.contains(question) }), "\"\(question)\" was not asked: \(seen)")
        // What was asked before this is done with.
        if let range = answered.range(of: question) { answered.removeSubrange(..<range.upperBound) }
        let bytes = Array((text + line).utf8)
        try #require(write(end, bytes, bytes.count) == bytes.count)
    }

    /// Its exit code, or 128 and the signal.
    func finish() throws -> Int32 {
        _ = read(until: { _ in false })
        var status: CInt = 0
        let isOver = (0..<500).contains { _ in
            if waitpid(pid, &status, WNOHANG) == pid { return true }
            usleep(20_000)
            return false
        }
        try #require(isOver, "it does not end: \(seen)")
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
    }

    /// - Returns: false when it has ended, or says nothing for ten seconds.
    private func read(until holds: (String) -> Bool) -> Bool {
        while !holds(answered) {
            var wanted = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
            guard poll(&wanted, 1, 10_000) > 0 else { return false }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = Glibc.read(end, &buffer, buffer.count)
            guard count > 0 else { return false }
            // A terminal ends its lines with two characters.
            let text = String(decoding: buffer[..<count].filter { $0 != 0x0D }, as: UTF8.self)
            seen += text
            answered += text
        }
        return true
    }
}
