/// One session with one peer.
struct Session: Sendable {
    let peer: NodeID
    let dialled: Bool
    /// Can transition to: greeting → running, greeting → refused.
    var phase = LinkStatus.Phase.greeting
    var refusal: String?
    /// The life of the peer's store, once it has said hello.
    var incarnation: Incarnation?
    /// Of the protocol: the highest that both ends speak.
    var version: UInt16 = 1
    /// That it speaks for others is said once.
    var hasToldOfReports = false

    // Sending
    var sending: [StreamID: Sending] = [:]
    /// Whose turn it is in each lane.
    var turns = SendingTurns()
    /// A burst was announced and not ended.
    var burstAnnounced = false
    /// The burst has brought something of the lanes of control or appeals.
    var urgentAnnounced = false
    /// Streams of this node that had rejections, so that the peer waits to hear they are settled.
    var rejecting: Set<StreamID> = []

    // Receiving
    /// The position that must come next, for streams that have moved in this session.
    var expected: [StreamID: UInt64] = [:]
    /// Streams whose envelopes were refused: what comes is ignored until the expected one is sent again.
    var awaitingResend: Set<StreamID> = []
    var pending: [ReceivedBatch.Item] = []
    var pendingBytes = 0
    var burstOpen = false
    var inWork = false

    init(peer: NodeID, dialled: Bool) {
        self.peer = peer
        self.dialled = dialled
    }

    /// An envelope of the lane has begun, or may begin.
    func hasSomething(in lane: Lane) -> Bool {
        turns.begun[Int(lane.rawValue)] != nil || turns.streams(in: lane).contains { sending[$0]?.hasMore == true }
    }

    /// A stream that goes over this session has moved in the store.
    mutating func follow(_ change: StreamChange) {
        if sending[change.id] == nil {
            sending[change.id] = Sending(
                ordinal: change.row.ordinal, next: 1, last: change.row.last,
                credit: change.row.base + Exchange.window)
        } else {
            sending[change.id]?.last = change.row.last
        }
        turns.add(change.id)
    }
}

/// One stream on its way over one session.
struct Sending: Sendable {
    var ordinal: UInt32
    /// The position to send next.
    var next: UInt64
    /// The last one that is durable here.
    var last: UInt64
    /// The peer takes them through here.
    var credit: UInt64
    /// The peer holds them durably through here.
    var acknowledged: UInt64 = 0

    /// More than news: what was published while the peer was away.
    var isLongBehind: Bool { last > next + 64 }

    var hasMore: Bool { next <= last && next <= credit }
}

/// Which stream sends next: lanes by weight, streams of a lane in turn.
struct SendingTurns: Sendable {
    /// Of 15 frames, lanes that all have something get 8, 4, 2 and 1.
    private static let weights = [8, 4, 2, 1]
    private var streams: [[StreamID]] = Array(repeating: [], count: Lane.allCases.count)
    private var members: Set<StreamID> = []
    private var deficits = SendingTurns.weights
    /// An envelope that has begun in a lane and is not whole yet: its bytes and how many of them are sent.
    var begun: [(stream: StreamID, bytes: ArraySlice<UInt8>)?] = Array(repeating: nil, count: Lane.allCases.count)

    mutating func add(_ stream: StreamID) {
        guard members.insert(stream).inserted else { return }
        streams[Int(stream.lane.rawValue)].append(stream)
    }

    /// The lane whose turn it is among those that have something.
    /// - Parameter catchingUp: knowledge is long behind: it takes no more turns than what is sent in bulk.
    mutating func nextLane(catchingUp: Bool = false, where hasSomething: (Lane) -> Bool) -> Lane? {
        let able = Lane.allCases.filter(hasSomething)
        guard !able.isEmpty else { return nil }
        if let lane = able.first(where: { deficits[Int($0.rawValue)] > 0 }) {
            deficits[Int(lane.rawValue)] -= 1
            return lane
        }
        deficits = SendingTurns.weights
        if catchingUp { deficits[Int(Lane.knowledge.rawValue)] = deficits[Int(Lane.bulk.rawValue)] }
        deficits[Int(able[0].rawValue)] -= 1
        return able[0]
    }

    /// The stream whose turn it is in a lane; it goes to the end of the row.
    mutating func nextStream(in lane: Lane, where hasMore: (StreamID) -> Bool) -> StreamID? {
        let index = Int(lane.rawValue)
        guard let place = streams[index].firstIndex(where: hasMore) else { return nil }
        let stream = streams[index].remove(at: place)
        streams[index].append(stream)
        return stream
    }

    func streams(in lane: Lane) -> [StreamID] { streams[Int(lane.rawValue)] }
}
