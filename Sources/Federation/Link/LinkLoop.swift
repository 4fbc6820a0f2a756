import CLinux
import Glibc

/// The one thread that owns every link of a node: sockets, TLS sessions, frames and the `Exchange`. Others talk to it
/// by `post`; it talks to the store by submitting work and to nobody else.
package final class LinkLoop: @unchecked Sendable {
    // Safe because: everything but `inbound` and `wakeUp` is touched on the loop's thread only.

    package struct Event: Sendable {
        package var code: String
        package var peer: NodeID?
        package var detail: String
        /// How often it has happened, where a line stands for several times; the detail is of the last.
        package var count: Int?

        package init(code: String, peer: NodeID?, detail: String) {
            self.code = code
            self.peer = peer
            self.detail = detail
        }
    }

    package struct Configuration {
        package var node: NodeID
        package var topology: Topology
        package var context: TLSContext
        package var log: @Sendable (Event) -> Void

        package init(
            node: NodeID, topology: Topology, context: TLSContext, log: @escaping @Sendable (Event) -> Void
        ) {
            self.node = node
            self.topology = topology
            self.context = context
            self.log = log
        }
    }

    enum Inbound {
        case committed(CommitReport)
        case workDone(WorkTag, Result<ExchangeOutcome, StoreError>)
        case perform(@Sendable (LinkLoop) -> Void)
        case stop
    }

    static let handshakeMilliseconds: Int64 = 5_000
    static let maximumHandshakes = 128
    /// Connections that are taken before the links have their turn again.
    static let acceptsPerTurn = 16
    static let pingMilliseconds: Int64 = 5_000
    static let silenceMilliseconds: Int64 = 15_000
    static let flushMilliseconds: Int64 = 1_000
    /// A session ends with the first certificate of its ends, and after this at the latest (architecture §4).
    static let longestSessionSeconds: Int64 = 24 * 3600
    /// What a peer may leave unread before it is hung up on.
    static let mostUnsent = 8 << 20
    /// Bytes of one peer that may wait for the store; it is read again at half of it.
    static let mostWaiting = 4 << 20

    var configuration: Configuration
    private let inbound = Monitor<[Inbound]>([])
    private let finished = Monitor(false)
    private let wakeUp: CInt
    private let poll: CInt

    var exchange: Exchange
    private let inbox: Inbox
    let store: Store
    var listener: Listener?
    var connections: [CInt: Connection] = [:]
    var numbered: [SessionNumber: CInt] = [:]
    var dialling: [NodeID: Dialling] = [:]
    /// Taken out by a security administrator: no session with them.
    var denied: Set<NodeID> = []
    /// What people are told of neighbours.
    var marks: [NodeID: Mark] = [:]
    package let started = Clocks.wall()
    /// What nodes have said of themselves.
    var reports: ReportBook
    /// Why an administrator has paused them.
    var paused: [NodeID: String]
    /// Who was accepted and has not said yet who it is, by descriptor.
    var newcomers = WaitingRoom(seats: maximumHandshakes)
    var told = LogBudget()
    let soundPacks: SoundPacks
    /// Who keeps the signed metadata.
    var metadata: TrustKeeper?
    /// Why nothing is carried any more: what the store holds is not to be believed.
    var halted: String?
    var followers: [@Sendable (borrowing Exchange) -> Bool] = []
    private var nextNumber: SessionNumber = 1
    private var nextFlush: Int64 = 0
    /// No more connections are taken until then: the process has no descriptors left.
    var acceptsAgainAt: Int64?
    private var hasToldDamage = false
    private var stopping = false
    var scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)

    /// The listening socket, boxed: a `~Copyable` cannot be optional state that is replaced while used.
    final class Listener {
        let socket: Socket
        init(_ socket: consuming Socket) { self.socket = socket }
    }

    struct Dialling {
        var backoff = Backoff()
        var nextAttempt: Int64 = 0
        var address = 0
        var isOpen = false
    }

    /// Binds the address of the topology, when others dial this node. The thread starts with `start`.
    package init(_ configuration: Configuration, store: Store, inbox: Inbox) throws(FederationError) {
        self.configuration = configuration
        self.store = store
        self.inbox = inbox
        let known: ([StreamChange], [(node: NodeID, row: PeerRow)], UInt64, [NodeID: String], ReportBook, UInt64)
        do throws(StoreError) {
            known =
                store.health.damage != nil
                ? ([], [], 0, [:], ReportBook(), 0)
                : try store.read { transaction throws(StoreError) in
                    (
                        try Sessions.streams(in: transaction), try Sessions.peers(in: transaction),
                        try transaction.number(MetaKey.rewound), try PausedLinks.all(in: transaction),
                        try ReportBook(in: transaction), try transaction.number(MetaKey.controlOnly)
                    )
                }
        } catch { throw FederationError(error.code.rawValue, error.detail, remedy: error.remedy) }
        exchange = Exchange(
            node: configuration.node, incarnation: store.incarnation, routes: configuration.topology, rows: known.0,
            peers: known.1, isRewound: known.2 != 0, isControlOnly: known.5 != 0)
        soundPacks = SoundPacks(known.0.map(\.row))
        paused = known.3
        reports = known.4
        halted = store.health.damage?.detail
        wakeUp = eventfd(0, CInt(EFD_NONBLOCK) | CInt(EFD_CLOEXEC))
        poll = epoll_create1(CInt(EPOLL_CLOEXEC))
        let topology = configuration.topology
        if !topology.listens(configuration.node).isEmpty,
            let address = topology.node(configuration.node)?.addresses.first
        {
            listener = Listener(try Socket.listening(on: address))
        }
        for peer in topology.dials(configuration.node) where topology.node(peer)?.state == .live {
            dialling[peer] = Dialling()
        }
        watch(wakeUp, read: true, write: false, isNew: true)
        if let listener { watch(listener.socket.descriptor, read: true, write: false, isNew: true) }
    }

    deinit {
        scratch.deallocate()
        Glibc.close(poll)
        Glibc.close(wakeUp)
    }

    /// The port on which links are accepted, if any are.
    package var port: UInt16? { listener?.socket.port }

    package func start() { Threads.start("links") { self.run() } }

    /// Says good-bye to every peer and ends the thread. Returns when it has ended.
    package func stop() {
        post(.stop)
        finished.wait(until: { $0 }, then: { _ in })
    }

    /// Runs `body` on the loop's thread and waits for what it says.
    package func ask<Answer: Sendable>(_ body: @escaping @Sendable (borrowing Exchange) -> Answer) -> Answer {
        look { loop in body(loop.exchange) }
    }

    /// Runs `body` on the loop's thread, which alone may touch the loop, and waits for what it says.
    func look<Answer: Sendable>(_ body: @escaping @Sendable (LinkLoop) -> Answer) -> Answer {
        let answer = Monitor<Answer?>(nil)
        post(.perform { loop in answer.change { $0 = body(loop) } })
        return answer.wait(until: { $0 != nil }) { answer in
            guard let answer else { preconditionFailure("waited for") }
            return answer
        }
    }

    /// Has `body` look on the loop's thread whenever a peer has been heard, until it says false.
    package func follow(_ body: @escaping @Sendable (borrowing Exchange) -> Bool) {
        post(.perform { loop in loop.followers.append(body) })
    }

    /// For the store's observer: what a durable commit has changed.
    package func committed(_ report: CommitReport) { post(.committed(report)) }

    /// A newer topology, and what TLS goes by with it.
    package func topologyChanged(_ topology: Topology, _ context: TLSContext) {
        post(.perform { loop in loop.replace(topology, context) })
    }

    func post(_ event: Inbound) {
        let wasEmpty = inbound.changeQuietly { queue in
            queue.append(event)
            return queue.count == 1
        }
        guard wasEmpty else { return }
        var one: UInt64 = 1
        _ = Glibc.write(wakeUp, &one, 8)
    }

    // MARK: The loop

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 128)
        while !stopping {
            let count = epoll_wait(poll, &events, CInt(events.count), timeout())
            for index in 0..<max(0, Int(count)) {
                let descriptor = events[index].data.fd
                if descriptor == wakeUp {
                    takeInbound()
                } else if descriptor == listener?.socket.descriptor {
                    acceptSome()
                } else if let connection = connections[descriptor] {
                    handle(connection, events[index].events)
                }
            }
            tick(now())
        }
        for connection in Array(connections.values) {
            hangUp(connection, code: "stopping", detail: "the node is stopping")
        }
        connections = [:]
        listener = nil
        saveReports(all: true)
        for event in told.minuteEnded(at: now() + LogBudget.minute) { configuration.log(event) }
        finished.change { $0 = true }
    }

    func now() -> Int64 { Clocks.monotonicMicroseconds() / 1000 }

    private func timeout() -> CInt {
        var next = now() + 500
        guard halted == nil else { return 500 }
        for (peer, dial) in dialling where !dial.isOpen && paused[peer] == nil { next = min(next, dial.nextAttempt) }
        return CInt(max(1, next - now()))
    }

    private func takeInbound() {
        var count: UInt64 = 0
        _ = Glibc.read(wakeUp, &count, 8)
        let events = inbound.changeQuietly { queue in
            defer { queue = [] }
            return queue
        }
        for event in events {
            switch event {
            case .perform(let body): body(self)
            case .stop: stopping = true
            case .committed where halted != nil, .workDone where halted != nil: break
            case .committed(let report): committedHere(report)
            case .workDone(let tag, let result):
                act(exchange.workDone(tag, result))
                if case .receive(let number) = tag { readOn(number) }
            }
        }
    }

    private func committedHere(_ report: CommitReport) {
        var mayRelay = exchange.mayRelay
        if report.share >= WritePurpose.relay.share { mayRelay = false } else if report.share < 85 { mayRelay = true }
        act(exchange.roomChanged(mayRelay: mayRelay, closed: report.closedRooms))
        act(exchange.committed(report.changes))
    }

    private func tick(_ now: Int64) {
        if now >= nextFlush {
            nextFlush = now + LinkLoop.flushMilliseconds
            saveReports()
            store.writer.flush()
            for connection in Array(connections.values) { keepAlive(connection, now) }
        }
        for event in told.minuteEnded(at: now) { configuration.log(event) }
        if let time = acceptsAgainAt, now >= time, let listener {
            acceptsAgainAt = nil
            watch(listener.socket.descriptor, read: true, write: false)
        }
        guard !stopping, halted == nil else { return }
        for peer in dialling.keys.sorted() where paused[peer] == nil {
            guard let dial = dialling[peer], !dial.isOpen, dial.nextAttempt <= now else { continue }
            self.dial(peer)
        }
    }

    func numberFor(_ connection: Connection) -> SessionNumber {
        defer { nextNumber += 1 }
        numbered[nextNumber] = connection.descriptor
        return nextNumber
    }

    func forget(_ descriptor: CInt) { epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, nil) }

    func watch(_ descriptor: CInt, read: Bool, write: Bool, isNew: Bool = false) {
        var event = epoll_event()
        event.events = (read ? EPOLLIN.rawValue : 0) | (write ? EPOLLOUT.rawValue : 0)
        event.data.fd = descriptor
        epoll_ctl(poll, isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event)
    }

    /// Says what others can bring about, within their budget.
    func tell(_ event: Event) { for line in told.happened(event, at: now()) { configuration.log(line) } }

    // MARK: Actions

    func act(_ actions: [ExchangeAction]) {
        for action in actions {
            switch action {
            case .send(let number, let bytes): if let connection = connection(number) { send(connection, bytes) }
            case .close(let number, let code, let detail):
                if let connection = connection(number) { hangUp(connection, code: code, detail: detail) }
            case .submit(let work, let tag): store.writer.submit([job(work, tag)])
            case .submitLazily(let work, let tag): store.writer.submitLazily(job(work, tag))
            case .pump(let number): if let connection = connection(number) { pump(connection) }
            case .reported(let node, let report): heard(report, of: node)
            case .note(let code, let peer, let detail):
                tell(Event(code: code, peer: peer, detail: detail))
            }
        }
    }

    private func connection(_ number: SessionNumber) -> Connection? { numbered[number].flatMap { connections[$0] } }

    private func job(_ work: ExchangeWork, _ tag: WorkTag) -> WriteJob {
        let inbox = inbox
        let mayRelay = exchange.mayRelay
        var outcome = ExchangeOutcome()
        let purpose: WritePurpose = if case .receive = work { .delivery } else { .essential }
        return WriteJob(purpose, records: work.records, nested: false) { transaction in
            outcome = try inbox.perform(work, mayRelay: mayRelay, in: transaction)
        } completion: { [unowned self] result in
            switch result {
            case .success: post(.workDone(tag, .success(outcome)))
            case .failure(let error):
                let fault = error as? StoreError ?? StoreError(.engine, "\(error)", remedy: "see the log")
                post(.workDone(tag, .failure(fault)))
            }
        }
    }
}

