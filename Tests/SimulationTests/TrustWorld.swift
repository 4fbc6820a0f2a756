import Federation
import FederationTestKit

/// A federation's signed metadata on virtual time and a virtual network: the production values, and nothing else.
struct TrustWorld {
    struct Site {
        var exchange: TrustExchange
        /// What its folder of trust holds.
        var tree: [String: [UInt8]]
        var freshness: Freshness
        var isAsleep = false
        /// When each state came into force.
        var commits: [(at: Int64, state: SignedFederation)] = []
        var notes: [String] = []
        var wants = 0
    }

    private struct Letter {
        var at: Int64
        var from: NodeID
        var to: NodeID
        var message: MetadataMessage
    }

    static let start: Int64 = 1_800_000_000_000
    let folder: TemporaryFolder
    let ceremony: OpenCeremony
    let centre: NodeID
    private(set) var snapshot: SigningKey
    private(set) var timestamp: SigningKey
    private var root: [SigningKey]
    private var keys = 0

    /// Milliseconds since the start.
    private(set) var now: Int64 = 0
    var sites: [NodeID: Site] = [:]
    private var links: [(NodeID, NodeID)] = []
    private var cut: Set<NodeID> = []
    private var letters: [Letter] = []
    private var random: SeededRandom
    var latency: Int64 = 40
    /// Of a thousand.
    var loss = 0
    /// Whether a link carries words of metadata, where links are another world's.
    var carries: (NodeID, NodeID) -> Bool = { _, _ in true }

    /// - Parameters:
    ///   - nodes: the first is the centre.
    ///   - links: by places in `nodes`.
    init(_ nodes: [String], links: [(Int, Int)], seed: UInt64 = 1) throws {
        folder = try TemporaryFolder()
        ceremony = try TestTrust.ceremony()
        random = SeededRandom(seed: seed)
        let ids = nodes.compactMap { NodeID($0) }
        centre = ids[0]
        self.links = links.map { (ids[$0.0], ids[$0.1]) }
        let place = NodeFolder(folder.path + "/centre")
        try Files.makeFolder(place.path + "/keys", mode: 0o700)
        let state = try ceremony.first(
            TrustWorld.topology(nodes, version: 1), answers: [], pins: nil, centre: place,
            now: Timestamp(milliseconds: TrustWorld.start))
        snapshot = try SigningKey.read(place.snapshotKey)
        timestamp = try SigningKey.read(place.timestampKey)
        root = try ceremony.keys("root")
        for id in ids {
            sites[id] = Site(
                exchange: TrustExchange(TrustFolder.Loaded(baseline: state.metadata, inForce: state)),
                tree: TrustFolder.tree(of: state),
                freshness: Freshness(version: 1, signedAt: nil, now: Timestamp(milliseconds: TrustWorld.start)))
        }
        for (one, other) in self.links { connect(one, other) }
    }

    static func topology(_ nodes: [String], version: Int) -> [UInt8] {
        let list = nodes.enumerated().map { index, name in
            #"{"id": "\#(name)", "segment": "\#(index == 0 ? "centre" : "oszn")", "state": "live", "addresses": []}"#
        }
        return Array(
            """
            {"format": 2, "version": \(version), "federation": "ekc.test",
            "segments": [{"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"}],
            "nodes": [\(list.joined(separator: ",\n"))],
            "rights": [
              {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
              {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
            "tenancies": [], "homes": [], "special": [], "links": [\(nodes.dropFirst().map {
                #"{"dials": "\#($0)", "listens": "centre"}"#
            }.joined(separator: ","))]}
            """.replacing(
                "\"state\": \"live\", \"addresses\": []}",
                with: "\"state\": \"live\", \"addresses\": [\"127.0.0.1:0\"]}", maxReplacements: 1
            )
            .utf8)
    }

    var wall: Timestamp { Timestamp(milliseconds: TrustWorld.start + now) }

    func state(_ node: NodeID) -> SignedFederation {
        guard let site = sites[node] else { preconditionFailure("\(node) is no node") }
        return site.exchange.state
    }

    // MARK: The network

    private mutating func connect(_ one: NodeID, _ other: NodeID) {
        for (from, to) in [(one, other), (other, one)] { step(from) { $0.peerUp(to, monotonic: $2) } }
    }

    private func isOpen(_ one: NodeID, _ other: NodeID) -> Bool {
        !cut.contains(one) && !cut.contains(other) && sites[one]?.isAsleep == false && sites[other]?.isAsleep == false
            && links.contains { ($0.0 == one && $0.1 == other) || ($0.0 == other && $0.1 == one) }
            && carries(one, other)
    }

    mutating func cut(_ node: NodeID) { cut.insert(node) }

    /// Its links are there again, with new sessions.
    mutating func mend(_ node: NodeID) {
        cut.remove(node)
        for (one, other) in links where (one == node || other == node) && isOpen(one, other) { connect(one, other) }
    }

    mutating func step(_ node: NodeID, _ body: (inout TrustExchange, Timestamp, Int64) -> [TrustExchange.Action]) {
        guard let site = sites[node], !site.isAsleep else { return }
        let time = site.freshness.time(wall)
        var exchange = site.exchange
        let actions = body(&exchange, time, now)
        sites[node]?.exchange = exchange
        for action in actions { perform(action, node) }
    }

