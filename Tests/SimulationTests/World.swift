import FederationTestKit

@testable import Federation

/// How often what goes wrong, drawn from the seed.
struct FaultPlan {
    var frameFault = 0.0
    var cut = 0.0
    var crash = 0.0
    var crashInCommit = 0.0
    var restore = 0.0
    var longDelay = 0.0
    var full = 0.0
    /// A region is backed up, or put back from its newest backup.
    var backup = 0.0
    var putBack = 0.0
    /// Envelopes that a destination's lane may hold at a node.
    var roomCount = 65_536

    static func random(using random: inout SeededRandom) -> FaultPlan {
        func rate(_ most: Double) -> Double {
            Bool.random(using: &random) ? Double.random(in: 0...most, using: &random) : 0
        }
        let count = Bool.random(using: &random) ? Int.random(in: 3...24, using: &random) : 65_536
        var plan = FaultPlan(
            frameFault: rate(0.04), cut: rate(0.02), crash: rate(0.01), crashInCommit: rate(0.02), restore: rate(0.004),
            longDelay: rate(0.05), full: rate(0.02), roomCount: count)
        // Not beside a relay that is put back: then two lives would have forgotten at once.
        if plan.restore == 0 { (plan.backup, plan.putBack) = (rate(0.03), rate(0.02)) }
        return plan
    }
}

/// What a world is made of, when it is not the usual one.
struct Scene {
    /// Whom the relay stands between; the last one publishes.
    var leaves = ["region-a", "region-b", "centre"]
    /// Envelopes that a destination's lane may hold at a node; nil: by the plan.
    var roomCount: Int?
    /// Virtual milliseconds at which a leaf first finds the relay; absent: at once.
    var linkedAt: [String: Int64] = [:]
    /// Bytes a millisecond of a leaf's line; absent: as many as there are.
    var line: [String: Int64] = [:]
    /// Nothing goes wrong but what the scene says.
    var isCalm = false
    /// Messages that end the process, and such as need a newer topology, are among those sent.
    var hasTraps = true
    /// People work at the centre and in the regions, and the newer topology moves a home.
    var hasAppeals = false
    /// Virtual seconds at which a node's certificate ends; absent: never.
    var certificateEnds: [String: Int64] = [:]
    /// Milliseconds that a node's clock is ahead.
    var clockAhead: [String: Int64] = [:]
}

/// Two regions, a relay and a centre on virtual clock, network and disk. One seed replays everything.
final class World {
    typealias Event = () -> Void

    private(set) var now: Int64 = 0
    private var random: SeededRandom
    private var plan: FaultPlan
    private var events: [(time: Int64, order: Int, run: Event)] = []
    private var order = 0
    private let routes: SimulatedRoutes
    private let relay: SimulatedNode
    let nodes: [NodeID: SimulatedNode]
    /// What was accepted from citizens, as a channel was told.
    var appeals: [String] = []
    private let names: [NodeID]
    let bug: PlantedBug?
    /// How often each message has ended a process.
    var traps: [CountingApplication.Message: Int] = [:]
    var scene: Scene
    private var pumpsWaiting: Set<SessionNumber> = []
    private(set) var connections: [Int: Connection] = [:]
    private var nextConnection = 0
    private var nextSession: SessionNumber = 0
    private var faultsEnabled = true
    private var relayIsRewound = false
    /// What an earlier life of the relay said may still be on its way.
    private var lastWipe = Int64.min / 2

    /// What was accepted: (origin, id) to destination. Written when the commit was told, as a caller would learn it.
    private(set) var accepted: [(origin: NodeID, id: ID128, destination: NodeID, serial: Int)] = []
    private(set) var serial = 0
    var hasBeenPutBack: Set<NodeID> = []
    private var sent: Set<CountingApplication.Message> = []
    private var burnt: Set<CountingApplication.Message> = []
    private(set) var published: [ID128] = []
    var violations: [String] = []
    private(set) var eventCount = 0
    private(set) var faults: [String: Int] = [:]
    /// Rooms that were full at once, by node.
    private(set) var mostFull: [NodeID: Int] = [:]
    /// Milliseconds from the wish to send to the effect, by message.
    private(set) var latency: [ID128: Int64] = [:]

