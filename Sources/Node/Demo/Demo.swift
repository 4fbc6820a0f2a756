import CLinux
import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// A small federation on this machine, made from nothing, broken on purpose, and counted by reading every store.
struct Demo {
    /// Each appeal that a channel was told is accepted, once.
    struct Ledger: Encodable {
        var submitted = 0
        /// Resolved by the first line.
        var resolvedFirstLine = 0
        /// By line 2 or 2.1.
        var answered = 0
        /// Queued at a tenancy that is not open.
        var waiting = 0
        /// In any other state.
        var inFlight = 0
        /// Accepted, and in no store, or without something that it must have: its home's row, an event that led to its
        /// state, its place in a queue.
        var lost = 0
        /// Two owners, or an effect beyond one a key: a transition, a citizen record, a queue entry, an answer.
        var duplicated = 0
        /// Events, not appeals.
        var escalated = 0
        var returned = 0
        /// Appeals that followed their home to another node.
        var moved = 0
        var nodes = 0
        var knowledgePublished: UInt64 = 0
        /// Nodes that have applied the last published number and can read what the centre can.
        var nodesConverged = 0
        var kills = 0
        var cuts = 0
        /// Nodes that went on with another release.
        var changes = 0
        /// Envelopes kept by the killed node, the smaller of two kills.
        var inFlightAtKill: UInt64 = 0
        var seconds = 0.0
        /// Of a load: milliseconds until an appeal was accepted, of 99 in 100, and of the slowest.
        var acceptedWithinP99: Int?
        var acceptedWithinMost: Int?
    }

    struct Options {
        var nodes: Int
        var appeals: Int
        var entries: Int
        /// Appeals come at the instants of a load, and nothing is broken.
        var load: SampleArrivals.Load?
        /// The binary of the release before: every node begins with it, and is changed to this one under load, and back.
        var previous: String?
        var seed: UInt64
        var directory: String
        /// The folder stays, whatever happens.
        var isKept: Bool
        var isServed: Bool
    }

    static let centre = "centre"
    /// Each is a thread that hands in its share of the appeals.
    static let channels = SampleAppeals.channels

    let options: Options
    let scheme: DemoScheme
    let topology: Topology
    let nodes: [String: DemoProcess]
    let robots: DemoRobots
    private(set) var relay: DemoRelay?
    var record: DemoRecord

    init(_ options: Options) throws {
        self.options = options
        record = DemoRecord(options)
        guard let scheme = DemoScheme.of(options.nodes) else {
            throw UsageError(message: "--nodes is 10 or 103", remedy: "name one of the two")
        }
        self.scheme = scheme
        topology = try Demo.read(scheme.file(port: 0))
        nodes = Dictionary(
            uniqueKeysWithValues: topology.nodes.map {
                ($0.id.text, DemoProcess(NodeFolder(options.directory + "/" + $0.id.text)))
            })
        if let previous = options.previous { for node in nodes.values { node.program = previous } }
        robots = DemoRobots(
            directory: options.directory, seed: options.seed, desks: topology.tenancies.count { $0.open })
    }

    static func read(_ file: [UInt8]) throws(FederationError) -> Topology {
        do throws(TopologyFaults) { return try Topology.read(file) } catch {
            throw FederationError("topology-invalid", "\(error.faults)", remedy: "build ekc again")
        }
    }

    /// With the one to which a home has moved.
    func tenancies() throws(FederationError) -> [Topology.Tenancy] {
        try Demo.read(scheme.file(port: 0, movedOn: record.movedOn)).tenancies
    }

    func node(_ name: String) -> DemoProcess {
        guard let node = nodes[name] else { preconditionFailure("\(name) is no node of the demo") }
        return node
    }

    // MARK: The play

