import Federation
import FoundationEssentials
import Glibc

/// A small federation on this machine, made from nothing, broken on purpose, and counted by reading every store.
struct Demo {
    struct Ledger: Encodable {
        var sent: UInt64
        var applied: UInt64
        var lost: UInt64
        var duplicated: UInt64
        var inFlight: UInt64
        var nodes: Int
        var knowledgePublished: UInt64
        /// Nodes that have applied the last published entry.
        var nodesConverged: Int
        var kills: Int
        var cuts: Int
        var seconds: Double
    }

    private static let federation = "ekc.test"
    private static let members = [("centre", "centre"), ("subject-77", "oszn"), ("subject-78", "oszn")]

    private let directory: String
    private let messages: Int
    private let entries: Int
    private let nodes: [String: DemoProcess]
    private var sent: [String: UInt64] = [:]
    private var kills = 0
    private var cuts = 0

    static func run(_ command: ParsedCommand) throws -> Int32 {
        let messages = try command.number("messages", 10...1_000_000, otherwise: 3000)
        let directory = try command.values["directory"] ?? temporaryFolder()
        let begun = Clocks.monotonicMicroseconds()
        let entries = try command.number("entries", 1...SampleKnowledge.most, otherwise: 2000)
        var demo = Demo(directory: directory, messages: messages, entries: entries)
        defer {
            for node in demo.nodes.values { node.stop() }
            if !command.flags.contains("keep") { try? FileManager.default.removeItem(atPath: directory) }
        }
        let ledger = try demo.play(begun)
        Output.print(command, ledger, demo.words(ledger))
        if command.flags.contains("keep") { Output.error("kept in \(directory)") }
        return ledger.lost == 0 && ledger.duplicated == 0 && ledger.inFlight == 0
            && ledger.nodesConverged == ledger.nodes ? 0 : 1
    }

    private init(directory: String, messages: Int, entries: Int) {
        self.directory = directory
        self.messages = messages
        self.entries = entries
        nodes = Dictionary(
            uniqueKeysWithValues: Demo.members.map { ($0.0, DemoProcess(NodeFolder(directory + "/" + $0.0))) })
    }