/// Which packs are held against the running digests before they leave: those that an earlier process has written, and those
/// that have lain for a minute. What was written just now is read from memory, and a digest of it costs as much as TLS.
final class SoundPacks {
    static let restMilliseconds: Int64 = 60_000
    /// How far each stream was when this process began.
    private let before: [UInt32: UInt64]
    /// The last one of each stream: it is read for every few frames.
    private var seen: [UInt32: (first: UInt64, last: UInt64)] = [:]

    init(_ rows: [StreamRow]) {
        before = Dictionary(rows.map { ($0.ordinal, $0.last) }, uniquingKeysWith: { first, _ in first })
    }

    func mustCheck(_ pack: Pack, _ ordinal: UInt32) -> Bool {
        if let known = seen[ordinal], known.first == pack.first, known.last == pack.last { return false }
        if pack.first <= before[ordinal] ?? 0 { return true }
        guard let created = pack.firstCreated else { return true }
        return Clocks.wall().milliseconds - created > SoundPacks.restMilliseconds
    }

    func note(_ pack: Pack, _ ordinal: UInt32) { seen[ordinal] = (pack.first, pack.last) }
}

/// Reads packs for the exchange, each in a transaction of its own. What is not what was written does not leave the node.
struct StoreReading: OutboxReading {
    let store: Store
    let seen: SoundPacks
    let failed: (StoreError) -> Void

    func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? {
        do throws(StoreError) {
            return try store.read { transaction throws(StoreError) in
                let pack = try Outbox.pack(holding: position, of: ordinal, in: transaction)
                if let pack, seen.mustCheck(pack, ordinal) {
                    try Outbox.requireSound(pack, of: ordinal, stream, in: transaction)
                    seen.note(pack, ordinal)
                }
                return pack
            }
        } catch {
            failed(error)
            return nil
        }
    }
}

extension LinkLoop {
    /// A stream whose envelopes cannot be read stands still; that is said, once a start.
    var reading: StoreReading {
        StoreReading(store: store, seen: soundPacks) { [unowned self] error in
            guard !hasToldDamage else { return }
            hasToldDamage = true
            configuration.log(
                Event(code: error.code.rawValue, peer: nil, detail: "\(error.detail); \(error.remedy)"))
        }
    }
}
