package import Federation
import Glibc

/// A federation of real nodes in this process: own authorities, real sockets on loopback, real TLS, real LMDB.
package final class TestFederation {
    package let folder: TemporaryFolder
    private var topologyText: (_ ports: [String: UInt16], _ version: Int) -> String
    private var ports: [String: UInt16] = [:]
    package private(set) var running: [String: FederationNode] = [:]
    private let nodes: [String]
    private let application: () -> any Application
    package let log: EventLog

    /// Events of all nodes, in order.
    package final class EventLog: Sendable {
        private let lines = Monitor<[String]>([])
        package func add(_ line: String) { lines.change { $0.append(line) } }
        package var all: [String] { lines.changeQuietly { $0 } }
        package func wait(milliseconds: Int, for part: String) -> Bool {
            lines.wait(milliseconds: milliseconds, until: { $0.contains { $0.contains(part) } }, then: { _ in true })
                ?? false
        }
    }

    /// - Parameters:
    ///   - nodes: names; the first is the centre, whom the others dial.
    ///   - seconds: how long the certificates still live; nil: their usual life.
    ///   - isCarried: pins are from before metadata was signed: no node has signed its keys.
    package init(
        _ nodes: [String], certificatesEndIn seconds: Int64? = nil, isCarried: Bool = false,
        application: @escaping () -> any Application
    ) throws {
        folder = try TemporaryFolder()
        self.nodes = nodes
        log = EventLog()
        self.application = application
        topologyText = { ports, version in
            let list = nodes.enumerated().map { index, name in
                let address = index == 0 ? "\"127.0.0.1:\(ports[name] ?? 0)\"" : ""
                return """
                    {"id": "\(name)", "segment": "\(index == 0 ? "centre" : "oszn")", "state": "live", "addresses": [\(address)]}
                    """
            }
            let links = nodes.dropFirst().map { "{\"dials\": \"\($0)\", \"listens\": \"\(nodes[0])\"}" }
            return """
                {"format": 2, "version": \(version), "federation": "ekc.test",
                "segments": [{"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"}],
                "nodes": [\(list.joined(separator: ",\n"))],
                "rights": [
                  {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
                  {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
                "tenancies": [], "homes": [], "special": [], "links": [\(links.joined(separator: ",\n"))]}
                """
        }
        var answers: [EnrolmentAnswer] = []
        for segment in ["centre", "oszn"] {
            _ = try Authority.create(folder.path + "/ca-" + segment, segment: segment, federation: "ekc.test")
        }
        for (index, name) in nodes.enumerated() {
            let segment = index == 0 ? "centre" : "oszn"
            let place = NodeFolder(folder.path + "/" + name)
            let request = try place.create(
                NodeSettings(node: name, segment: segment, federation: "ekc.test", anyPorts: true))
            let answer = try Authority(folder.path + "/ca-" + segment)
                .issue(request, seconds: seconds ?? 30 * 86_400, now: Clocks.wall())
            try place.install(answer)
            answers.append(answer)
        }
        var pins: Pins?
        if isCarried {
            var old = Pins(federation: "ekc.test")
            for answer in answers { try old.add(answer) }
            pins = old
        }
        let published = try TestTrust.ceremony().begin(
            topology(version: 1), answers: isCarried ? [] : answers, pins: pins, centre: place(nodes[0]),
            now: Clocks.wall())
        for name in nodes.dropFirst() {
            _ = try place(name).trust.install(from: published, anchor: nil, now: Clocks.wall())
        }
    }

    package func place(_ name: String) -> NodeFolder { NodeFolder(folder.path + "/" + name) }

    /// Starts a node; one that listens keeps its port over restarts.
    /// - Parameter port: what it dials instead of the others' own port: a line of the test's.
    @discardableResult
    package func start(_ name: String, tables: [Table] = [], dialling port: UInt16? = nil) throws -> FederationNode {
        try setAddresses(name, dialling: port)
        let log = log
        let node = try FederationNode.open(
            place(name), tables: tables,
            log: { event in log.add("\(name): \(event.code) \(event.peer?.text ?? "-") \(event.detail)") }
        ) { [application] _, _, _ in application() }
        if let port = node.links.port { ports[name] = port }
        node.start()
        running[name] = node
        return node
    }

    /// A certificate as the first one, for the same key: the next start presents it.
    package func renew(_ name: String) throws {
        let request = try TrustFile.read(EnrolmentRequest.self, place(name).requestFile)
        let authority = try Authority(folder.path + "/ca-" + request.segment)
        try place(name).install(try authority.issue(request, now: Clocks.wall()))
    }

    /// Where the centre is found from a node.
    package func setAddresses(_ name: String, dialling port: UInt16? = nil) throws {
        var settings = try place(name).settings()
        settings.addresses = (port ?? ports[nodes[0]]).map { [nodes[0]: ["127.0.0.1:\($0)"]] }
        try TrustFile.write(settings, to: place(name).settingsFile)
    }

    /// The same topology under another version. Ports are nobody's but the nodes' own.
    package func topology(version: Int) -> [UInt8] { Array(topologyText([:], version).utf8) }

    /// Has holders sign a newer topology, publishes it at the centre, and waits until every node that runs has it in force.
    package func publish(_ topology: [UInt8]) throws {
        guard let centre = running[nodes[0]] else { return }
        let proposal = try TestTrust.ceremony().proposal(
            topology, after: centre.trust.state, reason: "a test", now: Clocks.wall())
        let state = try centre.trust.publish(proposal) { _ in }
        try waitForTopology(state.topology.version)
    }

    /// The state of a newer topology, published at the centre's folder and told to nobody.
    package func published(version: Int) throws -> SignedFederation {
        let centre = place(nodes[0])
        let loaded = try centre.trust.load()
        let text = String(decoding: topology(version: version), as: UTF8.self) + "\n"
        let proposal = try TestTrust.ceremony().proposal(
            Array(text.utf8), after: loaded.inForce, reason: "a test", now: Clocks.wall())
        return try Publication.following(
            loaded.baseline, loaded.inForce, proposal, snapshot: try SigningKey.read(centre.snapshotKey),
            timestamp: try SigningKey.read(centre.timestampKey), now: Clocks.wall()
        ).state
    }

    package func waitForTopology(_ version: UInt64) throws {
        let isThere = TestFederation.wait(milliseconds: 10_000) {
            running.values.allSatisfy { $0.topology.version == version }
        }
        guard isThere else {
            throw FederationError("test-failed", "topology \(version) is not everywhere", remedy: "see the log")
        }
    }

    package func stop(_ name: String) {
        running.removeValue(forKey: name)?.stop()
    }

    package func stopAll() { for name in running.keys.sorted() { stop(name) } }

    /// Waits until `holds`, looking again every few milliseconds.
    package static func wait(milliseconds: Int, until holds: () throws -> Bool) rethrows -> Bool {
        let deadline = Clocks.monotonicMicroseconds() + Int64(milliseconds) * 1000
        while Clocks.monotonicMicroseconds() < deadline {
            if try holds() { return true }
            usleep(2_000)
        }
        return try holds()
    }
}
