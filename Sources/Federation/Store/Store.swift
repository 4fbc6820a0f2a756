import CLinux
import Glibc

/// A node's store: one LMDB environment, one writer, any number of short readers.
package final class Store: Sendable {
    /// The format that this software writes. A newer one is refused as `store-newer`.
    package static let format: UInt64 = 1

    package let engine: any StorageEngine
    package let writer: StoreWriter
    /// All zero when the store is damaged so that it cannot be read.
    package let incarnation: Incarnation
    package let health: StoreHealth
    private let lock: StoreLock?
    private let mark: RunningMark?
    /// The last process that had it open did not come to its end, and nobody has looked since.
    private let owesLook: Monitor<Bool>
    /// Processes before this one that did not come to their end.
    private let unended: Int

    private init(
        engine: any StorageEngine, writer: StoreWriter, incarnation: Incarnation, health: StoreHealth, lock: StoreLock?,
        mark: RunningMark?, owesLook: Bool, unended: Int
    ) {
        self.unended = unended
        self.engine = engine
        self.writer = writer
        self.incarnation = incarnation
        self.health = health
        self.lock = lock
        self.mark = mark
        self.owesLook = Monitor(owesLook)
    }

    /// Opens the store in a folder, which is made when it is missing, and takes it for this process alone. One that is
    /// damaged opens too: then `health` says so, what can be read is read, and nothing is written.
    /// - Parameters:
    ///   - tables: the domain's tables, beside the exchange's own.
    ///   - newIncarnation: drawn for a store that is new.
    package static func open(
        directory: String, tables: [Table], limits: StoreLimits = StoreLimits(), newIncarnation: Incarnation,
        clock: @escaping @Sendable () -> Timestamp = Clocks.wall,
        observer: @escaping @Sendable (CommitReport) -> Void = { _ in },
        commitFailed: @escaping @Sendable (StoreError) -> Never = Store.endProcess,
        wayBack: @escaping @Sendable () -> String = { "stop the node and put a backup back: ekc backup restore" },
        damaged: @escaping @Sendable (StoreDamage) -> Void = { _ in }
    ) throws(StoreError) -> Store {
        if mkdir(directory, 0o700) != 0 && errno != EEXIST {
            throw StoreError(
                .unusable, "\(directory): \(String(cString: strerror(errno)))",
                remedy: "make its parent folder, owned and writable by the node's user")
        }
        let lock = try StoreLock(directory: directory)
        let health = StoreHealth(directory: directory, wayBack: wayBack, told: damaged)
        let mark = RunningMark(directory: directory)
        let unended = mark.unended
        do throws(FederationError) { try mark.set(unended + 1) } catch {
            throw StoreError(.unusable, error.detail, remedy: error.remedy)
        }
        var opened: LMDBEngine?
        do throws(StoreError) {
            if let refusal = health.refusal { throw refusal }
            let engine = try LMDBEngine(directory: directory, tables: Table.exchange + tables)
            opened = engine
            return try open(
                engine: engine, health: health, lock: lock, mark: mark, owesLook: unended > 0, limits: limits,
                newIncarnation: newIncarnation, clock: clock, observer: observer, commitFailed: commitFailed)
        } catch {
            opened?.close()
            guard error.code == .damaged else {
                // It was not opened: that is no end which was none.
                try? mark.set(unended)
                throw error
            }
            if let known = health.damage {
                damaged(known)
            } else {
                health.found(
                    StoreDamage(foundAt: clock(), detail: error.detail, unreadable: nil))
            }
            // Whoever has ended more than once while it was only read does not read it again.
            let mayRead = unended < 2 && (opened != nil || health.damage?.unreadable != nil)
            let reading =
                mayRead ? try? LMDBEngine(directory: directory, tables: Table.exchange + tables, readOnly: true) : nil
            return try open(
                DamagedEngine(reading, health), health, lock, mark, unended, limits: limits, clock: clock,
                commitFailed: commitFailed)
        }
    }

    private static func open(
        _ engine: DamagedEngine, _ health: StoreHealth, _ lock: StoreLock, _ mark: RunningMark, _ unended: Int,
        limits: StoreLimits, clock: @escaping @Sendable () -> Timestamp,
        commitFailed: @escaping @Sendable (StoreError) -> Never
    ) throws(StoreError) -> Store {
        let incarnation = try? Store.read(engine) { reader throws(StoreError) in
            try reader.get(.meta, MetaKey.incarnation).map { bytes throws(StoreError) in try Startup.read(bytes) }
        }
        let writer = StoreWriter(
            engine: engine, limits: limits, rooms: RoomLedger(limits: limits.rooms), health: health, clock: clock,
            commitFailed: commitFailed)
        return Store(
            engine: engine, writer: writer, incarnation: incarnation ?? Incarnation(bits: ID128(high: 0, low: 0)),
            health: health, lock: lock, mark: mark, owesLook: false, unended: unended)
    }

    /// The same over an engine that is open already.
    package static func open(
        engine: any StorageEngine, health: StoreHealth = StoreHealth(directory: nil), lock: StoreLock? = nil,
        mark: RunningMark? = nil, owesLook: Bool = false, limits: StoreLimits = StoreLimits(),
        newIncarnation: Incarnation,
        clock: @escaping @Sendable () -> Timestamp = Clocks.wall,
        observer: @escaping @Sendable (CommitReport) -> Void = { _ in },
        commitFailed: @escaping @Sendable (StoreError) -> Never = Store.endProcess
    ) throws(StoreError) -> Store {
        let incarnation = try Startup.run(on: engine, newIncarnation: newIncarnation, now: clock())
        let rooms = try Store.read(engine) { transaction throws(StoreError) in
            try RoomLedger(limits: limits.rooms, in: transaction)
        }
        let writer = StoreWriter(
            engine: engine, limits: limits, rooms: rooms, health: health, clock: clock, observer: observer,
            commitFailed: commitFailed)
        return Store(
            engine: engine, writer: writer, incarnation: incarnation, health: health, lock: lock, mark: mark,
            owesLook: owesLook, unended: 0)
    }

    // MARK: Whether it may be believed

    /// Somebody should look at all of it: `StoreVerifier`, in a process of its own.
    package var mustBeVerified: Bool {
        owesLook.changeQuietly { $0 } || health.damage.map { $0.isWhole != true } ?? false
    }

    /// What a look at a part has shown is reason to look at all of it.
    package func doubt() { owesLook.changeQuietly { $0 = true } }

    /// Somebody has, and found nothing.
    package func verified() throws(FederationError) {
        try mark?.set(1)
        owesLook.changeQuietly { $0 = false }
    }

    /// After a failed commit or sync nobody knows what the disk holds. The only honest way on is through a new start.
    package static let endProcess: @Sendable (StoreError) -> Never = { error in
        // Without quotes and line breaks of its own, so that the line stays JSON.
        let said = "\(error.detail); \(error.remedy)".filter { $0 != "\"" && $0 != "\\" && !$0.isNewline }
        let line = Array(
            "{\"event\":\"commit-failed\",\"code\":\"\(error.code.rawValue)\",\"detail\":\"\(said)\"}\n".utf8)
        _ = Glibc.write(STDERR_FILENO, line, line.count)
        abort()
    }

    /// Runs `body` on a consistent view. Keep it short (under 100 ms) and copy out what must live longer.
    package func read<Result>(
        _ body: (borrowing ReadTransaction) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        if health.damage != nil { return try Store.read(DamagedEngine(engine, health), body) }
        do throws(StoreError) { return try Store.read(engine, body) } catch {
            guard error.code == .damaged else { throw error }
            health.met(error)
            throw health.refusal ?? error
        }
    }

    package static func read<Result>(
        _ engine: any StorageEngine, _ body: (borrowing ReadTransaction) throws(StoreError) -> Result
    ) throws(StoreError) -> Result {
        let reader = try engine.beginRead()
        defer { reader.end() }
        return try body(ReadTransaction(reader))
    }

    /// For a job that is larger than the disk's reserve: it must not meet the end of the disk in its commit.
    /// - Throws: `store-full`.
    package func requireRoom(bytes: Int) throws(StoreError) {
        guard bytes > engine.roomBytes() else { return }
        throw StoreError(
            .full, "the disk has not the \(bytes >> 20) MiB that this may take",
            remedy: "free disk space, or hand in less at once")
    }

    /// Runs `body` as a nested part of a commit group on the writer's thread, and returns when it is durable. It blocks:
    /// never on a thread of the cooperative pool, and never inside another write.
    package func write<Result: Sendable>(
        _ purpose: WritePurpose = .intake, _ body: @escaping @Sendable (borrowing WriteTransaction) throws -> Result
    ) throws -> Result {
        let done = Monitor<Swift.Result<Result, any Error>?>(nil)
        submit(purpose, body) { result in done.change { $0 = result } }
        return try done.wait(until: { $0 != nil }) { result in
            guard let result else { preconditionFailure("waited for") }
            return try result.get()
        }
    }

    /// The same without waiting. `completion` runs on the writer's thread when it is durable or has failed.
    package func submit<Result: Sendable>(
        _ purpose: WritePurpose = .intake, _ body: @escaping @Sendable (borrowing WriteTransaction) throws -> Result,
        completion: @escaping @Sendable (Swift.Result<Result, any Error>) -> Void
    ) {
        var value: Result?
        let job = WriteJob(purpose) { transaction in
            value = try body(transaction)
        } completion: { outcome in
            switch outcome {
            case .success: if let value { completion(.success(value)) }
            case .failure(let error): completion(.failure(error))
            }
        }
        writer.submit([job])
    }

    /// Commits what waits, ends the writer and lets go of the folder.
    package func close() {
        writer.stop()
        engine.close()
        // What nobody has looked at stays marked, and so does what is damaged: as it was before this process, which has
        // come to its end. What cannot be written stays, and the next start verifies what needs no verifying.
        try? mark?.set(health.damage != nil ? unended : mustBeVerified ? 1 : 0)
        lock?.release()
    }
}

