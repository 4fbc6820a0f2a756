/// What one commit gathers beside the engine's own transaction: the streams it touches. A part that is undone takes
/// its own share back out.
package final class CommitGroup {
    package let now: Timestamp
    let streams: StreamStage
    let rooms: RoomLedger
    /// Of the job that is being done.
    var purpose = WritePurpose.essential

    init(now: Timestamp, rooms: RoomLedger) {
        self.now = now
        self.rooms = rooms
        streams = StreamStage(rooms: rooms)
    }

    func mark() -> Int { streams.mark }

    func rollBack(to mark: Int) { streams.rollBack(to: mark) }
}

/// For whom room in the store is asked: intake stops first, what empties the store stops last.
package enum WritePurpose: Sendable {
    /// New appeals and whatever else a person may be asked to repeat: up to 80 % of the quota.
    case intake
    /// Envelopes of others on their way: up to 90 %.
    case relay
    /// Envelopes for this node: up to 95 %.
    case delivery
    /// People's work: whatever the quota of the store, but in rooms that have a place, and not on the last of a full disk.
    case people
    /// Receipts, acknowledgements, administration: what empties the store, whatever the quota.
    case essential

    /// Hundredths of the quota.
    var share: Int {
        switch self {
        case .intake: 80
        case .relay: 90
        case .delivery: 95
        case .people, .essential: .max
        }
    }

    /// Hundredths of the reserve that must be there, when the disk gives no more.
    var reserveShare: Int {
        switch self {
        case .intake, .relay, .delivery: 50
        case .people: 25
        case .essential: 0
        }
    }

    /// Hundredths of a room in which what is sent must find its place.
    var roomShare: Int {
        switch self {
        case .intake, .people: 80
        case .relay: RoomLedger.closesAt
        case .delivery, .essential: .max
        }
    }
}

/// One submitter's work in a commit group.
package struct WriteJob {
    var purpose: WritePurpose
    /// Records that it writes, towards the limit of a group.
    var records: Int
    /// Its own nested part, undone alone when it throws. Without one the job must guard its parts itself, by `attempt`.
    var nested: Bool
    var body: (borrowing WriteTransaction) throws -> Void
    /// Called once, when the commit is durable or the job has failed.
    var completion: (Result<Void, any Error>) -> Void

    package init(
        _ purpose: WritePurpose, records: Int = 1, nested: Bool = true,
        body: @escaping (borrowing WriteTransaction) throws -> Void,
        completion: @escaping (Result<Void, any Error>) -> Void
    ) {
        self.purpose = purpose
        self.records = records
        self.nested = nested
        self.body = body
        self.completion = completion
    }
}

/// What a durable commit has changed, for whoever follows the streams.
package struct CommitReport: Sendable {
    package var changes: [StreamChange]
    /// Hundredths of the quota in use after it; 100 also when the disk is low.
    package var share: Int
    /// Rooms in which payload of others finds no place.
    package var closedRooms: Set<Room>
}

/// How much a store may hold.
package struct StoreLimits: Sendable {
    /// Bytes in pages that hold data; 0 means none.
    package var quota = 64 << 30
    /// Bytes of the disk that are kept written ahead, so that no commit meets a full one; 0 means none. When they cannot
    /// be had, only what empties the store goes on, and lives on them.
    package var reserve = 16 << 20
    package var rooms = RoomLedger.Limits.usual
    /// Work after which a commit group takes no more jobs, however many wait.
    package var groupMicroseconds: Int64 = 2_000

    /// Bytes by which the file may grow while somebody holds a snapshot of all of it.
    package var growth: Int { max(64 << 20, quota / 10) }

    package init() {}
}

/// Runs jobs as one durable commit: the only place where the store is written.
package enum GroupCommit {
    /// What a group has done, to be told once it is durable.
    package struct Sealed {
        package var report: CommitReport
        package var outcomes: [(job: WriteJob, result: Result<Void, any Error>)]
        /// How many of the jobs, from the front, it took.
        package var taken: Int
    }

    /// - Parameters:
    ///   - quota: bytes of the store's pages; 0 means none.
    ///   - rooms: what the rooms hold, brought up to date; by default nothing is limited.
    ///   - reserve: hundredths of the disk's reserve that are there.
    ///   - mayGoOn: asked after each job; false leaves those after it to the next group.
    /// - Throws: when the commit failed. Then nothing is known to be durable and the process must end.
    package static func run(
        _ jobs: [WriteJob], on engine: any StorageEngine, quota: Int,
        rooms: RoomLedger = RoomLedger(limits: .init(count: .max >> 8, bytes: .max)), reserve: Int = 100,
        now: Timestamp, mayGoOn: () -> Bool = { true }
    ) throws(StoreError) -> Sealed {
        let writer = try engine.beginWrite()
        defer { writer.end() }
        let group = CommitGroup(now: now, rooms: rooms)
        let transaction = WriteTransaction(writer, group)
        var used = try writer.usedBytes()
        if quota > 0, used / max(1, quota / 100) >= RoomLedger.crowdedAt {
            try Outbox.giveRefillLogAway(in: transaction)
            used = try writer.usedBytes()
        }
        var outcomes: [(job: WriteJob, result: Result<Void, any Error>)] = []
        for job in jobs {
            group.purpose = job.purpose
            if reserve < job.purpose.reserveShare {
                outcomes.append((job, .failure(StoreError.diskLow)))
            } else if quota > 0, used / max(1, quota / 100) >= job.purpose.share {
                outcomes.append((job, .failure(StoreError.full(used: used, quota: quota))))
            } else if job.nested {
                let result = try transaction.attempt { part in try job.body(part) }
                outcomes.append((job, result))
            } else {
                do {
                    try job.body(transaction)
                    outcomes.append((job, .success(())))
                } catch {
                    // Its parts are half done: nothing of this group may become durable.
                    throw (error as? StoreError)
                        ?? StoreError(.engine, "\(error)", remedy: "see the log; the node may be started again")
                }
            }
            guard mayGoOn() else { break }
        }
        let changes = try group.streams.seal(writer)
        let share = reserve < 50 ? 100 : quota > 0 ? try writer.usedBytes() / max(1, quota / 100) : 0
        try writer.commit()
        rooms.settle()
        return Sealed(
            report: CommitReport(changes: changes, share: share, closedRooms: rooms.closed), outcomes: outcomes,
            taken: outcomes.count)
    }
}

extension StoreError {
    static let diskLow = StoreError(
        .full, "the disk gives no more room: the node lives on its reserve",
        remedy: "free disk space: the node goes on by itself")

    static func full(used: Int, quota: Int) -> StoreError {
        StoreError(
            .full, "\(used / 1024) KiB of the \(quota / 1024) KiB quota are in use",
            remedy: "wait until the outbox has drained, or raise the quota in node.json")
    }
}
