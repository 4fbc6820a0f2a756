import CLinux
import Federation
import Glibc

/// A token or a security module behind any command: it is given the bytes to sign as its standard input, a file, and prints
/// the signature in hex: of Ed25519 64 bytes, of ECDSA in DER.
enum SignatureCommand {
    /// For whoever types a PIN.
    static let seconds: Int64 = 120
    private static let mostDigits = 4096

    /// - Parameter isAlone: it is a group of processes of its own, and all of it ends in time. At a terminal it stays where it may
    ///   ask for a PIN, and Ctrl-C ends all of it.
    static func sign(
        _ proposal: inout Proposal, _ words: String, seconds: Int64 = seconds, isAlone: Bool = !Terminal.isThere
    ) throws(FederationError) -> (roles: [String], person: String) {
        var signed: [String] = []
        var person: String?
        for role in try proposal.unsigned() {
            guard let text = proposal.roles[role] else { continue }
            let signature = try run(words, on: text.canonical, seconds: seconds, isAlone)
            if let key = try proposal.accept(signature, for: role) {
                signed.append(role)
                person = key.person
            }
        }
        guard let person else {
            throw FederationError(
                "key-unknown", "no signature of the command is one that is missing",
                remedy: "ekc topology status says whose are; is it the right token, and does it sign what it is given?")
        }
        return (signed, person)
    }

    /// - Throws: `signer-failed`.
    private static func run(
        _ words: String, on bytes: [UInt8], seconds: Int64, _ isAlone: Bool
    ) throws(FederationError) -> [UInt8] {
        let output = try spawn(words, bytes, seconds: seconds, isAlone)
        let digits = String(decoding: output, as: UTF8.self).filter { !$0.isWhitespace && $0 != ":" }
        guard !digits.isEmpty, let signature = Hex.decode(digits, count: digits.utf8.count / 2) else {
            throw failed("it printed no signature in hex")
        }
        return signature
    }

    private static func failed(_ why: String) -> FederationError {
        FederationError(
            "signer-failed", "the command: \(why)",
            remedy: "try it by hand: bytes on its standard input, a signature in hex on its standard output")
    }

    private static func spawn(
        _ words: String, _ bytes: [UInt8], seconds: Int64, _ isAlone: Bool
    ) throws(FederationError) -> [UInt8] {
        // A file that has no name any more: a tool may ask for its length, and read it as often as it likes.
        var place = Array("/tmp/ekc-sign-XXXXXX".utf8CString)
        let input = mkstemp(&place)
        guard input >= 0 else { throw failed("no temporary file for its input") }
        defer { close(input) }
        unlink(place)
        guard bytes.withUnsafeBytes({ write(input, $0.baseAddress, $0.count) }) == bytes.count,
            lseek(input, 0, SEEK_SET) == 0
        else { throw failed("its input cannot be written") }
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw failed("no pipe for its output") }
        for end in ends { _ = clinux_fcntl_int(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        if isAlone { posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP)) }
        let line = ["/bin/sh", "-c", words]
        var arguments: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, "/bin/sh", &actions, &attributes, &arguments, environ)
        close(ends[1])
        guard status == 0 else { throw failed(String(cString: strerror(status))) }
        return try collect(
            from: ends[0], of: pid, ending: isAlone ? -pid : pid,
            until: Clocks.monotonicMicroseconds() + seconds * 1_000_000)
    }

    private static func collect(from end: CInt, of pid: pid_t, ending whole: pid_t, until deadline: Int64)
        throws(FederationError) -> [UInt8]
    {
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var wanted = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
            let left = deadline - Clocks.monotonicMicroseconds()
            let isReady = left > 0 && poll(&wanted, 1, CInt(left / 1000) + 1) > 0
            let count = isReady ? read(end, &buffer, buffer.count) : -1
            guard count >= 0, output.count <= mostDigits else {
                kill(whole, SIGKILL)
                var status: CInt = 0
                waitpid(pid, &status, 0)
                throw failed(isReady ? "it prints more than a signature" : "no signature within its time")
            }
            if count == 0 { break }
            output += buffer[..<count]
        }
        // It may have closed its output and go on.
        var status: CInt = 0
        while waitpid(pid, &status, WNOHANG) == 0 {
            guard Clocks.monotonicMicroseconds() < deadline else {
                kill(whole, SIGKILL)
                waitpid(pid, &status, 0)
                throw failed("it does not end")
            }
            usleep(10_000)
        }
        guard status == 0 else {
            throw failed("it ended with \(status & 0x7F == 0 ? "code \(status >> 8 & 0xFF)" : "a signal")")
        }
        return output
    }
}
