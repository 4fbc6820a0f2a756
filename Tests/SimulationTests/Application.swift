import Federation

/// What the simulated nodes do with a message: they count it, refuse some, and take back what was refused to them.
final class CountingApplication: Application {
    static let applied = Table("applied")
    static let confirmed = Table("confirmed")
    static let returned = Table("returned")
    static let accepted = Table("accepted")

    /// One message, whoever else may have used its id.
    static func key(_ origin: NodeID, _ id: ID128) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(id)
        writer.append(origin)
        return writer.bytes
    }

    static func refuses(_ id: ID128) -> Bool { id.low % 17 == 0 }

    /// Ends the process, until the fault is mended. What is published does not: its readers count without a gap.
    static func traps(_ id: ID128) -> Bool { id.high == 7 && id.low % 13 == 5 }

    /// Fits the newer topology only.
    static func needsNewer(_ id: ID128) -> Bool { id.high == 7 && id.low % 19 == 3 }

    struct Message: Hashable {
        var origin: NodeID
        var id: ID128
    }

    /// What a trap in `apply` is in a process that is not one.
    struct Trap: Error, Hashable { var message: Message }

    nonisolated(unsafe) var isMended = false
    /// A node that was put back takes what it has once refused: what its origin has taken back may not come again.
    nonisolated(unsafe) var isReborn = false
    let topologyVersion: @Sendable () -> UInt64
    /// What has ended this process.
    nonisolated(unsafe) private(set) var trap: Trap?

    let bug: PlantedBug?
    /// What is no message of the simulation's own is the contact centre's.
    nonisolated(unsafe) var office: (any Application)?

    private func isOwn(_ envelope: Envelope) -> Bool { office == nil || (7...9).contains(envelope.header.id.high) }

    /// Ids that this process has seen, from whomever: what the bug `dedupByIDOnly` goes by.
    nonisolated(unsafe) private var seen: Set<ID128> = []

    init(bug: PlantedBug?, topologyVersion: @escaping @Sendable () -> UInt64) {
        self.bug = bug
        self.topologyVersion = topologyVersion
    }

    /// Called when a message takes effect for the first time.
    nonisolated(unsafe) private var watched: [ID128: () -> Void] = [:]

    func watch(_ id: ID128, _ body: @escaping () -> Void) { watched[id] = body }

    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        guard isOwn(envelope) else { return try office?.apply(envelope, in: transaction) ?? () }
        watched.removeValue(forKey: envelope.header.id)?()
        if bug == .dedupByIDOnly, !seen.insert(envelope.header.id).inserted { return }
        if envelope.header.stream.destination == .everyone {
            // What is published comes in order, whatever happens on the way.
            let last = try transaction.number(Array("published".utf8))
            guard envelope.header.position == last + 1 else { throw Rejection("out-of-order") }
            try transaction.setNumber(Array("published".utf8), last + 1)
            return try count(envelope, CountingApplication.applied, transaction)
        }
        let id = envelope.header.id
        if CountingApplication.traps(id), !isMended {
            let trap = Trap(message: Message(origin: envelope.header.stream.origin, id: id))
            self.trap = trap
            throw trap
        }
        if CountingApplication.needsNewer(id), topologyVersion() < 2 { throw Rejection("does-not-fit") }
        if CountingApplication.refuses(id), !isReborn { throw Rejection("refused") }
        try count(envelope, CountingApplication.applied, transaction)
    }

    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard isOwn(envelope) else { return try office?.applied(envelope, in: transaction) ?? () }
        try count(envelope, CountingApplication.confirmed, transaction)
    }

    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {
        guard isOwn(envelope) else { return try office?.rejected(envelope, code: code, in: transaction) ?? () }
        try count(envelope, CountingApplication.returned, transaction)
    }

    func refilled(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        if !isOwn(envelope) { try office?.refilled(envelope, in: transaction) }
    }

    func released(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        if !isOwn(envelope) { try office?.released(envelope, in: transaction) }
    }

    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError) {
        if !isOwn(envelope) { try office?.held(envelope, reason: reason, in: transaction) }
    }

    private func count(
        _ envelope: Envelope, _ table: Table, _ transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        let key = CountingApplication.key(envelope.header.stream.origin, envelope.header.id)
        let before = try transaction.get(table, key)?.first ?? 0
        try transaction.put(table, key, [before + 1])
    }
}

/// Faults of a shell that must be found. None of them exists outside this folder.
enum PlantedBug: String, CaseIterable, Sendable {
    /// A commit is told before it is on the disk.
    case ackBeforeSync
    /// The watermark is not in the transaction of the effect: a crash can fall between.
    case watermarkOutsideTransaction
    /// What was sent is deleted, acknowledged or not.
    case deleteOnSend
    /// A message is known by its id alone, whoever sent it.
    case dedupByIDOnly
    /// A gap is stepped over instead of asked for.
    case skippedGap
    /// Tries are counted, but only as long as the process lives.
    case triesInTheProcess
    /// One count in some is forgotten: conservation must find it.
    case miscount
    /// What was taken back is forgotten, and so given out again when a destination asks for its gap.
    case takenBackForgotten
    /// A gap is stepped over and nobody asks for it.
    case gapForgotten
    /// Session tokens are not kept: a store cannot be told from the one that was met.
    case tokensForgotten
}
