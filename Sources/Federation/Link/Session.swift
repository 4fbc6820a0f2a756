/// One session with one peer.
struct Session: Sendable {
    let peer: NodeID
    let dialled: Bool
    /// By this end; the peer may want it to be less.
    let scope: SessionScope
    /// Can transition to: greeting → running, greeting → metadataOnly, greeting → refused.
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

    init(peer: NodeID, dialled: Bool, scope: SessionScope) {
        self.peer = peer
        self.dialled = dialled
        self.scope = scope
    }

    /// What a peer may say in a session over which no payload goes.
    func mayBring(_ kind: FrameKind) -> Bool {
        [.hello, .bye, .ping, .pong].contains(kind) || phase == .metadataOnly && kind == .metadata
    }

    /// Whether the peer may be told of payload: what has come, and what it may send.
    var carriesPayload: Bool { phase == .running || phase == .greeting && scope == .full }

    fileprivate mutating func changed<Result>(by body: (inout Session) -> Result?) -> Result? { body(&self) }

    /// An envelope of the lane has begun, or may begin.
    func hasSomething(in lane: Lane) -> Bool {
        turns.begun[Int(lane.rawValue)] != nil || turns.streams(in: lane).contains { sending[$0]?.hasMore == true }
    }

    /// Whose turn it is.
    mutating func nextLane(of passing: LaneSet) -> Lane? {
        let catchingUp = turns.streams(in: .knowledge).contains { sending[$0]?.isLongBehind == true }
        var able = LaneSet()
        for lane in LaneSet.lanes where passing.contains(lane) && hasSomething(in: lane) { able.insert(lane) }
        return turns.nextLane(among: able, catchingUp: catchingUp)
    }

    mutating func nextStream(in lane: Lane) -> (StreamID, Sending)? {
        let sending = sending
        guard let stream = turns.nextStream(in: lane, where: { sending[$0]?.hasMore == true }) else { return nil }
        return sending[stream].map { (stream, $0) }
    }

    /// One more of the stream is on its way.
    mutating func sent(_ stream: StreamID) {
        guard var sending = sending[stream] else { return }
        sending.next += 1
        self.sending[stream] = sending
    }

    /// An envelope that was expected has come.
    mutating func take(_ item: ReceivedBatch.Item) {
        if !awaitingResend.isEmpty { awaitingResend.remove(item.header.stream) }
        expected[item.header.stream] = item.header.position + 1
        pending.append(item)
        pendingBytes += item.bytes.count
    }

    /// What goes to the store now: nothing while more of a burst is on its way, or the last batch is not done.
    mutating func nextBatch() -> ReceivedBatch? {
        guard !inWork, !pending.isEmpty, let incarnation else { return nil }
        guard !burstOpen || pending.count >= Exchange.batchEnvelopes || pendingBytes >= Exchange.batchBytes else {
            return nil
        }
        let batch = Array(pending.prefix(Exchange.batchEnvelopes))
        pending.removeFirst(batch.count)
        pendingBytes -= batch.reduce(0) { $0 + $1.bytes.count }
        inWork = true
        return ReceivedBatch(incarnation: incarnation, envelopes: batch)
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
    mutating func nextLane(among able: LaneSet, catchingUp: Bool = false) -> Lane? {
        guard let first = LaneSet.lanes.first(where: able.contains) else { return nil }
        if let lane = LaneSet.lanes.first(where: { able.contains($0) && deficits[Int($0.rawValue)] > 0 }) {
            deficits[Int(lane.rawValue)] -= 1
            return lane
        }
        // In place: the array of weights is everybody's.
        for index in deficits.indices { deficits[index] = SendingTurns.weights[index] }
        if catchingUp { deficits[Int(Lane.knowledge.rawValue)] = deficits[Int(Lane.bulk.rawValue)] }
        deficits[Int(first.rawValue)] -= 1
        return first
    }

    /// The stream whose turn it is in a lane; it goes to the end of the row.
    mutating func nextStream(in lane: Lane, where hasMore: (StreamID) -> Bool) -> StreamID? {
        let index = Int(lane.rawValue)
        guard let place = streams[index].firstIndex(where: hasMore) else { return nil }
        let stream = streams[index][place]
        if place < streams[index].count - 1 {
            streams[index].remove(at: place)
            streams[index].append(stream)
        }
        return stream
    }

    func streams(in lane: Lane) -> [StreamID] { streams[Int(lane.rawValue)] }
}

/// Lanes, in a byte: what is asked for each frame must cost nothing.
struct LaneSet: Sendable {
    /// Once, and not an array a question.
    static let lanes = Lane.allCases
    static let all = LaneSet(bits: 0b1111)
    static let control = LaneSet(bits: 0b0001)
    private var bits: UInt8 = 0

    init() {}

    private init(bits: UInt8) { self.bits = bits }

    mutating func insert(_ lane: Lane) { bits |= 1 << lane.rawValue }

    func contains(_ lane: Lane) -> Bool { bits & 1 << lane.rawValue != 0 }
}

/// Sessions by number. A message touches its session several times: it is changed where it lies, never copied out and in
/// (a dictionary of them cost three allocations a touch, and a copy of what they hold while another had been looked at).
struct SessionTable: Sendable {
    /// Ascending: each session has a higher one than those before.
    private(set) var numbers: [SessionNumber] = []
    private var sessions: [Session?] = []

    private func place(of number: SessionNumber) -> Int? { numbers.firstIndex(of: number) }

    subscript(number: SessionNumber) -> Session? {
        @inline(__always) get { place(of: number).flatMap { sessions[$0] } }
        @inline(__always) _modify {
            if let place = place(of: number) {
                yield &sessions[place]
                if sessions[place] == nil { _ = remove(number) }
            } else {
                var new: Session?
                yield &new
                if let new { insert(number, new) }
            }
        }
    }

    /// The same for what every message does: an accessor that is left half way costs an allocation.
    @discardableResult
    mutating func change<Result>(_ number: SessionNumber, _ body: (inout Session) -> Result?) -> Result? {
        guard let place = place(of: number) else { return nil }
        return sessions[place]?.changed(by: body)
    }

    /// Its peer, when payload goes over it.
    func running(_ number: SessionNumber) -> NodeID? {
        guard let place = place(of: number), sessions[place]?.phase == .running else { return nil }
        return sessions[place]?.peer
    }

    private mutating func insert(_ number: SessionNumber, _ session: Session) {
        let place = numbers.firstIndex { $0 > number } ?? numbers.count
        numbers.insert(number, at: place)
        sessions.insert(session, at: place)
    }

    mutating func remove(_ number: SessionNumber) -> Session? {
        guard let place = place(of: number) else { return nil }
        numbers.remove(at: place)
        return sessions.remove(at: place)
    }
}