    /// Leaves a record of itself in the folder.
    mutating func play() throws -> DemoLedger {
        let begun = Clocks.monotonicMicroseconds()
        progress("an authority for each segment, \(nodes.count) nodes with keys of their own")
        try enrol()
        if options.previous != nil { try setAddress("centre", port: 0) }
        try start("centre")
        guard let port = node("centre").ready?.link else {
            throw FederationError("demo-node-failed", "the centre has no link port", remedy: "look at its log")
        }
        try setAddress("centre", port: port)
        let relay = try DemoRelay(to: port)
        self.relay = relay
        var ports = nodes.mapValues { _ in port }
        for name in scheme.behindTheLine { ports[name] = relay.port }
        for (name, port) in ports.sorted(by: { $0.key < $1.key }) where name != "centre" {
            try setAddress(name, port: port)
            try start(name)
        }
        if options.previous == nil { try wait("links") { try links() == nodes.count - 1 } }
        try oneMessage(relay)
        try publish()
        try work()
        if let previous = options.previous {
            try change(from: previous)
        } else if options.load == nil {
            try breakThings(relay)
        }
        try allAccepted()
        progress("everything drains")
        try wait("the queues") { isQuiet(try stores()) }
        robots.stop()
        record.seconds = Double((Clocks.monotonicMicroseconds() - begun) / 1000) / 1000
        progress("every store is read")
        var last: DemoLedger?
        try wait("the receipts") {
            last = try drained()
            return last != nil
        }
        try record.write(to: options.directory)
        let counted = try last ?? ledger()
        if options.previous == nil { try denyAndLift() }
        return counted
    }

    private func start(_ name: String) throws {
        try node(name).start()
        robots.moved(name, node(name).ready)
    }

    private mutating func kill(_ name: String) throws {
        robots.moved(name, nil)
        let kept = try node(name).readStore().kept
        record.inFlightAtKill = min(kept, record.inFlightAtKill ?? kept)
        record.kills += 1
        node(name).kill()
        progress("\(name) is killed with \(kept) envelopes under way, and started again")
    }

    /// The receiver is killed when it has applied a message and its word of it is still on the way.
    private mutating func oneMessage(_ relay: DemoRelay) throws {
        progress("one message; its receiver is killed before the acknowledgement is out, and started again")
        relay.holdAnswers(true)
        let order = AdminAPI.ProbeOrder(destination: "centre", count: 1, size: 100, group: 1)
        _ = try NodeCommands.client(node("subject-77").folder.path)
            .exchange(AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: Output.encode(order))
        let centre = node("centre")
        try wait("the message") { try centre.readStore().applied == 1 }
        robots.moved("centre", nil)
        centre.kill()
        relay.cut()
        relay.holdAnswers(false)
        relay.mend()
        try start("centre")
        try wait("the receipt") { try node("subject-77").readStore().kept == 0 }
        progress("sent 1, applied \(try centre.readStore().applied)")
    }

    /// Every node gets the same knowledge, in order; it goes on through what happens next.
    private func publish() throws {
        progress("\(options.entries) knowledge entries are published")
        let client = NodeCommands.client(node("centre").folder.path)
        let sample = try SampleKnowledge()
        for start in stride(from: 0, to: options.entries, by: 1000) {
            try checkNodes()
            let part = start..<min(start + 1000, options.entries)
            _ = try KnowledgeCommands.importEntries(part.map(sample.entry), client)
        }
        _ = try KnowledgeCommands.publish(client)
    }

