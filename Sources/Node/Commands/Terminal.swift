import CLinux
import Federation
import Glibc

/// The person's terminal: what is shown there is in no log and in no file, and what is typed there need not be shown.
struct Terminal: ~Copyable {
    private let descriptor: CInt

    static var isThere: Bool { isatty(STDIN_FILENO) == 1 }

    /// - Throws: `no-terminal`.
    init() throws(FederationError) {
        descriptor = clinux_open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY, 0)
        guard descriptor >= 0 else {
            throw FederationError(
                "no-terminal", "there is no terminal to ask at",
                remedy: "give it with options; a passphrase from a descriptor: --passphrase-fd N")
        }
    }

    deinit { close(descriptor) }

    func say(_ text: String) { put(text + "\n") }

    /// Shows a passphrase; no copy of it is made.
    func show(_ secret: borrowing Secret) {
        secret.withBytes { bytes in
            let count = bytes.firstIndex(of: 0) ?? bytes.count
            _ = write(descriptor, bytes.baseAddress, count)
        }
        put("\n")
    }

    private func put(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(descriptor, bytes, bytes.count)
    }

    /// A line that the person types, shown.
    func ask(_ question: String) throws(FederationError) -> String {
        put(question + " ")
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while line.count < 4096 {
            guard Glibc.read(descriptor, &byte, 1) == 1 else { throw Terminal.interrupted }
            if byte == 0x0A { break }
            line.append(byte)
        }
        let text = String(decoding: line, as: UTF8.self)
        return String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }

    /// A line that is not shown, with a zero at its end. What interrupts it leaves the terminal as it was.
    func askSecretly(_ question: String) throws(FederationError) -> Secret {
        var before = termios()
        guard tcgetattr(descriptor, &before) == 0 else {
            throw FederationError("no-terminal", "the terminal does not hide what is typed", remedy: "use another one")
        }
        var hidden = before
        hidden.c_lflag &= ~tcflag_t(ECHO)
        let held = HeldSignals()
        tcsetattr(descriptor, TCSAFLUSH, &hidden)
        put(question + " ")
        let line = Secret.line(from: descriptor) { [descriptor] in HeldSignals.wait(for: descriptor) }
        tcsetattr(descriptor, TCSAFLUSH, &before)
        put("\n")
        // What has come meanwhile has its effect now.
        held.release()
        guard let line else { throw Terminal.interrupted }
        return line
    }

    private static var interrupted: FederationError {
        FederationError("interrupted", "nothing was typed to the end", remedy: "run it again")
    }
}

/// Signals that would end the process while the terminal hides what is typed: they wait until it shows it again.
private struct HeldSignals {
    private static let numbers = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP]
    private var before = sigset_t()

    init() {
        var held = sigset_t()
        sigemptyset(&held)
        for number in HeldSignals.numbers { sigaddset(&held, number) }
        sigprocmask(SIG_BLOCK, &held, &before)
    }

    func release() {
        var before = before
        sigprocmask(SIG_SETMASK, &before, nil)
    }

    /// Until something was typed.
    /// - Returns: false when a signal came first.
    static func wait(for descriptor: CInt) -> Bool {
        while true {
            var pending = sigset_t()
            sigpending(&pending)
            if numbers.contains(where: { sigismember(&pending, $0) == 1 }) { return false }
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&wanted, 1, 100) > 0 { return true }
        }
    }
}

extension Secret {
    /// A line from a descriptor, without its end, byte by byte: no buffer keeps a copy.
    /// - Parameter isThere: waits for the next byte; false: there will be none.
    /// - Returns: nil when it does not come to an end, or is longer than a passphrase may be.
    static func line(from descriptor: CInt, whenThere isThere: () -> Bool = { true }) -> Secret? {
        var secret = Secret(count: SigningKey.longestPassphrase + 2)
        var count = 0
        let isWhole = secret.withMutableBytes { bytes in
            guard let start = bytes.baseAddress else { return false }
            while count <= SigningKey.longestPassphrase {
                guard isThere() else { return false }
                let got = Glibc.read(descriptor, start + count, 1)
                guard got >= 0 else { return false }
                if got == 0 { return count > 0 }
                if bytes[count] == 0x0A {
                    bytes[count] = 0
                    return true
                }
                count += 1
            }
            return false
        }
        if isWhole { return secret }
        return nil
    }
}
