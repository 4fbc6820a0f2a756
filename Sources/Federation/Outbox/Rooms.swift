/// Where envelopes wait for one destination in one lane, whoever sent them.
package struct Room: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var destination: NodeID
    package var lane: Lane

    package init(_ stream: StreamID) {
        destination = stream.destination
        lane = stream.lane
    }

    package var description: String { "\(destination) (\(lane))" }

    package static func < (left: Room, right: Room) -> Bool {
        (left.destination, left.lane) < (right.destination, right.lane)
    }
}

/// What each room of a store holds, and how much it may: so that one destination that is dark for weeks takes nothing
/// from the others. It follows the writer's transactions; a store that is opened counts anew.
///
/// What is published for every node is one log and takes no room. What ends a message's journey is never refused.
package final class RoomLedger: @unchecked Sendable {
    // Safe because: once the store is open, only the writer's thread touches it.

    package struct Limits: Sendable {
        package var count: Int
        package var bytes: Int
        /// What is kept, beyond that, of what its destination has decided: the refill log.
        package var refillBytes: Int

        package static let usual = Limits(count: 65_536, bytes: 512 << 20)

        package init(count: Int, bytes: Int, refillBytes: Int = 64 << 20) {
            self.count = count
            self.bytes = bytes
            self.refillBytes = refillBytes
        }
    }

    package struct Use: Sendable, Hashable {
        package var count = 0
        package var bytes = 0
        /// In the refill log: no part of what the room may hold.
        package var refill = 0
    }

    /// Hundredths at which a room is closed for payload of others, and at which it is open again. What is in the lane of
    /// control may use all of it.
    static let closesAt = 90
    static let opensAt = 80

    /// Hundredths of the store's quota from which refill logs give way, before intake stops at 80: so much of the longest
    /// at each commit, in bytes. A log of less is left.
    static let crowdedAt = 70
    static let crowdedStep = 1 << 20

    private let limits: Limits
    private(set) var uses: [Room: Use] = [:]
    /// Rooms in which payload of others finds no place.
    private(set) var closed: Set<Room> = []

    package init(limits: Limits) { self.limits = limits }

    /// Counts what a store holds.
    package init<Transaction: Readable & ~Copyable>(
        limits: Limits, in transaction: borrowing Transaction
    ) throws(StoreError) {
        self.limits = limits
        let streams = try Sessions.streams(in: transaction)
        let places = Dictionary(
            streams.map { ($0.row.ordinal, (room: Room($0.id), base: $0.row.base)) },
            uniquingKeysWith: { first, _ in first })
        for change in streams { add(Room(change.id), count: Int(clamping: change.row.last - change.row.base)) }
        try transaction.scan(.outbox, from: []) { key, value in
            guard let pack = PackOutline(key: Array(key), value: value), let place = places[pack.ordinal] else {
                return true
            }
            let isDecided = pack.last <= place.base
            add(place.room, bytes: isDecided ? 0 : pack.roomBytes, refill: isDecided ? pack.roomBytes : 0)
            return true
        }
        settle()
    }

    func add(_ room: Room, count: Int = 0, bytes: Int = 0, refill: Int = 0) {
        guard room.destination != .everyone else { return }
        uses[room, default: Use()].count += count
        uses[room, default: Use()].bytes += bytes
        uses[room, default: Use()].refill += refill
    }

    /// Bytes of the refill log beyond what it may have.
    func refillExcess(_ room: Room) -> Int { max(0, (uses[room]?.refill ?? 0) - limits.refillBytes) }

    /// The room whose log would give most; nil when none is worth a walk.
    var longestRefillLog: Room? {
        uses.max { ($0.value.refill, $1.key) < ($1.value.refill, $0.key) }
            .flatMap { $0.value.refill >= RoomLedger.crowdedStep / 4 ? $0.key : nil }
    }

    /// Hundredths of the room in use, by number or by bytes, whichever is more.
    func share(_ room: Room) -> Int {
        guard let use = uses[room] else { return 0 }
        return max(use.count * 100 / max(1, limits.count), use.bytes / max(1, limits.bytes / 100))
    }

    func hasPlace(_ room: Room, for purpose: WritePurpose) -> Bool {
        share(room) < (room.lane == .control ? max(100, purpose.roomShare) : purpose.roomShare)
    }

    /// After a commit: which rooms are closed now.
    func settle() {
        for room in closed where share(room) < RoomLedger.opensAt { closed.remove(room) }
        for room in uses.keys where !hasPlace(room, for: .relay) { closed.insert(room) }
        for (room, use) in uses where use == Use() { uses[room] = nil }
    }

    func require(_ room: Room, for purpose: WritePurpose) throws(StoreError) {
        guard !hasPlace(room, for: purpose) else { return }
        let use = uses[room] ?? Use()
        throw StoreError(
            .full, "\(use.count) envelopes with \(use.bytes >> 10) KiB wait for \(room): its room is used up",
            remedy: "see why \(room.destination) takes nothing, or raise laneQuotaCount and laneQuotaBytes in node.json"
        )
    }
}
