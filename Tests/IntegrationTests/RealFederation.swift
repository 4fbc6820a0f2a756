import CLinux
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation
@testable import Node

/// A federation of real processes: a centre, two subjects of which one is behind the other, and a competence centre.
final class RealFederation {
    static let names = ["centre", "subject-77", "subject-78", "cc-fss"]
    private static let segments = ["centre": "centre", "cc-fss": "fss"]

    let folder: TemporaryFolder
    private var pins = Pins(federation: "ekc.test")
    private var running: [String: Binary.Running] = [:]
    private(set) var ready: [String: NodeService.Ready] = [:]

    /// Keys, certificates, pins and topology; nothing runs yet.
    init() throws {
        folder = try TemporaryFolder()
        for segment in ["centre", "oszn", "fss"] {
            _ = try Authority.create(folder.path + "/ca-" + segment, segment: segment, federation: "ekc.test")
        }
        for name in RealFederation.names {
            let segment = RealFederation.segments[name] ?? "oszn"
            let settings = NodeSettings(node: name, segment: segment, federation: "ekc.test", anyPorts: true)
            let answer = try Authority(folder.path + "/ca-" + segment).issue(
                try place(name).create(settings), now: Clocks.wall())
            try place(name).install(answer)
            try pins.add(answer)
        }
    }

    deinit { for name in running.keys { kill(name) } }

    func place(_ name: String) -> NodeFolder { NodeFolder(folder.path + "/" + name) }
    func path(_ name: String) -> String { place(name).path }

    /// Starts a node; when this returns it takes work. Whoever is dialled is started before who dials.
    func start(_ name: String) throws {
        try writeTopology(name)
        let process = try Binary.start(["node", "run", path(name)], errors: path(name) + "/log")
        running[name] = process
        let line = process.line()
        let log = String(decoding: try Files.read(path(name) + "/log", maximum: 1 << 20), as: UTF8.self)
        try #require(!line.isEmpty, "\(name) did not start: \(log)")
        ready[name] = try JSONDecoder().decode(NodeService.Ready.self, from: Data(line.utf8))
        try writeTopology(name)
    }

    func startAll() throws { for name in RealFederation.names { try start(name) } }

    /// SIGKILL.
    func kill(_ name: String) {
        guard let process = running.removeValue(forKey: name) else { return }
        Glibc.kill(process.pid, SIGKILL)
        _ = process.finish()
    }

    /// Such as SIGSTOP; it goes on being one of those that run.
    func signal(_ name: String, _ signal: CInt) { if let process = running[name] { Glibc.kill(process.pid, signal) } }

    /// TERM; its exit code.
    @discardableResult
    func stop(_ name: String) -> Int32? {
        guard let process = running.removeValue(forKey: name) else { return nil }
        Glibc.kill(process.pid, SIGTERM)
        return process.finish().exit
    }

    /// Waits for a process that ends by itself.
    func ended(_ name: String) -> Int32? { running.removeValue(forKey: name)?.finish().exit }

    func status() throws -> FederationStatus {
        try NodeCommands.client(path("centre")).exchange(FederationStatus.self, "GET", "/api/v1/federation")
    }

    /// Until every node is heard of and nothing is wrong.
    func waitUntilWell() throws {
        let isWell = try TestFederation.wait(milliseconds: 30_000) {
            try status().nodes.allSatisfy { $0.problems.isEmpty && $0.heard != nil }
        }
        let last = try status()
        try #require(isWell, "\(last.nodes)")
    }

    /// Each node's file names the ports that those have which it dials.
    private func writeTopology(_ name: String) throws {
        func address(_ name: String) -> String { "\"127.0.0.1:\(ready[name]?.link ?? 0)\"" }
        let text = """
            {"format": 2, "version": 1, "federation": "ekc.test",
             "segments": [{"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"},
                          {"id": "fss", "profile": "tls13"}],
             "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": [\(address("centre"))]},
                       {"id": "subject-77", "segment": "oszn", "subject": "77", "state": "live",
                        "addresses": [\(address("subject-77"))]},
                       {"id": "subject-78", "segment": "oszn", "subject": "78", "state": "live", "addresses": []},
                       {"id": "cc-fss", "segment": "fss", "state": "live", "addresses": []}],
             "rights": [
               {"from": ["centre"], "to": ["centre", "oszn", "fss"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
               {"from": ["oszn", "fss"], "to": ["centre", "oszn", "fss"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
             "tenancies": [{"id": "OSZN/77", "organisation": "OSZN", "node": "subject-77", "lines": ["2"], "open": true,
                            "dueMinutes": 240, "fallback": "Позже."},
                           {"id": "OSZN/78", "organisation": "OSZN", "node": "subject-78", "lines": ["2"], "open": true,
                            "dueMinutes": 240, "fallback": "Позже."}],
             "homes": [{"organisation": "OSZN", "subjects": ["77"], "tenancy": "OSZN/77", "from": "2022-01-01"},
                       {"organisation": "OSZN", "subjects": ["78"], "tenancy": "OSZN/78", "from": "2022-01-01"}],
             "special": [],
             "links": [{"dials": "subject-77", "listens": "centre"}, {"dials": "cc-fss", "listens": "centre"},
                       {"dials": "subject-78", "listens": "subject-77"}]}
            """
        try TestTrust.put(Array(text.utf8), pins, in: place(name))
    }
}