/// Holds a store's folder for one process: a second daemon on it is refused.
package final class StoreLock: Sendable {
    private let descriptor: CInt
    private let isHeld = Monitor(true)

    package init(directory: String) throws(StoreError) {
        let path = directory + "/daemon.lock"
        let opened = clinux_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else {
            throw StoreError(
                .unusable, "\(path): \(String(cString: strerror(errno)))",
                remedy: "make the folder writable for the node's user")
        }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            Glibc.close(opened)
            throw StoreError(
                .inUse, "\(directory) is open in another process", remedy: "stop the other node, or name another folder"
            )
        }
        descriptor = opened
    }

    deinit { release() }

    package func release() {
        let held = isHeld.change { held in
            defer { held = false }
            return held
        }
        guard held else { return }
        // A child that is being started has a copy of the descriptor until it executes: the lock is given up for all copies.
        flock(descriptor, LOCK_UN)
        Glibc.close(descriptor)
    }
}

/// What happens to a store before anything else does: its format is checked, and the start is counted.
enum Startup {
    static func run(
        on engine: any StorageEngine, newIncarnation: Incarnation, now: Timestamp
    ) throws(StoreError) -> Incarnation {
        let found = try Store.read(engine) { reader throws(StoreError) in
            (format: try reader.number(MetaKey.format), incarnation: try reader.get(.meta, MetaKey.incarnation))
        }
        guard found.format <= Store.format else {
            throw StoreError(
                .newer, "the store has format \(found.format), this software writes \(Store.format)",
                remedy: "run the release that wrote it, or restore a backup made before the upgrade")
        }
        let incarnation = try found.incarnation.map { bytes throws(StoreError) in try read(bytes) } ?? newIncarnation
        let job = WriteJob(.essential) { transaction in
            if found.format == 0 {
                try transaction.setNumber(MetaKey.format, Store.format)
                var writer = ByteWriter(capacity: 16)
                writer.append(incarnation.bits)
                try transaction.put(.meta, MetaKey.incarnation, writer.bytes)
            }
            try Sessions.countStart(in: transaction)
        } completion: { _ in
        }
        let sealed = try GroupCommit.run([job], on: engine, quota: 0, now: now)
        if case .failure(let error) = sealed.outcomes[0].result {
            throw (error as? StoreError) ?? StoreError(.engine, "\(error)", remedy: "see the system's log")
        }
        return incarnation
    }

    static func read(_ bytes: [UInt8]) throws(StoreError) -> Incarnation {
        var reader = ByteReader(bytes)
        do { return Incarnation(bits: try reader.id128()) } catch {
            throw StoreError(
                .damaged, "the store's incarnation cannot be read", remedy: "restore the store from a backup")
        }
    }
}