    struct Connection {
        var ends: [(node: NodeID, session: SessionNumber, life: Int)]
        /// As each end judges by its own clock.
        var scopes: [SessionScope]
        /// When the last bytes sent by each end arrive: what follows comes no earlier.
        var arrival: [Int64] = [0, 0]
        var dead = false
    }

    init(seed: UInt64, bug: PlantedBug? = nil, scene: Scene = Scene()) {
        random = SeededRandom(seed: seed)
        plan = FaultPlan.random(using: &random)
        if scene.isCalm { plan = FaultPlan() }
        if let roomCount = scene.roomCount { plan.roomCount = roomCount }
        // TCP never loses an acknowledgement that stands before a receipt. If it did, a relay would hand a refused
        // escalation to a destination that has forgotten having refused it: a desk may decide otherwise by then.
        if scene.hasAppeals, plan.putBack > 0 { plan.frameFault = 0 }
        self.scene = scene
        self.bug = bug
        let parsed = (["relay"] + scene.leaves).compactMap { NodeID($0) }
        names = parsed
        routes = SimulatedRoutes(relay: parsed[0], leaves: Array(parsed.dropFirst()))
        nodes = Dictionary(uniqueKeysWithValues: parsed.map { ($0, SimulatedNode($0)) })
        relay = nodes[parsed[0]] ?? SimulatedNode(parsed[0])
        if !scene.hasTraps { for node in nodes.values { node.topologyVersion.changeQuietly { $0 = 2 } } }
        for name in names { boot(name) }
        for leaf in routes.leaves {
            at(scene.linkedAt[leaf.text] ?? 0) { [unowned self] in dial(leaf) }
        }
        every(1000) { [unowned self] in
            for name in names { flush(name) }
            lookAtCertificates()
        }
        every(20) { [unowned self] in inject() }
        if scene.hasAppeals { openOffices() }
    }

    // MARK: Running

    /// Traffic with faults, then peace until everything has drained.
    func run(messages: Int) {
        for index in 0..<messages {
            at(Int64.random(in: 0...4000, using: &random)) { [unowned self] in submit(index) }
        }
        for name in names {
            at(Int64.random(in: 500...5000, using: &random)) { [unowned self] in
                if let node = nodes[name] { newTopology(node) }
            }
        }
        advance(to: 6000)
        faultsEnabled = false
        for name in names { renew(name.text) }
        for name in names where nodes[name]?.isUp == false { boot(name) }
        every(500) { [unowned self] in for name in names { if let node = nodes[name] { decide(node) } } }
        let limit = now + 600_000
        while now < limit && violations.isEmpty && !(drained() && appealsAreDone()) { advance(to: now + 500) }
        check()
        checkAppeals()
    }

    func advance(to time: Int64) {
        while let first = events.first, first.time <= time, violations.isEmpty {
            pop()
            now = first.time
            eventCount += 1
            first.run()
        }
        now = max(now, time)
        // Planted bugs are for the promises to catch.
        guard bug == nil else { return }
        for name in names where nodes[name].map({ $0.isUp && !roomsAgree($0) }) ?? false {
            violations.append("\(now): \(name) counts its rooms otherwise than its store holds")
        }
    }