    /// Channels and desks begin.
    private func work() throws {
        for (index, kind) in Demo.channels.enumerated() {
            try add("channel-\(index)", to: "centre", "/api/v1/channels", kind: kind.rawValue)
        }
        for index in 0..<4 { try add("first-\(index)", to: "centre", "/api/v1/operators", line: "1") }
        progress("\(Demo.channels.count) channels hand in \(options.appeals) appeals; people work both lines")
        let sample = try SampleAppeals(seed: options.seed, subjects: topology.subjects)
        let arrivals = try options.load.map { load throws(FederationError) in
            try SampleArrivals(load, count: options.appeals)
        }
        if let load = options.load {
            let peak = arrivals.map { " (\(Int($0.peak * 100)) in 100 in the busiest hour)" } ?? ""
            progress("they come within \(Int(load.seconds)) s" + (load == .day ? ", as a day's\(peak)" : ""))
        }
        for (index, kind) in Demo.channels.enumerated() {
            robots.channel(
                index, of: Demo.channels.count, kind: kind, appeals: options.appeals, sample: sample,
                arrivals: arrivals)
        }
        for index in 0..<4 { robots.desk("first-\(index)", at: "centre", DemoDesks.first) }
        for tenancy in topology.tenancies where tenancy.open { try openDesk(of: tenancy) }
    }

    private func openDesk(of tenancy: Topology.Tenancy) throws {
        try add(
            DemoDesks.name(tenancy), to: tenancy.node.text, "/api/v1/operators", tenancy: tenancy.id,
            line: tenancy.lines[0])
        robots.desk(DemoDesks.name(tenancy), at: tenancy.node.text, DemoDesks.second)
    }

    /// A newer topology is published while appeals of the pair are under way, some of them at nodes that hear of it later.
    private mutating func moveHome() throws -> UInt64 {
        let day = Calendar8601.date(Clocks.wall())
        progress("the home of PFR 50 moves from subject-77 to subject-50: a newer topology, signed by two of three")
        let published = try publishTopology(
            scheme.file(port: 0, movedOn: day), reason: "PFR 50 has a branch of its own")
        record.movedOn = day
        try wait("the newer topology") { try topologyVersion(at: "subject-50") == published.topology }
        for tenancy in try tenancies() where tenancy.id == DemoScheme.newHome { try openDesk(of: tenancy) }
        return published.topology
    }

    private mutating func breakThings(_ relay: DemoRelay) throws {
        let accepted = { [robots] in robots.state.changeQuietly { $0.accepted } }
        // So many envelopes must be under way when a node is killed.
        let target = UInt64(min(100, max(1, options.appeals / 50)))
        try wait("a tenth") { accepted() >= options.appeals / 10 }
        progress("\(accepted()) accepted; \(cutLines): what comes for them waits at the centre")
        relay.cut()
        record.cuts += 1
        // More than is wanted: the second line must still have so many to answer when its own line is cut.
        try waitForKept("centre", target * 3)
        try kill("centre")
        try start("centre")
        let published = try moveHome()
        // The people of the old home begin when it knows that it is the old one.
        robots.moved("subject-77", nil)
        relay.mend()
        try wait("the newer topology") { try topologyVersion(at: "subject-77") == published }
        robots.moved("subject-77", node("subject-77").ready)
        try wait("what waits for subject-77 at the centre") {
            try node("centre").readStore().keptFor["subject-77", default: 0] < target / 4 + 1
        }
        relay.cut()
        record.cuts += 1
        try waitForKept("subject-77", target)
        try kill("subject-77")
        try pause(seconds: 1)
        relay.mend()
        try start("subject-77")
    }

    /// One node at a time is stopped and goes on with the other release: to this one, back, and to this one again.
    private mutating func change(from previous: String) throws {
        let legs = [(DemoProcess.own, "this release"), (previous, "the one before"), (DemoProcess.own, "this release")]
        for (leg, (program, name)) in legs.enumerated() {
            try wait("appeals") { [robots] in
                robots.state.changeQuietly { $0.accepted } >= options.appeals * (1 + 3 * leg) / 10
            }
            progress("one node after the other goes on with \(name)")
            for place in nodes.keys.sorted() {
                robots.moved(place, nil)
                node(place).stop()
                node(place).program = program
                try start(place)
                record.changes += 1
            }
        }
    }

