import CLinux
import Glibc

/// A wait with a time limit that another thread can end; a wake-up before the wait is not lost.
final class WakeUp: Sendable {
    private let descriptor: CInt

    init() {
        descriptor = eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK))
        precondition(descriptor >= 0, "no descriptor is left for a wake-up: raise the limit of open files")
    }

    func wake() { _ = eventfd_write(descriptor, 1) }

    /// - Parameter limit: nil waits until woken.
    func wait(atMost limit: Duration?) {
        var milliseconds: CInt = -1
        if let limit {
            let (seconds, attoseconds) = limit.components
            milliseconds = CInt(clamping: max(0, seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1))
        }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, milliseconds)
        var count: eventfd_t = 0
        _ = eventfd_read(descriptor, &count)
    }

    deinit { close(descriptor) }
}
