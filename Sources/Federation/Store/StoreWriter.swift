/// The one thread that writes. It takes whatever waits, at most 256 records or 2 ms of work, and commits it as
/// one group; it never waits for more to come.
package final class StoreWriter: Sendable {
    private struct State {
        var urgent: [WriteJob] = []
        var lazy: [WriteJob] = []
        var stopping = false
        var finished = false
    }

    package static let maximumRecords = 256
    private let engine: any StorageEngine
    private let limits: StoreLimits
    private let rooms: RoomLedger
    private let health: StoreHealth
    private let clock: @Sendable () -> Timestamp
    private let state: Monitor<State>
    private let observer: @Sendable (CommitReport) -> Void
    private let commitFailed: @Sendable (StoreError) -> Never

    /// - Parameters:
    ///   - rooms: what the rooms hold now.
    ///   - observer: told on the writer's thread what each durable commit changed, before its submitters are.
    ///   - commitFailed: a failed commit leaves it unknown what is durable: the process must end.
    package init(
        engine: any StorageEngine, limits: StoreLimits, rooms: RoomLedger,
        health: StoreHealth = StoreHealth(directory: nil),
        clock: @escaping @Sendable () -> Timestamp,
        observer: @escaping @Sendable (CommitReport) -> Void = { _ in },
        commitFailed: @escaping @Sendable (StoreError) -> Never
    ) {
        self.engine = engine
        self.limits = limits
        self.rooms = rooms
        self.health = health
        self.clock = clock
        self.observer = observer
        self.commitFailed = commitFailed
        state = Monitor(State())
        Threads.start("store-writer") { self.run() }
    }

    /// Queues jobs at once, so that one commit can take them together. Completions run on the writer's thread.
    package func submit(_ jobs: [WriteJob]) {
        let refused = state.change { state in
            if state.stopping { return true }
            state.urgent.append(contentsOf: jobs)
            return false
        }
        guard refused else { return }
        for job in jobs { job.completion(.failure(StoreError.stopping)) }
    }

    /// Queues a job that no one waits for: it goes with the next commit, or when `flush` is called.
    package func submitLazily(_ job: WriteJob) {
        state.changeQuietly { $0.lazy.append(job) }
    }

    /// Makes a commit of the lazy jobs, if there are any.
    package func flush() {
        state.change { state in
            state.urgent.append(contentsOf: state.lazy)
            state.lazy = []
        }
    }

    /// Commits what waits, then ends the thread. Returns when it has ended.
    package func stop() {
        state.change { $0.stopping = true }
        state.wait(until: { $0.finished }, then: { _ in })
    }

    private func run() {
        while true {
            let jobs = state.wait(until: { !$0.urgent.isEmpty || $0.stopping }, then: StoreWriter.nextGroup)
            if jobs.isEmpty {
                state.change { $0.finished = true }
                return
            }
            commit(jobs)
        }
    }

    private static func nextGroup(_ state: inout State) -> [WriteJob] {
        var group: [WriteJob] = []
        var records = 0
        // Lazy ones are few and go along.
        state.urgent.append(contentsOf: state.lazy)
        state.lazy = []
        for job in state.urgent {
            guard group.isEmpty || records + job.records <= maximumRecords else { break }
            records += job.records
            group.append(job)
        }
        state.urgent.removeFirst(group.count)
        return group
    }

    private func commit(_ jobs: [WriteJob]) {
        if let refusal = health.refusal { return refuse(jobs, refusal) }
        do throws(StoreError) {
            let deadline = Clocks.monotonicMicroseconds() + limits.groupMicroseconds
            let reserve = limits.reserve > 0 ? try engine.keepReserve(limits.reserve) : 100
            let sealed = try GroupCommit.run(
                jobs, on: engine, quota: limits.quota, rooms: rooms, reserve: reserve, now: clock()
            ) {
                Clocks.monotonicMicroseconds() < deadline
            }
            if sealed.taken < jobs.count { state.change { $0.urgent.insert(contentsOf: jobs[sealed.taken...], at: 0) } }
            for case .failure(let error as StoreError) in sealed.outcomes.map(\.result) where error.code == .damaged {
                health.met(error)
            }
            observer(sealed.report)
            for outcome in sealed.outcomes { outcome.job.completion(outcome.result) }
        } catch {
            // What cannot be read back is damage, and nothing was written: LMDB says so before it changes what is in force.
            guard error.code == .damaged else { commitFailed(error) }
            health.met(error)
            refuse(jobs, health.refusal ?? error)
        }
    }

    private func refuse(_ jobs: [WriteJob], _ error: StoreError) {
        for job in jobs { job.completion(.failure(error)) }
    }
}

extension StoreError {
    static let stopping = StoreError(.stopping, "the node is stopping", remedy: "try again when it has started")
}
