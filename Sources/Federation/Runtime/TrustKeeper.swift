import CLinux

/// Keeps the signed metadata of a node: one thread that talks with neighbours about it, verifies what is newer, writes it and
/// has it put in force; at the centre it publishes, and signs the timestamp anew. No session waits for its disk.
package final class TrustKeeper: Sendable {
    /// What it does to the rest of the node.
    struct Outside: Sendable {
        var send: @Sendable (NodeID, [UInt8]) -> Void
        /// False: it could not, and is asked again.
        var apply: @Sendable (SignedFederation) -> Bool
        /// Looks whether the node has to sign its keys anew, and has the centre hear of it.
        /// - Returns: what the centre itself has to publish of its own.
        var publishKeys: @Sendable (SignedFederation, Timestamp) throws -> (NodeID, SignedKeys)?
        /// Looks whether the node, put back, has listened long enough; twice a second.
        /// - Returns: false while it has not: it signs nothing.
        var goesOn: @Sendable () -> Bool
        var log: @Sendable (LinkLoop.Event) -> Void
    }

    private enum Event {
        case up(NodeID, vouches: Bool)
        case arrived(NodeID, [UInt8])
        case perform(@Sendable (TrustKeeper) -> Void)
        case stop
    }

    /// The centre's.
    struct Online: Sendable {
        var snapshot: @Sendable () throws(FederationError) -> any MetadataSigner
        var timestamp: @Sendable () throws(FederationError) -> any MetadataSigner
    }

    /// What waits of one neighbour; what is more is not heard: it asks for four parts at a time.
    private static let mostOfOne = 32
    /// Questions that wait; what is more is not heard.
    private static let mostWaiting = 4096
    private static let tickMilliseconds = 500
    private static let saveMilliseconds: Int64 = 60_000
    private static let retryMilliseconds: Int64 = 10_000
    private static let applyMilliseconds: Int64 = 2_000
    private static let trimMilliseconds: Int64 = 3_000
    /// A node has heard from its neighbours what is newest before it looks whether its keys are in it.
    private static let firstLookMilliseconds: Int64 = 10_000
    private static let keysMilliseconds: Int64 = 3_600_000
    private static let offersMilliseconds: Int64 = 600_000
    /// Before what a node has offered in vain is looked at again.
    private static let offerPauseMilliseconds: Int64 = 10_000
    /// Parts that a neighbour is given within a second: 8 MiB.
    private static let mostParts = 1024

    private let folder: TrustFolder
    private let online: Online?
    private let queue = Monitor<[Event]>([])
    private let finished = Monitor(true)
    private let outside = Monitor<Outside?>(nil)
    /// What others read; the thread alone writes.
    private let shown: Monitor<(state: SignedFederation, freshness: Freshness)>

    // The thread's own.
    private struct Own: Sendable {
        var exchange: TrustExchange
        var monotonic: Int64
        var saved: Int64
        /// What was needed to read and verify is given back then.
        var trimAt: Int64
        var renewAgain: Int64
        /// What could not be put in force is tried again then.
        var applyAgain: Int64?
        /// When the node's own keys are looked at next.
        var keysAgain: Int64
        /// When a node may next publish its keys.
        var offersAgain: [NodeID: Int64] = [:]
        /// The file that was served last: it is asked for part by part.
        var served: (path: String, bytes: [UInt8])?
        /// What each neighbour has asked for in this second.
        var asked: [NodeID: (second: Int64, count: Int)] = [:]
    }
    private let own: Monitor<Own>

    /// - Parameter online: nil: not the centre.
    init(_ folder: TrustFolder, _ loaded: TrustFolder.Loaded, online: Online?) throws(FederationError) {
        self.folder = folder
        self.online = online
        let now = Clocks.wall()
        let timestamp = loaded.inForce.metadata.timestamp
        var freshness =
            Files.exists(folder.freshnessFile)
            ? try TrustFile.read(Freshness.self, folder.freshnessFile)
            : Freshness(version: timestamp?.common.version ?? 0, signedAt: timestamp?.signedAt, now: now)
        freshness.resumed(at: now)
        // What a courier has brought while the node was down.
        freshness.verified(timestamp?.common.version ?? 0, signedAt: timestamp?.signedAt, now: now)
        shown = Monitor((loaded.inForce, freshness))
        let monotonic = Clocks.monotonicMicroseconds() / 1000
        own = Monitor(
            Own(
                exchange: TrustExchange(loaded), monotonic: monotonic, saved: monotonic,
                trimAt: monotonic + TrustKeeper.trimMilliseconds,
                renewAgain: monotonic + TrustKeeper.firstLookMilliseconds,
                keysAgain: monotonic + TrustKeeper.firstLookMilliseconds))
    }

    package var state: SignedFederation { shown.changeQuietly { $0.state } }
    package var freshness: Freshness { shown.changeQuietly { $0.freshness } }
    /// Neighbours whose last word is that they have nothing newer than what is in force here.
    var agreeing: Set<NodeID> { own.changeQuietly { $0.applyAgain == nil ? $0.exchange.agreeing : [] } }

    func start(_ outside: Outside) {
        self.outside.changeQuietly { $0 = outside }
        finished.changeQuietly { $0 = false }
        Threads.start("trust") { [self] in run() }
    }

    func stop() {
        queue.change { $0.append(.stop) }
        finished.wait(until: { $0 }, then: { _ in })
    }

    // MARK: From the links

    /// - Parameter vouches: false: its session carries metadata only.
    func up(_ peer: NodeID, vouches: Bool) { queue.change { $0.append(.up(peer, vouches: vouches)) } }

    func arrived(_ peer: NodeID, _ bytes: [UInt8]) {
        queue.change { queue in
            // Of each: one that asks without end is heard no more than another.
            let own = queue.count { if case .arrived(peer, _) = $0 { true } else { false } }
            guard own < TrustKeeper.mostOfOne else { return }
            queue.append(.arrived(peer, bytes))
        }
    }

    // MARK: The thread

    private func run() {
        while true {
            let events: [Event]? = queue.wait(
                milliseconds: TrustKeeper.tickMilliseconds, until: { !$0.isEmpty },
                then: { queue in
                    defer { queue = [] }
                    return queue
                })
            for event in events ?? [] {
                switch event {
                case .up(let peer, let vouches):
                    step { exchange, _, monotonic in exchange.peerUp(peer, vouches: vouches, monotonic: monotonic) }
                case .arrived(let peer, let bytes):
                    // Who sends what is none of ours is not answered.
                    guard let message = try? MetadataMessage(decoding: bytes) else { continue }
                    step { $0.arrived(message, from: peer, now: $1, monotonic: $2) }
                case .perform(let body): body(self)
                case .stop:
                    save()
                    return finished.change { $0 = true }
                }
            }
            tick()
        }
    }

    private func step(_ body: (inout TrustExchange, Timestamp, Int64) -> [TrustExchange.Action]) {
        let now = freshness.time(Clocks.wall())
        let actions = own.changeQuietly { body(&$0.exchange, now, Clocks.monotonicMicroseconds() / 1000) }
        perform(actions)
    }

    private func tick() {
        let monotonic = Clocks.monotonicMicroseconds() / 1000
        let (passed, isDue) = own.changeQuietly { own in
            defer { own.monotonic = monotonic }
            return (monotonic - own.monotonic, monotonic - own.saved >= TrustKeeper.saveMilliseconds)
        }
        shown.changeQuietly { $0.freshness.passed(passed, at: Clocks.wall()) }
        if isDue { save() }
        // A federation is read as hundreds of trees, and all of them are let go of: the C library keeps their pages by itself.
        if own.changeQuietly({ $0.trimAt }) <= monotonic {
            own.changeQuietly { $0.trimAt = .max }
            malloc_trim(0)
        }
        step { $0.tick(now: $1, monotonic: $2) }
        if let again = own.changeQuietly({ $0.applyAgain }), again <= monotonic { apply(state) }
        if goesOn(), online != nil { renewIfDue(monotonic) }
        lookAtKeys(monotonic)
    }

    private func goesOn() -> Bool { outside.changeQuietly { $0 }?.goesOn() ?? true }

    private func save() {
        own.changeQuietly { $0.saved = Clocks.monotonicMicroseconds() / 1000 }
        do throws(FederationError) { try TrustFile.write(freshness, to: folder.freshnessFile) } catch { log(error) }
    }

    private func log(_ error: FederationError, _ peer: NodeID? = nil) {
        outside.changeQuietly { $0 }?.log(LinkLoop.Event(code: error.code, peer: peer, detail: error.detail))
    }

    private func perform(_ actions: [TrustExchange.Action]) {
        guard let outside = outside.changeQuietly({ $0 }) else { return }
        for action in actions {
            switch action {
            case .send(let peer, let message): outside.send(peer, message.encoded)
            case .serve(let peer, let path, let offset):
                if mayAsk(peer) { outside.send(peer, part(of: path, from: offset).encoded) }
            case .keep(let roots):
                do throws(FederationError) { try folder.keep(roots) } catch { log(error) }
            case .commit(let state): commit(state, outside)
            case .note(let code, let peer, let detail):
                outside.log(LinkLoop.Event(code: code, peer: peer, detail: detail))
            }
        }
    }

    private func mayAsk(_ peer: NodeID) -> Bool {
        let second = Clocks.monotonicMicroseconds() / 1_000_000
        return own.changeQuietly { own in
            let before = own.asked[peer].map { $0.second == second ? $0.count : 0 } ?? 0
            own.asked[peer] = (second, before + 1)
            return before < TrustKeeper.mostParts
        }
    }

    private func part(of path: String, from offset: UInt32) -> MetadataMessage {
        let kept = own.changeQuietly { $0.served?.path == path ? $0.served?.bytes : nil }
        guard let file = kept ?? folder.serve(path, maximum: TopologyDraft.maximumBytes), offset <= file.count else {
            return .part(path: path, length: nil, offset: offset, bytes: [])
        }
        // Until the last part has gone.
        let isLast = Int(offset) + MetadataMessage.partBytes >= file.count
        own.changeQuietly { $0.served = isLast ? nil : (path, file) }
        let bytes = file[Int(offset)...].prefix(MetadataMessage.partBytes)
        return .part(path: path, length: UInt32(file.count), offset: offset, bytes: Array(bytes))
    }

    private func commit(_ state: SignedFederation, _ outside: Outside) {
        // What cannot be written is in force all the same: a denial does not wait for a disk.
        do throws(FederationError) { try folder.commit(state) } catch { log(error) }
        own.changeQuietly { own in
            own.served = nil
            own.trimAt = Clocks.monotonicMicroseconds() / 1000 + TrustKeeper.trimMilliseconds
        }
        let timestamp = state.metadata.timestamp
        let before = shown.changeQuietly { shown in
            defer {
                shown.state = state
                shown.freshness.verified(
                    timestamp?.common.version ?? 0, signedAt: timestamp?.signedAt, now: Clocks.wall())
            }
            return shown.state
        }
        save()
        for (node, fault) in state.faults.sorted(by: { $0.key < $1.key }) where before.faults[node] != fault {
            outside.log(LinkLoop.Event(code: fault.code.rawValue, peer: node, detail: "its keys: \(fault.detail)"))
        }
        if !state.saysTheSame(as: before) { apply(state) }
    }

    private func apply(_ state: SignedFederation) {
        let isDone = outside.changeQuietly { $0 }?.apply(state) ?? true
        let again = isDone ? nil : Clocks.monotonicMicroseconds() / 1000 + TrustKeeper.applyMilliseconds
        own.changeQuietly { $0.applyAgain = again }
    }

    // MARK: At the centre

    /// Publishes what holders have signed: verified as every node will, written, in force here, and on its way to the others.
    /// It blocks.
    /// - Parameter objection: what this node has against it: it throws.
    package func publish(
        _ proposal: Proposal, objection: @escaping @Sendable (SignedFederation) throws -> Void
    ) throws -> SignedFederation {
        let result = Monitor<Result<SignedFederation, any Error>?>(nil)
        queue.change { queue in
            queue.append(
                .perform { keeper in
                    let made = Result { try keeper.publishHere(proposal, objection) }
                    result.change { $0 = made }
                })
        }
        while true {
            // Looked at before the wait: what was done last is found by it.
            let isOver = finished.changeQuietly { $0 }
            let made = result.wait(milliseconds: TrustKeeper.tickMilliseconds, until: { $0 != nil }, then: { $0 })
            if let made = made ?? nil { return try made.get() }
            guard !isOver else {
                throw FederationError(
                    "node-stopping", "the node is stopping, and nothing was published",
                    remedy: "publish again once it runs")
            }
        }
    }

    private func publishHere(
        _ proposal: Proposal, _ objection: (SignedFederation) throws -> Void
    ) throws -> SignedFederation {
        let published = try following(proposal)
        try objection(published.state)
        step { exchange, _, _ in exchange.published(published) }
        return published.state
    }

    /// What comes after the state in force, signed by the online roles and verified.
    /// - Parameter proposal: nil: the same under a newer timestamp.
    private func following(_ proposal: Proposal?) throws(FederationError) -> Publication.Published {
        guard let online else {
            throw FederationError(
                "not-the-centre", "this node has no keys of the online roles", remedy: "publish at the centre's node")
        }
        guard goesOn() else {
            throw FederationError(
                "control-only", "the store was put back, and neighbours may have what was published since",
                remedy: "let them be heard first: ekc node status says who is awaited")
        }
        let (baseline, state) = own.changeQuietly { ($0.exchange.baseline, $0.exchange.state) }
        let (snapshot, timestamp) = (try online.snapshot(), try online.timestamp())
        let now = freshness.time(Clocks.wall())
        guard let proposal else {
            return try Publication.renewed(baseline, state, snapshot: snapshot, timestamp: timestamp, now: now)
        }
        return try Publication.following(
            baseline, state, proposal, snapshot: snapshot, timestamp: timestamp, now: now)
    }

    /// Looks at the node's own keys now: not only once an hour.
    package func lookAtKeysNow() {
        queue.change { $0.append(.perform { keeper in keeper.own.changeQuietly { $0.keysAgain = 0 } }) }
    }

    private func lookAtKeys(_ monotonic: Int64) {
        guard own.changeQuietly({ $0.keysAgain }) <= monotonic, let outside = outside.changeQuietly({ $0 }) else {
            return
        }
        own.changeQuietly { $0.keysAgain = monotonic + TrustKeeper.keysMilliseconds }
        do {
            guard let (node, keys) = try outside.publishKeys(state, Clocks.wall()) else { return }
            try publishKeys(keys, of: node)
        } catch let error as FederationError { log(error) } catch {
            outside.log(LinkLoop.Event(code: "keys-not-offered", peer: nil, detail: "\(type(of: error))"))
        }
    }

    /// A node has signed its keys anew and says so, from end to end.
    func offered(_ node: NodeID, _ bytes: [UInt8]) {
        guard online != nil else { return }
        queue.change { queue in
            guard queue.count < TrustKeeper.mostWaiting else { return }
            queue.append(
                .perform { keeper in
                    do throws(FederationError) {
                        let keys = try TrustFile.read(SignedKeys.self, bytes, from: "the keys of \(node)")
                        try keeper.publishKeys(keys, of: node)
                    } catch { keeper.log(error, node) }
                })
        }
    }

    /// Nobody else signs for it: role `node-<id>` is the node's own.
    private func publishKeys(_ keys: SignedKeys, of node: NodeID) throws(FederationError) {
        let monotonic = Clocks.monotonicMicroseconds() / 1000
        // Each publication goes to every node: one that signs all the time does not move them all.
        guard own.changeQuietly({ $0.offersAgain[node] ?? 0 }) <= monotonic else { return }
        own.changeQuietly { $0.offersAgain[node] = monotonic + TrustKeeper.offerPauseMilliseconds }
        let proposal = try Proposal.keys(keys, of: node, after: state, now: Clocks.wall())
        let published = try following(proposal)
        if let fault = published.state.faults[node] { throw fault.error }
        own.changeQuietly { $0.offersAgain[node] = monotonic + TrustKeeper.offersMilliseconds }
        step { exchange, _, _ in exchange.published(published) }
        outside.changeQuietly { $0 }?.log(
            LinkLoop.Event(
                code: "keys-published", peer: node, detail: "its own, under version \(proposal.version(of: node))"))
    }

    private func renewIfDue(_ monotonic: Int64) {
        guard freshness.age >= Publication.renewalSeconds * 1000,
            own.changeQuietly({ $0.renewAgain }) <= monotonic
        else { return }
        own.changeQuietly { $0.renewAgain = monotonic + TrustKeeper.retryMilliseconds }
        do throws(FederationError) {
            let published = try following(nil)
            step { exchange, _, _ in exchange.published(published) }
        } catch { log(error) }
    }
}

extension SignedFederation {
    /// Only the online roles are newer.
    func saysTheSame(as other: SignedFederation) -> Bool {
        files == other.files && denied == other.denied && pins == other.pins && identities == other.identities
    }
}