    func at(_ time: Int64, _ run: @escaping Event) {
        order += 1
        events.append((max(time, now), order, run))
        var child = events.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard earlier(child, parent) else { break }
            events.swapAt(child, parent)
            child = parent
        }
    }

    /// Time passes in which nothing happens: days at once.
    func skip(seconds: Int64) {
        now += 1000 * seconds
        for index in events.indices { events[index].time += 1000 * seconds }
    }

    private func earlier(_ left: Int, _ right: Int) -> Bool {
        (events[left].time, events[left].order) < (events[right].time, events[right].order)
    }

    private func pop() {
        events.swapAt(0, events.count - 1)
        events.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < events.count && earlier(child, least) {
                least = child
            }
            if least == parent { return }
            events.swapAt(parent, least)
            parent = least
        }
    }

    func after(_ delay: Int64, _ run: @escaping Event) { at(now + delay, run) }

    func every(_ period: Int64, _ run: @escaping Event) {
        after(period) { [unowned self] in
            run()
            every(period, run)
        }
    }

    private func chance(_ probability: Double) -> Bool {
        faultsEnabled && probability > 0 && Double.random(in: 0..<1, using: &random) < probability
    }

    func draw(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }

    func met(_ fault: String, _ count: Int = 1) { faults[fault, default: 0] += count }

    func randomID() -> ID128 {
        ID128(
            high: UInt64.random(in: .min ... .max, using: &random),
            low: UInt64.random(in: .min ... .max, using: &random))
    }

    // MARK: Processes

    private func boot(_ name: NodeID) {
        guard let node = nodes[name], !node.isUp else { return }
        do {
            try node.start(
                newIncarnation: Incarnation(bits: randomID()), routes: routes, bug: bug,
                limits: .init(count: plan.roomCount, bytes: 512 << 20), now: Timestamp(milliseconds: now))
            if !scene.hasTraps { node.application?.isMended = true }
            if scene.hasAppeals { openDesk(node) }
            releaseParked(node)
            askForGaps(node)
            if node.exchange?.isControlOnly == true { agree(node) }
            if scene.hasAppeals { reconcile(node) }
        } catch { violations.append("\(name) does not start: \(error)") }
    }

    func crash(_ name: NodeID, _ why: String) {
        guard let node = nodes[name], node.isUp else { return }
        met(why)
        let lost = node.connections.values.sorted()
        node.kill()
        for connection in lost { drop(connection) }
        after(Int64.random(in: 20...800, using: &random)) { [unowned self] in boot(name) }
    }

    private func inject() {
        guard faultsEnabled else { return }
        for name in names where chance(plan.crash) { crash(name, "crash") }
        for number in connections.keys.sorted() where chance(plan.cut) {
            met("cut")
            drop(number)
        }
        for name in routes.leaves.dropLast() {
            guard let node = nodes[name] else { continue }
            if chance(plan.backup) { backUp(node) }
            if chance(plan.putBack) { putBack(node) }
        }
        if relay.isUp, relay.exchange?.mayRelay == true, chance(plan.full) { fillRelay() }
        if relay.snapshot == nil, chance(plan.restore * 5) { relay.snapshot = relay.engine.committed }
        if let snapshot = relay.snapshot, relay.isUp, !relayIsRewound, chance(plan.restore * 3) {
            // Somebody puts an old copy of the relay's disk back.
            crash(relay.name, "restore")
            relay.engine.restore(snapshot)
            relay.snapshot = nil
            relayIsRewound = true
        }
    }

    /// The relay has no room for others for a while.
    private func fillRelay() {
        met("no room")
        act(relay, relay.exchange?.roomChanged(mayRelay: false, closed: relay.rooms?.closed ?? []) ?? [])
        let life = relay.life
        after(Int64.random(in: 20...900, using: &random)) { [unowned self] in
            guard relay.life == life else { return }
            act(relay, relay.exchange?.roomChanged(mayRelay: true, closed: relay.rooms?.closed ?? []) ?? [])
        }
    }

    /// The administrator's way out for a relay, which owns nothing: an empty store, a new life.
    private func wipeRelay() {
        guard relayIsRewound else { return }
        relayIsRewound = false
        lastWipe = now
        met("wiped")
        crash(relay.name, "rewind found")
        relay.engine = MemoryEngine()
        relay.synced = nil
        relay.snapshot = nil
    }

    // MARK: Accepting

    private func submit(_ index: Int) {
        let leaves = routes.leaves
        if index % 5 == 4 { return publish(index) }
        let origin = leaves[Int.random(in: 0..<leaves.count, using: &random)]
        let others = leaves.filter { $0 != origin }
        // One that is of the application, in the lane of control.
        let urgent = MessageKind(rawValue: 15) ?? .answer
        let kinds: [MessageKind] = [.escalation, .escalation, .answer, urgent, .entry]
        let kind = kinds[Int.random(in: 0..<kinds.count, using: &random)]
        // Some ids are used by two origins: each of them means its own message.
        let id = ID128(high: 7, low: UInt64(index / 2 * 2 + (index % 8 == 1 ? 0 : index % 2)))
        // A caller that was not told asks again for the same: the destination follows from the id.
        let destination = others[Int(id.low / 2) % others.count]
        if accepted.contains(where: { $0.origin == origin && $0.id == id }) { return }
        if burnt.contains(.init(origin: origin, id: id)) { return }
        // What fits the newer topology only is sent by whoever has it.
        if scene.hasTraps, CountingApplication.needsNewer(id), nodes[origin]?.topologyVersion.changeQuietly({ $0 }) != 2
        {
            return
        }
        let size = [40, 700, 3000, 30_000][Int.random(in: 0..<4, using: &random)]
        guard let node = nodes[origin], node.isUp, let outbox = node.outbox else { return }
        let life = node.life
        let job = WriteJob(.intake) { [unowned self] transaction in
            let key = CountingApplication.key(origin, id)
            if try transaction.get(CountingApplication.accepted, key) != nil { return }
            try transaction.put(CountingApplication.accepted, key, [1])
            sent.insert(.init(origin: origin, id: id))
            try outbox.send(
                kind, id: id, to: destination,
                body: EnvelopeBody(bytes: Array(repeating: UInt8(index & 255), count: size)),
                in: transaction)
        } completion: { [unowned self] result in
            if case .failure(let error) = result, (error as? StoreError)?.code == .full { met("room full") }
            guard case .success = result, node.life == life else { return }
            if !accepted.contains(where: { $0.origin == origin && $0.id == id }) {
                serial += 1
                accepted.append((origin, id, destination, serial))
            }
        }
        enqueue(node, job)
    }

    /// Sends one message at an instant, and notes how long it takes.
    func send(_ kind: MessageKind, _ id: ID128, from origin: String, to destination: String, at time: Int64) {
        at(time) { [unowned self] in
            guard let from = NodeID(origin), let to = NodeID(destination), let node = nodes[from],
                let outbox = node.outbox, let application = nodes[to]?.application
            else { return violations.append("\(origin) or \(destination) is not up") }
            let job = WriteJob(.people) { transaction in
                try outbox.send(
                    kind, id: id, to: to, body: EnvelopeBody(bytes: Array(repeating: 7, count: 4000)), in: transaction)
            } completion: { [unowned self] result in
                if case .failure = result { met("room full") }
            }
            application.watch(id) { [unowned self] in latency[id] = now - time }
            enqueue(node, job)
        }
    }

    /// The centre publishes an entry for every node.
    func publish(_ index: Int) {
        let centre = routes.leaves[routes.leaves.count - 1]
        let id = ID128(high: 8, low: UInt64(index))
        guard let node = nodes[centre], node.isUp, let outbox = node.outbox else { return }
        let life = node.life
        let job = WriteJob(.intake) { transaction in
            try outbox.send(
                .entry, id: id, to: .everyone,
                body: EnvelopeBody(bytes: Array(repeating: UInt8(index & 255), count: 900)),
                in: transaction)
        } completion: { [unowned self] result in
            if case .success = result, node.life == life { published.append(id) }
        }
        enqueue(node, job)
    }

    // MARK: Disk

    func enqueue(_ node: SimulatedNode, _ job: WriteJob) {
        node.queue.append(job)
        startCommit(node)
    }

    private func flush(_ name: NodeID) {
        guard let node = nodes[name], node.isUp, !node.lazy.isEmpty else { return }
        startCommit(node, force: true)
    }

    private func startCommit(_ node: SimulatedNode, force: Bool = false) {
        guard !node.committing, !node.queue.isEmpty || force else { return }
        node.committing = true
        let life = node.life
        after(Int64.random(in: 1...6, using: &random)) { [unowned self] in
            guard node.life == life, node.isUp else { return }
            commit(node)
        }
    }

    private func commit(_ node: SimulatedNode) {
        node.committing = false
        let jobs = Array(node.queue.prefix(64)) + node.lazy
        node.queue.removeFirst(min(64, node.queue.count))
        node.lazy = []
        guard !jobs.isEmpty, let rooms = node.rooms else { return }
        if chance(plan.crashInCommit) { return crash(node.name, "crash before commit") }
        let before = node.engine.committed
        let sealed: GroupCommit.Sealed
        do {
            sealed = try GroupCommit.run(
                jobs, on: node.engine, quota: 0, rooms: rooms, now: Timestamp(milliseconds: now))
        } catch {
            if let trap = node.application?.trap { return trapped(node, trap) }
            violations.append("commit of \(node.name): \(error)")
            return
        }
        if chance(plan.crashInCommit) {
            // Between the effect and what should have been one with it.
            if bug == .watermarkOutsideTransaction {
                var torn = node.engine.committed
                torn[.streams] = before[.streams]
                torn[.outbox] = before[.outbox]
                node.engine.restore(torn)
            } else if Bool.random(using: &random) {
                met("unsynced writes lost")
                node.engine.restore(before)
            }
            return crash(node.name, "crash in commit")
        }
        plantInStore(node)
        if bug == .ackBeforeSync {
            let tables = node.engine.committed
            let life = node.life
            if node.synced == nil { node.synced = before }
            after(30) { if node.life == life { node.synced = tables } }
        }
        let full = rooms.uses.keys.filter { !rooms.hasPlace($0, for: .people) }.count
        mostFull[node.name] = max(mostFull[node.name] ?? 0, full)
        let mayRelay = node.exchange?.mayRelay ?? true
        act(node, node.exchange?.roomChanged(mayRelay: mayRelay, closed: sealed.report.closedRooms) ?? [])
        act(node, node.exchange?.committed(sealed.report.changes) ?? [])
        for outcome in sealed.outcomes { outcome.job.completion(outcome.result) }
        if chance(plan.crashInCommit) { return crash(node.name, "crash after commit") }
        startCommit(node)
    }

    // MARK: Network

    private func dial(_ leaf: NodeID) {
        after(Int64.random(in: 20...300, using: &random)) { [unowned self] in
            defer { dial(leaf) }
            guard let node = nodes[leaf], node.isUp, relay.isUp else { return }
            guard !connections.values.contains(where: { $0.ends[0].node == leaf && !$0.dead }) else { return }
            connect(node, relay)
        }
    }

    private func connect(_ dialler: SimulatedNode, _ listener: SimulatedNode) {
        let scopes = [dialler, listener].compactMap { scope(dialler.name, listener.name, at: $0.name) }
        // Too long ago for one of the two: it refuses the handshake.
        guard scopes.count == 2 else { return }
        nextConnection += 1
        let number = nextConnection
        var connection = Connection(ends: [], scopes: scopes)
        for node in [dialler, listener] {
            nextSession += 1
            connection.ends.append((node.name, nextSession, node.life))
            node.assemblers[nextSession] = FrameAssembler()
            node.connections[nextSession] = number
        }
        connections[number] = connection
        for (index, node) in [dialler, listener].enumerated() {
            let peer = index == 0 ? listener : dialler
            let actions = node.exchange?.sessionOpened(
                connection.ends[index].session, peer: peer.name, dialled: index == 0, scope: scopes[index])
            act(node, actions ?? [])
        }
    }

    /// Both ends learn, each in its own time, that the connection is gone.
    func drop(_ number: Int) {
        guard let connection = connections[number], !connection.dead else { return }
        connections[number]?.dead = true
        for end in connection.ends {
            after(Int64.random(in: 0...200, using: &random)) { [unowned self] in
                connections[number] = nil
                guard let node = nodes[end.node], node.life == end.life else { return }
                node.exchange?.sessionClosed(end.session)
                node.assemblers[end.session] = nil
                node.connections[end.session] = nil
            }
        }
    }

    private func send(_ node: SimulatedNode, _ session: SessionNumber, _ bytes: [UInt8]) {
        guard let number = node.connections[session], var connection = connections[number], !connection.dead,
            let side = connection.ends.firstIndex(where: { $0.session == session })
        else { return }
        var delay = Int64.random(in: 1...10, using: &random)
        if chance(plan.longDelay) {
            met("delay")
            delay += Int64.random(in: 50...2000, using: &random)
        }
        var time = max(now + delay, connection.arrival[side])
        if let rate = line(connection) {
            time = max(now, connection.arrival[side]) + Int64(bytes.count) / rate + delay / 4
        }
        connection.arrival[side] = time
        connections[number] = connection
        let other = connection.ends[1 - side]
        at(time) { [unowned self] in
            guard connections[number] != nil, let peer = nodes[other.node], peer.life == other.life else { return }
            deliver(bytes, to: peer, other.session, number)
        }
    }

    private func line(_ connection: Connection) -> Int64? { scene.line[connection.ends[0].node.text] }

    /// Bytes of a session that its line has not carried yet.
    private func unsent(_ node: SimulatedNode, _ session: SessionNumber) -> (bytes: Int64, rate: Int64)? {
        guard let number = node.connections[session], let connection = connections[number],
            let rate = line(connection), let side = connection.ends.firstIndex(where: { $0.session == session })
        else { return nil }
        return (max(0, connection.arrival[side] - now) * rate, rate)
    }

    private func deliver(_ bytes: [UInt8], to node: SimulatedNode, _ session: SessionNumber, _ connection: Int) {
        guard node.isUp, var assembler = node.assemblers[session] else { return }
        var frames = cutIntoFrames(bytes)
        // What TCP never does inside a connection: after it the connection does not live long. Only whole messages: that
        // fragments of two envelopes do not mix is what TLS is for.
        if !frames.isEmpty, !assembler.isInMidst,
            !frames.contains(where: { $0[$0.startIndex + 5] & FrameFlags.fragment != 0 }),
            chance(plan.frameFault)
        {
            let index = Int.random(in: 0..<frames.count, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                met("loss")
                frames.remove(at: index)
            case 1:
                met("duplication")
                frames.insert(frames[index], at: index)
            default:
                met("reordering")
                frames.swapAt(index, Int.random(in: 0..<frames.count, using: &random))
            }
            after(Int64.random(in: 0...400, using: &random)) { [unowned self] in drop(connection) }
        }
        for frame in frames { frame.withUnsafeBytes { assembler.append($0) } }
        while true {
            do {
                guard let message = try assembler.next() else { break }
                node.assemblers[session] = assembler
                if bug == .skippedGap { stepOverGap(node, message) }
                let bits = randomID()
                let actions = node.exchange?.arrived(
                    message, in: session, reading: SimulatedReading(engine: node.engine), random: { bits })
                act(node, actions ?? [])
                guard node.isUp, let next = node.assemblers[session] else { return }
                assembler = next
            } catch {
                act(node, node.exchange?.violated(session, error) ?? [])
                return
            }
        }
        node.assemblers[session] = assembler
    }

    private func cutIntoFrames(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var frames: [ArraySlice<UInt8>] = []
        var start = 0
        while start + 4 <= bytes.count {
            let length = (0..<4).reduce(0) { $0 << 8 | Int(bytes[start + $1]) }
            frames.append(bytes[start..<min(start + length, bytes.count)])
            start += length
        }
        return frames
    }

    // MARK: Actions

    func act(_ node: SimulatedNode, _ actions: [ExchangeAction]) {
        for action in actions {
            switch action {
            case .send(let session, let bytes): send(node, session, bytes)
            case .close(let session, _, _): if let number = node.connections[session] { drop(number) }
            case .submit(let work, let tag): enqueue(node, job(node, work, tag))
            case .submitLazily(let work, let tag): node.lazy.append(job(node, work, tag))
            case .pump(let session): pump(node, session)
            case .reported: break
            case .note(let code, let peer, let detail): noted(node, code, peer, detail)
            }
        }
    }

    private func noted(_ node: SimulatedNode, _ code: String, _ peer: NodeID, _ detail: String) {
        if code == "conservation-broken" || code == "gap-lost" && !hasBeenPutBack.contains(peer) {
            violations.append("\(now): \(node.name) says of \(peer): \(code), \(detail)")
        }
        guard code == "node-rewound" else { return }
        if relayIsRewound, node.name == relay.name || peer == relay.name {
            after(50) { [unowned self] in wipeRelay() }
        } else if now - lastWipe > 2500 {
            violations.append("\(now): \(node.name) says of \(peer): \(detail)")
        }
    }

    private func job(_ node: SimulatedNode, _ work: ExchangeWork, _ tag: WorkTag) -> WriteJob {
        let life = node.life
        let inbox = node.inbox
        var outcome = ExchangeOutcome()
        let mayRelay = node.exchange?.mayRelay ?? true
        return WriteJob(.essential, records: work.records, nested: false) { transaction in
            if let inbox { outcome = try inbox.perform(work, mayRelay: mayRelay, in: transaction) }
        } completion: { [unowned self] result in
            guard node.life == life else { return }
            let told: Result<ExchangeOutcome, StoreError> =
                switch result {
                case .success: .success(outcome)
                case .failure(let error):
                    .failure(error as? StoreError ?? StoreError(.engine, "\(error)", remedy: ""))
                }
            act(node, node.exchange?.workDone(tag, told) ?? [])
        }
    }

    private func pump(_ node: SimulatedNode, _ session: SessionNumber) {
        guard node.isUp, node.connections[session] != nil else { return }
        var room = 32_768
        if let (waiting, rate) = unsent(node, session) {
            // As the loop does it: 16 KiB unsent in the kernel, and nothing behind them.
            room = LinkLoop.leastReady
            guard waiting <= 16_384 else {
                guard pumpsWaiting.insert(session).inserted else { return }
                return after((waiting - 16_384) / rate + 1) { [unowned self] in
                    pumpsWaiting.remove(session)
                    pump(node, session)
                }
            }
        }
        var bytes: [UInt8] = []
        node.exchange?.pump(session, room: room, reading: SimulatedReading(engine: node.engine), into: &bytes)
        guard !bytes.isEmpty else { return }
        send(node, session, bytes)
        if bug == .deleteOnSend { deleteSent(node, session) }
        let life = node.life
        if bytes.count >= room { after(3) { [unowned self] in if node.life == life { pump(node, session) } } }
    }

    // MARK: Promises

    /// What a node had accepted since, and nobody else may know of.
    func forget(_ origin: NodeID, since serial: Int) {
        // Under the same id something else would be meant.
        burnt.formUnion(sent.filter { $0.origin == origin })
        accepted.removeAll { $0.serial > serial && $0.origin == origin }
    }

    private func tally(_ node: NodeID, _ table: Table, _ origin: NodeID, _ id: ID128) -> Int {
        let key = CountingApplication.key(origin, id)
        guard let found = nodes[node]?.engine.committed[table], let index = found.index(of: key) else { return 0 }
        return Int(found.values[index].first ?? 0)
    }

    private func drained() -> Bool {
        everyoneHasRead() && missing() == 0 && !somebodyMustDecide()
            && accepted.allSatisfy { message in
                tally(message.origin, CountingApplication.confirmed, message.origin, message.id)
                    + tally(message.origin, CountingApplication.returned, message.origin, message.id) > 0
            }
    }

    /// The ledger has followed every transaction, and every part that was undone.
    private func roomsAgree(_ node: SimulatedNode) -> Bool {
        let counted = try? Store.read(node.engine) { transaction throws(StoreError) in
            try RoomLedger(limits: .usual, in: transaction)
        }
        return node.rooms?.uses == counted?.uses
    }

    /// Published entries that a node has not read yet.
    func behind(_ name: String) -> Int {
        guard let publisher = routes.publisher, let reader = NodeID(name) else { return 0 }
        return published.filter { tally(reader, CountingApplication.applied, publisher, $0) == 0 }.count
    }

    private var readers: [NodeID] { names.filter { $0 != routes.publisher } }

    private func everyoneHasRead() -> Bool {
        guard let publisher = routes.publisher else { return true }
        return published.allSatisfy { id in
            readers.allSatisfy { tally($0, CountingApplication.applied, publisher, id) > 0 }
        }
    }

    /// Nothing accepted is lost, and everything takes effect once.
    private func check() {
        let givenBack = returned()
        for message in accepted {
            let effects = tally(message.destination, CountingApplication.applied, message.origin, message.id)
            let returned = tally(message.origin, CountingApplication.returned, message.origin, message.id)
            let confirmed = tally(message.origin, CountingApplication.confirmed, message.origin, message.id)
            let what = "message \(message.id.low) \(message.origin) → \(message.destination)"
            let isGivenBack = givenBack.contains(.init(origin: message.origin, id: message.id))
            // Which of the two a refusable one is, its destination has decided, once.
            let refused = CountingApplication.refuses(message.id) ? returned > 0 : isGivenBack
            if effects != (refused ? 0 : 1) { violations.append("\(what): \(effects) effects") }
            if returned != (refused ? 1 : 0) { violations.append("\(what): taken back \(returned) times") }
            if confirmed != (refused ? 0 : 1) { violations.append("\(what): confirmed \(confirmed) times") }
        }
        if !everyoneHasRead() { violations.append("what was published has not come to every node") }
        for (name, node) in nodes.sorted(by: { $0.key < $1.key }) {
            for (key, value) in zip(
                node.engine.committed[CountingApplication.applied]?.keys ?? [],
                node.engine.committed[CountingApplication.applied]?.values ?? [])
            where value != [1] { violations.append("\(name) applied \(key.suffix(8)) \(value) times") }
        }
    }
}