    private static func temporaryFolder() throws -> String {
        var template = Array("/tmp/ekc-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw FederationError(
                "file-unwritable", "/tmp: \(String(cString: strerror(errno)))", remedy: "name --directory")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func node(_ name: String) -> DemoProcess {
        guard let node = nodes[name] else { preconditionFailure("\(name) is no node of the demo") }
        return node
    }

    // MARK: The play

    private mutating func play(_ begun: Int64) throws -> Ledger {
        progress("an authority for each of two segments, three nodes with keys of their own")
        try enrol()
        let centre = node("centre")
        try writeTopology("centre", centrePort: 0)
        try centre.start()
        guard let port = centre.ready?.link else {
            throw FederationError("demo-node-failed", "the centre has no link port", remedy: "look at its log")
        }
        try writeTopology("centre", centrePort: port)
        let relay = try DemoRelay(to: port)
        defer { relay.close_() }
        try writeTopology("subject-77", centrePort: relay.port)
        try writeTopology("subject-78", centrePort: port)
        for name in ["subject-77", "subject-78"] { try node(name).start() }
        try wait("links") { try links(of: "subject-77") && links(of: "subject-78") }

        try oneMessage(relay)
        try publish()
        try manyMessages(relay)
        progress("everything drains")
        try wait("the outboxes") { try drained() }
        return try ledger(begun)
    }

    /// The receiver is killed when it has applied the message and its word of it is still on the way.
    private mutating func oneMessage(_ relay: DemoRelay) throws {
        progress("one message; its receiver is killed before the acknowledgement is out, and started again")
        relay.holdAnswers(true)
        try send(1, from: "subject-77", to: "centre")
        let centre = node("centre")
        try wait("the message") { try centre.readStore().applied == 1 }
        centre.kill()
        kills += 1
        relay.cut()
        relay.holdAnswers(false)
        relay.mend()
        let kept = try node("subject-77").readStore().kept
        try centre.start()
        try wait("the receipt") { try drained() }
        progress(
            "sent 1, applied \(try centre.readStore().applied) (the sender still held \(kept) message when it was killed)"
        )
    }

    /// Every node gets the same knowledge, in order; it goes on through what happens next.
    private func publish() throws {
        progress("\(entries) knowledge entries are published")
        let client = NodeCommands.client(node("centre").folder.path)
        let sample = try SampleKnowledge()
        _ = try KnowledgeCommands.importEntries((0..<entries).map(sample.entry), client)
        _ = try KnowledgeCommands.publish(client)
    }

    private mutating func manyMessages(_ relay: DemoRelay) throws {
        let share = messages / 3
        progress("\(share * 3) messages; the centre is killed, a line is cut for a second")
        let centre = node("centre")
        for step in 0..<3 {
            try send(share / 2, from: "subject-77", to: "centre")
            try send(share - share / 2, from: "subject-77", to: "subject-78")
            if step == 0 {
                centre.kill()
                kills += 1
                progress("the centre is killed; subject-77 goes on accepting")
            } else if step == 1 {
                try centre.start()
                relay.cut()
                cuts += 1
                progress("the centre is back; the line of subject-77 is cut")
            }
        }
        sleep(1)
        relay.mend()
    }

    private mutating func send(_ count: Int, from: String, to destination: String) throws {
        let order = AdminAPI.ProbeOrder(destination: destination, count: count, size: 600, group: 32)
        let client = NodeCommands.client(node(from).folder.path)
        let accepted = try client.exchange(
            AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: Output.encode(order))
        sent[destination, default: 0] += UInt64(accepted.accepted)
    }

    // MARK: Counting

    private func drained() throws -> Bool {
        let counts = try nodes.values.map { node in try node.readStore() }
        return counts.allSatisfy { $0.kept == 0 } && Set(counts.map(\.knowledge)).count == 1
    }

    private func ledger(_ begun: Int64) throws -> Ledger {
        var ledger = Ledger(
            sent: 0, applied: 0, lost: 0, duplicated: 0, inFlight: 0, nodes: nodes.count, knowledgePublished: 0,
            nodesConverged: 0, kills: kills, cuts: cuts, seconds: 0)
        ledger.knowledgePublished = try node("centre").readStore().knowledge
        for (name, node) in nodes {
            let count = try node.readStore()
            let due = sent[name] ?? 0
            ledger.sent += due
            ledger.applied += count.applied
            ledger.lost += due > count.applied ? due - count.applied : 0
            ledger.duplicated += count.applied > due ? count.applied - due : 0
            ledger.inFlight += count.kept
            if count.knowledge == ledger.knowledgePublished { ledger.nodesConverged += 1 }
        }
        let milliseconds = (Clocks.monotonicMicroseconds() - begun) / 1000
        ledger.seconds = Double(milliseconds) / 1000
        return ledger
    }

    private func words(_ ledger: Ledger) -> String {
        """

        sent        \(ledger.sent)
        applied     \(ledger.applied)
        lost        \(ledger.lost)
        duplicated  \(ledger.duplicated)
        in flight   \(ledger.inFlight)
        knowledge   \(ledger.knowledgePublished) entries, applied through the last by \(ledger.nodesConverged) of \(ledger.nodes) nodes
        \(ledger.nodes) nodes, \(ledger.kills) kills, \(ledger.cuts) cuts, \(ledger.seconds) s
        """
    }

    private func progress(_ text: String) { Output.error("demo: \(text)") }

    private func wait(_ what: String, until holds: () throws -> Bool) throws {
        let deadline = Clocks.monotonicMicroseconds() + 60_000_000
        while Clocks.monotonicMicroseconds() < deadline {
            if try holds() { return }
            usleep(20_000)
        }
        throw FederationError(
            "demo-stuck", "\(what) did not come within a minute", remedy: "run it with --keep and see the logs")
    }

    // MARK: Setting up

    private func links(of name: String) throws -> Bool {
        let status = try NodeCommands.client(node(name).folder.path)
            .exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
        return status.links.contains { $0.state == "running" }
    }

    private func enrol() throws {
        for segment in ["centre", "oszn"] {
            _ = try Authority.create(directory + "/authority-" + segment, segment: segment, federation: Demo.federation)
        }
        var pins = Pins(federation: Demo.federation)
        for (name, segment) in Demo.members {
            let folder = node(name).folder
            let request = try folder.create(
                NodeSettings(node: name, segment: segment, federation: Demo.federation, anyPorts: true))
            let answer = try Authority(directory + "/authority-" + segment).issue(request, now: Clocks.wall())
            try folder.install(answer)
            try pins.add(answer)
        }
        for (name, _) in Demo.members { try TrustFile.write(pins, to: node(name).folder.pinsFile) }
    }

    /// Each node's own copy, with the port on which the centre is to be found from there.
    private func writeTopology(_ name: String, centrePort: UInt16) throws {
        let text = """
            { "format": 1, "version": 1, "federation": "\(Demo.federation)",
              "segments": [ {"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"} ],
              "nodes": [
                {"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:\(centrePort)"]},
                {"id": "subject-77", "segment": "oszn", "subject": "77", "state": "live", "addresses": []},
                {"id": "subject-78", "segment": "oszn", "subject": "78", "state": "live", "addresses": []} ],
              "tenancies": [], "homes": [], "special": [],
              "links": [ {"dials": "subject-77", "listens": "centre"}, {"dials": "subject-78", "listens": "centre"} ] }
            """
        try Files.write(Array(text.utf8), to: node(name).folder.topologyFile)
    }
}
