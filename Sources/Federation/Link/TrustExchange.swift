/// How signed metadata spreads: neighbours tell each other how new theirs is, and whoever is behind walks over what the other
/// has. A value without IO; instants of the wall for dates, a monotonic clock for waiting.
package struct TrustExchange: Sendable {
    package enum Action: Sendable {
        case send(NodeID, MetadataMessage)
        /// Read a file of the tree and send the part of it.
        case serve(NodeID, path: String, offset: UInt32)
        /// Newer versions of root: they are kept, whatever comes of the rest.
        case keep([TUFWalk.Verified])
        /// A newer state has been verified: it is kept, then in force.
        case commit(SignedFederation)
        case note(code: String, peer: NodeID, detail: String)
    }

    private struct Peer: Sendable {
        var has: TrustVersions?
        /// Its session carries more than metadata: what it says counts after a restore.
        var vouches: Bool
        var failures = 0
        /// Nothing is asked of it until then.
        var asksAgain: Int64 = 0
    }

    private struct Fetch: Sendable {
        var peer: NodeID
        var versions: TrustVersions
        var walk: TrustWalk
        /// Files that have begun to come, and how long they are to be.
        var begun: [String: (bytes: [UInt8], maximum: Int)] = [:]
        var deadline: Int64
        /// However steadily it trickles: by then the walk is over.
        var end: Int64
    }

    /// Parts that are asked for and not there.
    private static let window = 4
    private static let patience: Int64 = 10_000
    /// For a whole walk: the largest topology comes in half of it over 1 Mbit/s.
    private static let longestWalk: Int64 = 300_000
    /// How new this node's is, is said again so often: a word may be lost on the way to the link.
    private static let repetition: Int64 = 60_000
    /// Refusals in words of our own.
    private static let ownCodes: Set = [
        "metadata-withheld", "metadata-too-large", "metadata-from-the-future", "timestamp-too-long",
    ]
    private static let firstPause: Int64 = 5_000
    private static let longestPause: Int64 = 600_000

    package private(set) var baseline: TUFTrusted
    package private(set) var state: SignedFederation
    private var peers: [NodeID: Peer] = [:]
    private var fetch: Fetch?
    private var toldAt: Int64?

    package init(_ loaded: TrustFolder.Loaded) {
        baseline = loaded.baseline
        state = loaded.inForce
    }

    /// By the newest root: what its keys do not vouch for counts for nothing.
    private var versions: TrustVersions { TrustVersions(baseline) }

    /// Neighbours whose last word is that they have nothing newer.
    package var agreeing: Set<NodeID> {
        let own = versions
        return Set(peers.filter { $0.value.vouches && $0.value.has?.isNothingNew(to: own) == true }.keys)
    }

    /// A session with a neighbour that knows such messages has begun to run.
    /// - Parameter vouches: false: over a session for metadata only.
    package mutating func peerUp(_ peer: NodeID, vouches: Bool = true, monotonic: Int64) -> [Action] {
        var actions: [Action] = []
        // Who begins anew in the middle of a walk has not ended it.
        if let fetch, fetch.peer == peer {
            actions = failed(fetch, "metadata-withheld", "its session ended in the middle of a walk", monotonic)
        }
        let known = peers[peer]
        peers[peer] = Peer(
            has: nil, vouches: vouches, failures: known?.failures ?? 0, asksAgain: known?.asksAgain ?? 0)
        return actions + [.send(peer, .have(versions))]
    }

    /// - Parameters:
    ///   - now: the wall's, never behind what was verified.
    ///   - monotonic: milliseconds.
    package mutating func arrived(
        _ message: MetadataMessage, from peer: NodeID, now: Timestamp, monotonic: Int64
    ) -> [Action] {
        guard peers[peer] != nil else { return [] }
        switch message {
        case .have(let versions):
            peers[peer]?.has = versions
            return next(now, monotonic)
        case .want(let path, let offset): return [.serve(peer, path: path, offset: offset)]
        case .part(let path, let length, let offset, let bytes):
            guard fetch?.peer == peer else { return [] }
            return partArrived(path, length, offset, bytes, now, monotonic)
        }
    }

    package mutating func tick(now: Timestamp, monotonic: Int64) -> [Action] {
        var actions: [Action] = []
        if monotonic - (toldAt ?? monotonic) >= TrustExchange.repetition {
            actions = tell()
            toldAt = monotonic
        }
        toldAt = toldAt ?? monotonic
        return actions + goOnOrGiveUp(now, monotonic)
    }

    private func tell() -> [Action] { peers.keys.sorted().map { .send($0, .have(versions)) } }

    private mutating func goOnOrGiveUp(_ now: Timestamp, _ monotonic: Int64) -> [Action] {
        if let fetch, monotonic > min(fetch.deadline, fetch.end) {
            let words =
                monotonic > fetch.end
                ? "it did not end within \(TrustExchange.longestWalk / 1000) s"
                : "nothing came for \(TrustExchange.patience / 1000) s"
            return failed(fetch, "metadata-withheld", words, monotonic) + next(now, monotonic)
        }
        return next(now, monotonic)
    }

    /// What was published or renewed here, or installed by hand.
    package mutating func published(_ next: Publication.Published) -> [Action] {
        taken(next.state, next.roots)
    }

    // MARK: Walking

    /// Begins a walk, if somebody has something newer.
    private mutating func next(_ now: Timestamp, _ monotonic: Int64) -> [Action] {
        guard fetch == nil else { return [] }
        let own = versions
        let able = peers.compactMap { peer, known -> (NodeID, TrustVersions)? in
            guard let has = known.has, has.isNewer(than: own), monotonic >= known.asksAgain else { return nil }
            return (peer, has)
        }
        // Who has failed least, then who has the newest: promises of more do not get the word.
        let best = able.max { one, other in
            let failures = (peers[one.0]?.failures ?? 0, peers[other.0]?.failures ?? 0)
            if failures.0 != failures.1 { return failures.0 > failures.1 }
            return other.1.isNewer(than: one.1) || !one.1.isNewer(than: other.1) && one.0 > other.0
        }
        guard let (peer, has) = best else { return [] }
        fetch = Fetch(
            peer: peer, versions: has, walk: TrustWalk(baseline, known: state, now: now),
            deadline: monotonic + TrustExchange.patience, end: monotonic + TrustExchange.longestWalk)
        return goOn(monotonic)
    }

    /// Asks for what is wanted; what the source has said it does not have needs no asking.
    private mutating func goOn(_ monotonic: Int64) -> [Action] {
        guard var fetch else { return [] }
        var actions: [Action] = []
        while fetch.begun.count < TrustExchange.window,
            let file = fetch.walk.wanted.first(where: { fetch.begun[$0.path] == nil })
        {
            if file.path == TUFWalk.path(of: "root", version: fetch.versions.root + 1) {
                do throws(FederationError) { try fetch.walk.arrived(file.path, nil) } catch {
                    return failed(fetch, error.code, error.detail, monotonic)
                }
                continue
            }
            fetch.begun[file.path] = ([], file.maximum)
            actions.append(.send(fetch.peer, .want(path: file.path, offset: 0)))
        }
        self.fetch = fetch
        return actions
    }

    private mutating func partArrived(
        _ path: String, _ length: UInt32?, _ offset: UInt32, _ bytes: [UInt8], _ now: Timestamp, _ monotonic: Int64
    ) -> [Action] {
        // What was not asked for counts for nothing.
        guard let maximum = fetch?.begun[path]?.maximum, fetch?.begun[path]?.bytes.count == Int(offset), var fetch
        else { return [] }
        self.fetch = nil  // so that the bytes are appended where they lie
        fetch.begun[path]?.bytes.append(contentsOf: bytes)
        let count = Int(offset) + bytes.count
        if let length {
            guard Int(length) <= maximum else {
                return failed(
                    fetch, "metadata-too-large", "\(path): \(length) bytes, at most \(maximum)", monotonic)
            }
            // Only the last part is shorter: nobody is kept waiting byte by byte.
            guard count <= Int(length), bytes.count == MetadataMessage.partBytes || count == Int(length) else {
                return failed(fetch, "metadata-withheld", "\(path) comes in crumbs", monotonic)
            }
            fetch.deadline = monotonic + TrustExchange.patience
            guard count == Int(length) else {
                self.fetch = fetch
                return [.send(fetch.peer, .want(path: path, offset: UInt32(count)))]
            }
        }
        let whole = length == nil ? nil : fetch.begun[path]?.bytes
        fetch.begun[path] = nil
        do throws(FederationError) {
            try fetch.walk.arrived(path, whole)
            self.fetch = fetch
            if let state = try fetch.walk.result() { return finished(fetch, state, now, monotonic) }
        } catch { return failed(fetch, error.code, error.detail, monotonic) }
        return goOn(monotonic)
    }

    private mutating func finished(
        _ fetch: Fetch, _ state: SignedFederation, _ now: Timestamp, _ monotonic: Int64
    ) -> [Action] {
        guard TrustVersions(state.metadata).isNewer(than: versions) else {
            return failed(fetch, "metadata-withheld", "it has not shown what it says it has", monotonic)
        }
        self.fetch = nil
        peers[fetch.peer]?.failures = 0
        return taken(state, fetch.walk.roots) + next(now, monotonic)
    }

    private mutating func taken(_ next: SignedFederation, _ roots: [TUFWalk.Verified]) -> [Action] {
        state = next
        baseline = next.metadata
        return (roots.isEmpty ? [] : [.keep(roots)]) + [.commit(next)] + tell()
    }

    private mutating func failed(
        _ fetch: Fetch, _ code: String, _ detail: String, _ monotonic: Int64
    ) -> [Action] {
        self.fetch = nil
        let failures = (peers[fetch.peer]?.failures ?? 0) + 1
        peers[fetch.peer]?.failures = failures
        peers[fetch.peer]?.asksAgain =
            monotonic + min(TrustExchange.firstPause << min(failures - 1, 10), TrustExchange.longestPause)
        // What the peer's own text says goes into no log: it is not signed, and could be anything.
        let words = TrustExchange.ownCodes.contains(code) ? detail : "what it shows is refused"
        var actions: [Action] = [.note(code: code, peer: fetch.peer, detail: words)]
        // Roots that were good stay so: who has seen the new keys is not shown the old ones again.
        let roots = fetch.walk.roots
        for root in roots { try? baseline.update(root: root.bytes) }
        if !roots.isEmpty { actions.insert(.keep(roots), at: 0) }
        return actions
    }
}
