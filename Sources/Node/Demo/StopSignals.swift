import CLinux
import Glibc

/// TERM and INT do not end the demo at once: it asks whether one has come, and ends its nodes first.
enum StopSignals {
    private static let numbers = [SIGTERM, SIGINT]

    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        return set
    }

    /// Before the first thread starts: all that start later inherit the mask.
    static func block() {
        var set = set
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // Who does not listen any more, such as `| head`, is no reason to leave processes and a folder behind.
        signal(SIGPIPE, SIG_IGN)
    }

    /// It stays so: nothing takes them but `wait`.
    static var haveCome: Bool {
        var pending = sigset_t()
        sigpending(&pending)
        return numbers.contains { sigismember(&pending, $0) == 1 }
    }

    /// - Returns: whether one has come within so many seconds.
    static func wait(seconds: Int) -> Bool {
        var set = set
        var limit = timespec(tv_sec: seconds, tv_nsec: 0)
        return sigtimedwait(&set, nil, &limit) > 0
    }
}
