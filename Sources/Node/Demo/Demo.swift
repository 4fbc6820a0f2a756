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
        var inFlight: Int
        var nodes: Int
        var kills: Int
        var cuts: Int
        var seconds: Double
    }

    private static let federation = "ekc.test"
    private static let members = [("centre", "centre"), ("subject-77", "oszn"), ("subject-78", "oszn")]

    private let directory: String
    private let messages: Int
    private let nodes: [String: DemoProcess]
    private var sent: [String: UInt64] = [:]
    private var kills = 0
    private var cuts = 0

    static func run(_ command: ParsedCommand) throws -> Int32 {
        let messages = try command.number("messages", 10...1_000_000, otherwise: 3000)
        let directory = try command.values["directory"] ?? temporaryFolder()
        let begun = Clocks.monotonicMicroseconds()
        var demo = Demo(directory: directory, messages: messages)
        defer {
            for node in demo.nodes.values { node.stop() }
            if !command.flags.contains("keep") { try? FileManager.default.removeItem(atPath: directory) }
        }
        let ledger = try demo.play(begun)
        Output.print(command, ledger, demo.words(ledger))
        if command.flags.contains("keep") { Output.error("kept in \(directory)") }
        return ledger.lost == 0 && ledger.duplicated == 0 && ledger.inFlight == 0 ? 0 : 1
    }

    private init(directory: String, messages: Int) {
        self.directory = directory
        self.messages = messages
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
            "sent 1, applied \(try centre.readStore().applied) (the sender still held \(kept) pack when it was killed)")
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
            AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: JSONBody.encode(order))
        sent[destination, default: 0] += UInt64(accepted.accepted)
    }

    // MARK: Counting

    private func drained() throws -> Bool {
        for node in nodes.values where try node.readStore().kept > 0 { return false }
        return true
    }

    private func ledger(_ begun: Int64) throws -> Ledger {
        var ledger = Ledger(
            sent: 0, applied: 0, lost: 0, duplicated: 0, inFlight: 0, nodes: nodes.count, kills: kills, cuts: cuts,
            seconds: 0)
        for (name, node) in nodes {
            let (applied, kept) = try node.readStore()
            let due = sent[name] ?? 0
            ledger.sent += due
            ledger.applied += applied
            ledger.lost += due > applied ? due - applied : 0
            ledger.duplicated += applied > due ? applied - due : 0
            ledger.inFlight += kept
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
            let request = try folder.create(NodeSettings(node: name, segment: segment, federation: Demo.federation))
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