    private mutating func perform(_ action: TrustExchange.Action, _ node: NodeID) {
        switch action {
        case .send(let peer, let message): send(message, from: node, to: peer)
        case .serve(let peer, let path, let offset):
            let file = sites[node]?.tree[path]
            let bytes = (file ?? []).dropFirst(Int(offset)).prefix(MetadataMessage.partBytes)
            send(
                .part(path: path, length: file.map { UInt32($0.count) }, offset: offset, bytes: Array(bytes)),
                from: node, to: peer)
        case .keep(let roots): for root in roots { sites[node]?.tree[root.file.path] = root.bytes }
        case .commit(let state):
            let roots = sites[node]?.tree.filter { $0.key.hasSuffix(".root.json") } ?? [:]
            sites[node]?.tree = TrustFolder.tree(of: state).merging(roots) { first, _ in first }
            sites[node]?.commits.append((now, state))
            let (timestamp, wall) = (state.metadata.timestamp, wall)
            sites[node]?.freshness.verified(
                timestamp?.common.version ?? 0, signedAt: timestamp?.signedAt, now: wall)
        case .note(let code, _, _): sites[node]?.notes.append(code)
        }
    }

    mutating func send(_ message: MetadataMessage, from: NodeID, to: NodeID) {
        if case .want = message { sites[from]?.wants += 1 }
        guard isOpen(from, to), Int.random(in: 0..<1000, using: &random) >= loss,
            let decoded = try? MetadataMessage(decoding: message.encoded)
        else { return }
        letters.append(Letter(at: now + latency, from: from, to: to, message: decoded))
    }

    /// Lets so much time pass.
    mutating func run(milliseconds: Int64, tick: Int64 = 500) {
        let end = now + milliseconds
        while now < end {
            let nextTick = (now / tick + 1) * tick
            let next = min(letters.map(\.at).min() ?? .max, nextTick, end)
            let passed = next - now
            now = next
            let wall = wall
            for id in sites.keys { sites[id]?.freshness.passed(passed, at: wall) }
            let due = letters.filter { $0.at <= now }
            letters.removeAll { $0.at <= now }
            for letter in due where isOpen(letter.from, letter.to) {
                step(letter.to) { $0.arrived(letter.message, from: letter.from, now: $1, monotonic: $2) }
            }
            if now == nextTick { for id in sites.keys.sorted() { step(id) { $0.tick(now: $1, monotonic: $2) } } }
        }
    }

    /// Time passes without anything being said: days at once.
    mutating func skip(days: Int64) {
        letters = []
        now += days * 86_400_000
        let wall = wall
        for id in sites.keys { sites[id]?.freshness.passed(days * 86_400_000, at: wall) }
    }

    // MARK: People

    /// What holders have signed is published at the centre.
    mutating func publish(_ proposal: Proposal) throws {
        let current = state(centre)
        guard let baseline = sites[centre]?.exchange.baseline else { return }
        let published = try Publication.following(
            baseline, current, proposal, snapshot: snapshot, timestamp: timestamp, now: wall)
        step(centre) { exchange, _, _ in exchange.published(published) }
    }

    mutating func renew() throws {
        let current = state(centre)
        guard let baseline = sites[centre]?.exchange.baseline else { return }
        let published = try Publication.renewed(
            baseline, current, snapshot: snapshot, timestamp: timestamp, now: wall)
        step(centre) { exchange, _, _ in exchange.published(published) }
    }

    mutating func deny(_ node: NodeID) throws {
        try publish(try ceremony.denial(of: node, after: state(centre), reason: "stolen", now: wall))
    }

    private mutating func key(_ holder: String? = nil) throws -> SigningKey {
        keys += 1
        return try SigningKey.create(folder.path + "/\(keys).key", holder: holder)
    }

    /// Root with new keys of its own and of the online roles: signed by the old ones and by the new.
    mutating func rotateRoot() throws {
        let current = state(centre)
        let old = root
        root = try [key("anna"), key("boris"), key("vera")]
        snapshot = try key()
        timestamp = try key()
        let document = RoleDocument.root(
            version: current.metadata.root.common.version + 1, expires: wall.advanced(byMilliseconds: 700 * 86_400_000),
            roles: [
                "root": TUFRole(root.map(\.key), threshold: 2),
                "targets": current.metadata.root.role("targets"),
                "snapshot": TUFRole([snapshot.key], threshold: 1), "timestamp": TUFRole([timestamp.key], threshold: 1),
            ], reason: "rotation")
        var base = ["root": current.metadata.root.text]
        base["targets"] = current.targets.text
        var proposal = Proposal(
            federation: "ekc.test", reason: "rotation", created: wall, base: base,
            roles: ["root": try .unsigned(document, "root")], files: [:])
        for signer in old.prefix(2) + root.prefix(2) { _ = try proposal.sign(by: signer) }
        // The keys of the online roles are others now: what they signed counts for nothing.
        try publish(proposal)
    }
}
