import CLinux
import Glibc

/// State behind a lock on which a thread can wait. On `pthread_mutex_t`: `Synchronization.Mutex` has no condition, and
/// gives false races under ThreadSanitizer on Linux.
package final class Monitor<State>: @unchecked Sendable {
    // Safe because: `state` is touched only between lock and unlock.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    package init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        // Clocks may be set; how long to wait may not change with them.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Changes the state and wakes whoever waits.
    @discardableResult
    package func change<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Changes the state and wakes nobody.
    @discardableResult
    package func changeQuietly<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Blocks the thread until `condition` holds, then runs `body` under the same lock. Never on a thread of Swift's
    /// cooperative pool.
    package func wait<Result>(
        until holds: (State) -> Bool, then body: (inout State) throws -> Result
    ) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !holds(state) { pthread_cond_wait(condition, mutex) }
        return try body(&state)
    }

    /// As `wait(until:then:)`, but nil when it does not hold within so many milliseconds.
    package func wait<Result>(
        milliseconds: Int, until holds: (State) -> Bool, then body: (inout State) throws -> Result
    ) rethrows -> Result? {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        deadline.tv_sec += milliseconds / 1000
        deadline.tv_nsec += milliseconds % 1000 * 1_000_000
        if deadline.tv_nsec >= 1_000_000_000 {
            deadline.tv_sec += 1
            deadline.tv_nsec -= 1_000_000_000
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !holds(state) {
            let timedOut = pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT
            if timedOut && !holds(state) { return nil }
        }
        return try body(&state)
    }
}

/// Threads of our own, for what blocks: never the cooperative pool.
package enum Threads {
    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    /// Starts a detached thread. Its name shows in `ps -L`; at most 15 bytes.
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let named = {
            clinux_name_thread(name)
            body()
        }
        let argument = Unmanaged.passRetained(Body(named)).toOpaque()
        let status = pthread_create(&thread, nil, threadMain, argument)
        precondition(status == 0, "pthread_create: \(status)")
        pthread_detach(thread)
    }

    fileprivate static func runBody(_ argument: UnsafeMutableRawPointer) {
        Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
    }
}

private func threadMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument { Threads.runBody(argument) }
    return nil
}
