import Glibc
import Synchronization

/// A thread that sleeps until the nearest deadline; with none set it does not wake at all.
final class HTTPClock: Sendable {
    private struct State {
        var next: ContinuousClock.Instant?
        var isStopped = false
        var thread: pthread_t?
    }

    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    /// Sees to it that the clock's work runs at this time or before.
    func look(at instant: ContinuousClock.Instant) {
        let isEarlier = state.withLock { state in
            if let next = state.next, next <= instant { return false }
            state.next = instant
            return true
        }
        if isEarlier { wakeUp.wake() }
    }

    /// - Parameter work: called on the clock's thread; returns when to be called again, nil for when asked.
    func start(_ work: @escaping @Sendable (ContinuousClock.Instant) -> ContinuousClock.Instant?) {
        let body = Unmanaged.passRetained(ThreadBody { [self] in run(work) })
        var thread = pthread_t()
        let status = pthread_create(&thread, nil, runThreadBody, body.toOpaque())
        precondition(status == 0, "no thread for the HTTP clock: raise the limit of processes")
        state.withLock { $0.thread = thread }
    }

    /// Ends the thread and waits for it.
    func stop() {
        let thread = state.withLock { state in
            state.isStopped = true
            return state.thread.take()
        }
        wakeUp.wake()
        if let thread { pthread_join(thread, nil) }
    }

    private func run(_ work: @Sendable (ContinuousClock.Instant) -> ContinuousClock.Instant?) {
        while true {
            let (next, isStopped) = state.withLock { ($0.next, $0.isStopped) }
            if isStopped { return }
            let now = ContinuousClock.now
            if let next, next <= now {
                state.withLock { $0.next = nil }  // what is set during the work counts
                if let again = work(now) { look(at: again) }
            } else {
                wakeUp.wait(atMost: next.map { $0 - now })
            }
        }
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runThreadBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
