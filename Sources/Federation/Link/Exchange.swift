/// The exchange of one node: every session, every stream, as a value without IO. Events go in, actions come out; the
/// daemon and the simulator run this same code.
///
/// - Rows are what the store durably holds, as the commits told it. Acknowledgements and receipts are derived from them
///   and from nothing else: what is said to a peer is durable.
/// - One session a peer; a newer one replaces an older.
package struct Exchange: Sendable {
    /// Positions that a peer may send beyond what is durable here.
    package static let window: UInt64 = 1024
    /// What one submission to the store may hold.
    static let batchEnvelopes = 256
    static let batchBytes = 1 << 20
    /// Streams of others whose receipts are kept for who is not there; what is beyond travels when it is shown again.
    static let mostPassingReceipts = 4096

    package let node: NodeID
    package let incarnation: Incarnation
    private(set) var routes: any Routes

    package internal(set) var rows: [StreamID: StreamRow]
    package internal(set) var peers: [NodeID: PeerRow]
    var sessions = SessionTable()
    var sessionOf: [NodeID: SessionNumber] = [:]
    /// Receipts for streams that begin or pass here, newest only, that are not in the store yet.
    var pendingReceipts: [StreamID: ReceiptState] = [:]
    /// What of them the store is working on; a long one is settled in parts.
    var receiptsInWork: [ReceiptState] = []
    /// Newest receipts of streams that pass here, kept though the streams themselves may not be known here any more.
    var passingReceipts: [StreamID: ReceiptState] = [:]
    /// Acknowledged by next hops, not in the store yet, by the next hop's life.
    var pendingForwarded: [Incarnation: [StreamID: UInt64]] = [:]
    var bookkeepingInWork = false
    /// False while envelopes of others find no room here.
    package internal(set) var mayRelay = true
    /// What destinations have counted of this node's streams, newest only.
    var tallies: [StreamID: ReceiptState] = [:]
    /// Streams of which the counts do not agree, and how.
    package internal(set) var unbalanced: [StreamID: String] = [:]
    /// Rooms that are full: what goes there is not taken from others.
    var closedRooms: Set<Room> = []
    /// Streams that wait at their origin for a newer topology, and those for which it is here.
    var awaited: Set<StreamID> = []
    var due: Set<StreamID> = []
    /// What nodes have said of themselves, newest only: this one, and those whose way to the centre leads over it.
    var reports: [NodeID: NodeReport] = [:]
    /// A peer has shown that this node's store is behind: an administrator must open a new incarnation.
    package internal(set) var isRewound = false
    /// The store was put back, and the signed metadata may be older than that of others: only the lane of control passes.
    package internal(set) var isControlOnly: Bool
    /// The lives whose streams are known here, by origin: one that invents lives is not followed for ever.
    private var lives: [NodeID: Set<Incarnation>] = [:]
    static let mostLives = 128
    /// By origin and destination; only ways that the topology has.
    private var previousHops: [Way: NodeID] = [:]

    private struct Way: Hashable {
        var origin: NodeID
        var destination: NodeID
    }

    package init(
        node: NodeID, incarnation: Incarnation, routes: any Routes, rows: [StreamChange],
        peers: [(node: NodeID, row: PeerRow)], isRewound: Bool = false, isControlOnly: Bool = false
    ) {
        self.node = node
        self.incarnation = incarnation
        self.routes = routes
        self.isRewound = isRewound
        self.isControlOnly = isControlOnly
        self.rows = Dictionary(rows.map { ($0.id, $0.row) }, uniquingKeysWith: { first, _ in first })
        self.peers = Dictionary(peers.map { ($0.node, $0.row) }, uniquingKeysWith: { first, _ in first })
        for stream in self.rows.keys { lives[stream.origin, default: []].insert(stream.incarnation) }
    }

    /// The position through which a destination has decided about a stream of this node, by the newest receipt.
    package func decided(_ stream: StreamID) -> UInt64 {
        let inWork = receiptsInWork.first { $0.stream == stream }?.applied ?? 0
        return max(rows[stream]?.applied ?? 0, pendingReceipts[stream]?.applied ?? 0, inWork)
    }

    /// Bytes of a session that wait for the store: while there are too many, no more are read.
    package func waiting(_ number: SessionNumber) -> Int { sessions[number]?.pendingBytes ?? 0 }

    // MARK: Sessions

    /// A link is up: both ends know each other by certificate and pin.
    package mutating func sessionOpened(
        _ number: SessionNumber, peer: NodeID, dialled: Bool, scope: SessionScope = .full
    ) -> [ExchangeAction] {
        var actions: [ExchangeAction] = []
        // Who shows a certificate that has ended takes nothing from who shows one that has not.
        if scope == .metadataOnly, let old = sessionOf[peer], sessions[old]?.scope == .full {
            return goodbye(number, code: "metadata-only", detail: "a full session of \(peer) is open")
        }
        if let old = sessionOf[peer] {
            actions += end(old, code: "replaced", detail: "a newer session of \(peer) is open")
        }
        forgetDue(of: peer)
        sessions[number] = Session(peer: peer, dialled: dialled, scope: scope)
        sessionOf[peer] = number
        var bytes: [UInt8] = []
        let hello = scope == .full ? hello(to: peer) : metadataHello()
        Frame.append(.hello, hello.encoded()[...], to: &bytes)
        actions.append(.send(number, bytes))
        return actions
    }

    /// The transport has ended, whoever ended it. What was under way and not durable is as if it had never come.
    package mutating func sessionClosed(_ number: SessionNumber) {
        guard let session = sessions.remove(number) else { return }
        if sessionOf[session.peer] == number { sessionOf[session.peer] = nil }
    }

    /// Says why and closes.
    mutating func end(_ number: SessionNumber, code: String, detail: String) -> [ExchangeAction] {
        guard sessions[number] != nil else { return [] }
        sessionClosed(number)
        return goodbye(number, code: code, detail: detail)
    }

    private func goodbye(_ number: SessionNumber, code: String, detail: String) -> [ExchangeAction] {
        var bytes: [UInt8] = []
        Frame.append(.bye, LinkCodec.bye(code, detail)[...], to: &bytes)
        return [.send(number, bytes), .close(number, code: code, detail: detail)]
    }

    /// The session of a peer over which payload goes, if there is one.
    func running(_ peer: NodeID) -> SessionNumber? {
        guard let number = sessionOf[peer], sessions[number]?.phase == .running else { return nil }
        return number
    }

    // MARK: Where a stream comes from and goes to

    /// What is published goes, from the publisher outwards, to every neighbour whose own way there leads over this node;
    /// everything else goes to one next hop.
    func goes(_ stream: StreamID, to peer: NodeID) -> Bool {
        guard stream.destination == .everyone else { return nextHop(of: stream) == peer }
        return stream.origin == routes.publisher && routes.nextHop(from: peer, to: stream.origin) == node
    }

    func nextHop(of stream: StreamID) -> NodeID? {
        stream.destination == node ? nil : routes.nextHop(from: node, to: stream.destination)
    }

    mutating func previousHop(of stream: StreamID) -> NodeID? {
        if stream.origin == node { return nil }
        let way = Way(origin: stream.origin, destination: stream.destination)
        if let known = previousHops[way] { return known }
        if stream.destination == .everyone {
            return stream.origin == routes.publisher ? routes.nextHop(from: node, to: stream.origin) : nil
        }
        var hop = stream.origin
        var found: NodeID?
        // A way is never longer than the federation; 64 hops end a walk that would never come here.
        for _ in 0..<64 {
            guard let next = routes.nextHop(from: hop, to: stream.destination) else { break }
            if next == node {
                found = hop
                break
            }
            hop = next
        }
        previousHops[way] = found
        return found
    }

    /// A newer topology: sessions whose streams go another way now end, and greet anew.
    package mutating func routesChanged(_ routes: any Routes) -> [ExchangeAction] {
        func ways() -> [NodeID: Set<StreamID>] {
            var ways: [NodeID: Set<StreamID>] = [:]
            for peer in sessionOf.keys {
                ways[peer] = Set(rows.keys.filter { goes($0, to: peer) || previousHop(of: $0) == peer })
            }
            return ways
        }
        let before = ways()
        self.routes = routes
        previousHops = [:]
        let after = ways()
        var actions: [ExchangeAction] = []
        for (peer, number) in sessionOf.sorted(by: { $0.key < $1.key }) where before[peer] != after[peer] {
            actions += end(number, code: "topology-changed", detail: "streams between us go another way now")
        }
        return actions + awaitedIsHere()
    }

    /// Whether a stream of another node is followed here: those of the first lives that were met are.
    mutating func admits(_ stream: StreamID) -> Bool {
        if rows[stream] != nil || lives[stream.origin]?.contains(stream.incarnation) == true { return true }
        guard lives[stream.origin]?.count ?? 0 < Exchange.mostLives else { return false }
        lives[stream.origin, default: []].insert(stream.incarnation)
        return true
    }

    // MARK: What the store tells

    /// A commit is durable and has left these rows.
    package mutating func committed(_ changes: [StreamChange]) -> [ExchangeAction] {
        var acks: [SessionNumber: [Ack]] = [:]
        var receipts: [SessionNumber: [ReceiptState]] = [:]
        var settled: [SessionNumber: [StreamPosition]] = [:]
        var pumps: Set<SessionNumber> = []
        var actions: [ExchangeAction] = []
        for change in changes {
            actions += balance(change)
            let old = rows[change.id]
            rows[change.id] = change.row
            for number in sessions.numbers {
                guard let peer = sessions.running(number), goes(change.id, to: peer) else { continue }
                sessions[number]?.follow(change)
                pumps.insert(number)
                noteHeldBeyond(change, number)
                if change.id.origin == node, change.row.settled != old?.settled ?? 0,
                    sessions[number]?.rejecting.contains(change.id) == true
                {
                    settled[number, default: []].append(
                        StreamPosition(stream: change.id, position: change.row.settled))
                }
            }
            guard let hop = previousHop(of: change.id), let number = running(hop) else { continue }
            let hasRoomAgain =
                old?.takesMore == false && change.row.takesMore
            if change.row.last != old?.last ?? 0 || hasRoomAgain {
                acks[number, default: []].append(ack(change.id, change.row))
            }
            if change.id.destination == node,
                change.row.applied != old?.applied ?? 0 || old.map({ Tally($0) }) != Tally(change.row)
            {
                receipts[number, default: []].append(receipt(change))
            }
        }
        for number in Set(acks.keys).union(receipts.keys).union(settled.keys).sorted() {
            var bytes: [UInt8] = []
            if let acks = acks[number] { Frame.append(.ack, LinkCodec.acks(acks)[...], to: &bytes) }
            if let states = receipts[number] { appendReceipts(states, number, to: &bytes) }
            if let done = settled[number] { Frame.append(.settled, LinkCodec.positions(done)[...], to: &bytes) }
            actions.append(.send(number, bytes))
        }
        return actions + submitForwarded() + pumps.sorted().map { .pump($0) }
    }

    /// The next hop holds more than this store did when it said so: what has come since may go at once.
    private mutating func noteHeldBeyond(_ change: StreamChange, _ number: SessionNumber) {
        guard change.id.destination != .everyone, let session = sessions[number], let life = session.incarnation,
            let held = session.sending[change.id]?.acknowledged
        else { return }
        let durable = min(held, change.row.last)
        if durable > change.row.forwarded { pendingForwarded[life, default: [:]][change.id] = durable }
    }

    /// - Parameters:
    ///   - resend: what was sent beyond is not here.
    ///   - isHeld: no credit, whatever room there is.
    func ack(_ stream: StreamID, _ row: StreamRow, resend: Bool = false, isHeld: Bool = false) -> Ack {
        let open =
            stream.destination == node
            ? row.takesMore
            : stream.destination == .everyone
                || mayRelay && !closedRooms.contains(Room(stream))
                    && !awaited.contains(stream) && !due.contains(stream)
        let hasCredit = open && !isHeld && mayPass(stream)
        return Ack(
            stream: stream, through: row.last, credit: row.last + (hasCredit ? Exchange.window : 0), resend: resend)
    }

    /// A work is durable, or has failed. Told after `committed` of the same commit.
    package mutating func workDone(
        _ tag: WorkTag, _ result: Result<ExchangeOutcome, StoreError>
    ) -> [ExchangeAction] {
        switch tag {
        case .receive(let number): return received(number, result)
        case .receipts:
            if case .success = result { settleRest() }
            receiptsInWork = []
            return notes(of: result) + submitReceipts()
        case .bookkeeping:
            bookkeepingInWork = false
            return submitForwarded()
        case .tokenProposed(let number, let token):
            guard case .success = result, sessions[number] != nil else { return [] }
            return [.send(number, tokenFrame(token, proposed: true))]
        case .tokenAccepted(let number, let token):
            guard case .success = result, sessions[number] != nil else { return [] }
            return [.send(number, tokenFrame(token, proposed: false))]
        }
    }

    func tokenFrame(_ token: SessionToken, proposed: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        Frame.append(.token, LinkCodec.token(token, proposed: proposed)[...], to: &bytes)
        return bytes
    }

    // MARK: What peers tell

    /// A whole message has come.
    /// - Parameters:
    ///   - random: gives fresh random bits, when this message makes a token necessary.
    package mutating func arrived(
        _ message: FramedMessage, in number: SessionNumber, reading outbox: some OutboxReading,
        random: () -> ID128
    ) -> [ExchangeAction] {
        guard let session = sessions[number] else { return [] }
        do throws(FrameFault) {
            guard session.phase == .running || session.mayBring(message.kind) else {
                // A refused session carries nothing; before the hello nothing may come.
                if session.phase == .refused { return [] }
                throw FrameFault(session.phase == .metadataOnly ? "metadata-only" : "hello-expected")
            }
            switch message.kind {
            case .hello:
                guard session.phase == .greeting else { throw FrameFault("hello-twice") }
                return try greeted(
                    try FrameFault.decoding(message.bytes, Hello.init(decoding:)), number, outbox, random)
            case .envelope: return try envelopeArrived(message, number, outbox)
            case .flush:
                sessions[number]?.burstOpen = false
                return submitReceived(number)
            case .ack: return try acknowledged(try FrameFault.decoding(message.bytes, LinkCodec.acks), number)
            case .receipt:
                let version = session.version
                let states = try FrameFault.decoding(message.bytes) { bytes throws(WireError) in
                    try LinkCodec.receipts(bytes, version: version)
                }
                return try receiptsArrived(states, number)
            case .settled:
                return settledArrived(try FrameFault.decoding(message.bytes, LinkCodec.positions), number)
            case .offer: return try offered(try FrameFault.decoding(message.bytes, LinkCodec.bases), number)
            case .token:
                let (token, proposed) = try FrameFault.decoding(message.bytes, LinkCodec.token)
                return tokenArrived(token, proposed: proposed, number)
            case .report: return try reportArrived(message, number)
            // Clocks are the shell's.
            case .ping, .pong: return []
            case .bye:
                let code = Farewell.known(try FrameFault.decoding(message.bytes, LinkCodec.bye).code)
                sessionClosed(number)
                return [
                    .note(code: "peer-said", peer: session.peer, detail: code),
                    .close(number, code: "peer-closed", detail: code),
                ]
            // Those of metadata are the shell's too.
            case .metadata where session.version >= Hello.metadataVersion: return []
            case .entry, .cursor, .metadata: throw FrameFault("frame-unknown-kind")
            }
        } catch {
            return violated(number, error)
        }
    }

    /// The peer broke the protocol: say so, end the session, note it.
    package mutating func violated(_ number: SessionNumber, _ fault: FrameFault) -> [ExchangeAction] {
        guard let peer = sessions[number]?.peer else { return [] }
        return [.note(code: fault.code, peer: peer, detail: "the peer broke the protocol")]
            + end(number, code: fault.code, detail: "this is against the protocol")
    }

    private mutating func tokenArrived(
        _ token: SessionToken, proposed: Bool, _ number: SessionNumber
    ) -> [ExchangeAction] {
        guard let session = sessions[number], let life = session.incarnation else { return [] }
        guard proposed != session.dialled else { return violated(number, FrameFault("token-out-of-turn")) }
        if proposed {
            guard token.counter > (tokens(of: session.peer, in: life).map(\.counter).max() ?? 0) else {
                return violated(number, FrameFault("token-behind"))
            }
        } else {
            guard peers[session.peer]?.tokens.contains(token) == true else {
                return violated(number, FrameFault("token-unknown"))
            }
        }
        peers[session.peer, default: PeerRow()].tokens = [token]
        peers[session.peer, default: PeerRow()].incarnation = life
        return [
            .submit(
                .session(peer: session.peer, incarnation: life, tokens: [token]),
                proposed ? .tokenAccepted(number, token) : .bookkeeping)
        ]
    }
}

extension FrameFault {
    /// A message that does not decode is a fault of the peer.
    static func decoding<Value>(
        _ bytes: [UInt8], _ decode: ([UInt8]) throws(WireError) -> Value
    ) throws(FrameFault) -> Value {
        do throws(WireError) { return try decode(bytes) } catch { throw FrameFault("message-malformed") }
    }
}