    private mutating func allAccepted() throws {
        let accepted = { [robots] in robots.state.changeQuietly { $0.accepted } }
        var told = 0
        try wait("all appeals", seconds: 1200) {
            let now = accepted()
            if now / 1000 != told / 1000 { progress("\(now) accepted") }
            told = now
            return now == options.appeals || !robots.state.changeQuietly { $0.faults.isEmpty }
        }
        if let fault = robots.state.changeQuietly({ $0.faults.first }) {
            throw FederationError("demo-robot-failed", fault, remedy: "see the nodes' logs in \(options.directory)")
        }
        record.waits = robots.state.changeQuietly { $0.waits.sorted() }
    }

    /// Waits until a node keeps so many envelopes; not for ever, for there may be no more to come.
    private func waitForKept(_ name: String, _ target: UInt64) throws {
        let deadline = Clocks.monotonicMicroseconds() + 20_000_000
        var (last, since) = (UInt64(0), Clocks.monotonicMicroseconds())
        while Clocks.monotonicMicroseconds() < deadline {
            let kept = try node(name).readStore().kept
            if kept != last { (last, since) = (kept, Clocks.monotonicMicroseconds()) }
            let isOver = robots.state.changeQuietly { $0.accepted } == options.appeals
            if kept >= target || isOver && Clocks.monotonicMicroseconds() > since + 2_000_000 { return }
            try checkNodes()
            usleep(20_000)
        }
    }

    private var cutLines: String {
        let names = scheme.behindTheLine
        return names.count == 1 ? "the line of \(names[0]) is cut" : "the lines of \(names.count) nodes are cut"
    }

    private func add(
        _ name: String, to place: String, _ path: String, kind: String? = nil, tenancy: String? = nil,
        line: String? = nil
    ) throws {
        let token = Hex.encode(Random.bytes(32))
        let digest = Digest.blake2b256(Array(token.utf8)).withBytes { Hex.encode($0) }
        let body =
            if let kind {
                Output.encode(AdminAPI.NewChannel(name: name, kind: kind, tokenDigest: digest))
            } else {
                Output.encode(
                    AdminAPI.NewOperator(
                        name: name, organisation: tenancy == nil ? "PFR" : nil, tenancy: tenancy, line: line ?? "1",
                        tokenDigest: digest))
            }
        _ = try NodeCommands.client(node(place).folder.path).exchange(AdminAPI.Count.self, "POST", path, body: body)
        try Files.write(
            Array("Authorization: Bearer \(token)\n".utf8), to: options.directory + "/\(name).token", mode: 0o600)
    }

    // MARK: Waiting

    func progress(_ text: String) { Output.error("demo: \(text)") }

    func wait(_ what: String, seconds: Int64 = 180, until holds: () throws -> Bool) throws {
        let deadline = Clocks.monotonicMicroseconds() + seconds * 1_000_000
        while Clocks.monotonicMicroseconds() < deadline {
            try checkNodes()
            if try holds() { return }
            usleep(50_000)
        }
        throw FederationError(
            "demo-stuck", "\(what) did not come in time", remedy: "see the nodes' logs in \(options.directory)")
    }

    private func pause(seconds: Int64) throws {
        let end = Clocks.monotonicMicroseconds() + seconds * 1_000_000
        while Clocks.monotonicMicroseconds() < end {
            try checkNodes()
            usleep(50_000)
        }
    }

    /// - Throws: `demo-interrupted`, or `demo-node-died` when a node has ended that nobody here has ended.
    func checkNodes() throws(FederationError) {
        if StopSignals.haveCome {
            throw FederationError("demo-interrupted", "it was told to stop", remedy: "run it again, to its end")
        }
        for (name, node) in nodes.sorted(by: { $0.key < $1.key }) {
            guard let death = node.death() else { continue }
            throw FederationError(
                "demo-node-died", "\(name) ended by itself (\(death)) during the play; \(node.endOfLog)",
                remedy: "put right what it says, and run the demo again")
        }
    }

    // MARK: Setting up

    private func links() throws -> Int {
        let status = try NodeCommands.client(node("centre").folder.path)
            .exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
        return status.links.count { $0.state == "running" }
    }
}
