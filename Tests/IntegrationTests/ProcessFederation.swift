import Federation
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Node

/// A centre and subjects as processes, with the centre's port fixed after its first start.
final class ProcessFederation {
    let folder: TemporaryFolder
    private let leaves: [String]
    private(set) var pids: [String: pid_t] = [:]
    private(set) var ready: [String: NodeService.Ready] = [:]
    private let binary: String
    private let topology: ((_ port: UInt16) -> String)?
    private var port: UInt16 = 0
    private var pins = Pins(federation: "ekc.test")

    /// - Parameter topology: the file's text, given the centre's port, at first 0; nil: links and nothing else.
    init(
        _ leaves: [String] = ["subject-77"], binary: String = SlowTests.binary,
        topology: ((_ port: UInt16) -> String)? = nil
    ) throws {
        self.binary = binary
        self.leaves = leaves
        self.topology = topology
        folder = try TemporaryFolder()
        let authorities = [
            "centre": try authority("centre"), "oszn": try authority("oszn"),
        ]
        for name in ["centre"] + leaves {
            let segment = name == "centre" ? "centre" : "oszn"
            let request = try place(name).create(
                NodeSettings(node: name, segment: segment, federation: "ekc.test", anyPorts: true))
            let answer = try #require(authorities[segment]).issue(request, now: Clocks.wall())
            try place(name).install(answer)
            try pins.add(answer)
        }
    }

    private func authority(_ segment: String) throws -> Authority {
        try Authority.create(folder.path + "/ca-" + segment, segment: segment, federation: "ekc.test")
    }

    deinit { for name in pids.keys { end(name, SIGKILL) } }

    func place(_ name: String) -> NodeFolder { NodeFolder(folder.path + "/" + name) }

    /// - Parameter binary: of which release.
    func start(_ name: String, under tracer: [String] = [], binary: String? = nil) throws {
        let file = Array((topology?(port) ?? bare).utf8)
        try TestTrust.put(file, pins, in: place(name))
        if binary != nil {
            // Release 0.1.0 knows neither rights nor signed metadata.
            try Files.write(try DemoScheme.withoutRights(file), to: place(name).path + "/topology.json")
            try TrustFile.write(pins, to: place(name).path + "/pins.json")
        }
        let (pid, line) = try spawn(tracer + [binary ?? self.binary, "node", "run", place(name).path, "--with-parent"])
        pids[name] = pid
        try #require(!line.isEmpty, "\(name) has ended before it was ready: \(log.suffix(2000))")
        let said = try JSONDecoder().decode(NodeService.Ready.self, from: Data(line.utf8))
        ready[name] = said
        if let link = said.link { port = link }
    }

    private var bare: String {
        let nodes = leaves.map { #", {"id": "\#($0)", "segment": "oszn", "state": "live", "addresses": []}"# }.joined()
        let links = leaves.map { #"{"dials": "\#($0)", "listens": "centre"}"# }.joined(separator: ", ")
        return """
            { "format": 2, "version": 1, "federation": "ekc.test",
              "segments": [ {"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"} ],
              "nodes": [ {"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:\(port)"]}\(nodes) ],
              "rights": [
                {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
                {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
              "tenancies": [], "homes": [], "special": [], "links": [ \(links) ] }
            """
    }

    private func spawn(_ words: [String]) throws -> (pid_t, String) {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        posix_spawn_file_actions_addopen(
            &actions, STDERR_FILENO, folder.path + "/log", O_WRONLY | O_CREAT | O_APPEND, 0o640)
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        try #require(posix_spawnp(&pid, words[0], &actions, nil, &arguments, environ) == 0, "\(words[0])")
        close(ends[1])
        defer { close(ends[0]) }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != 0x0A { line.append(byte) }
        return (pid, String(decoding: line, as: UTF8.self))
    }

    /// By which signal it has ended by itself; nil: it has not, or not by one.
    func ended(_ name: String, milliseconds: Int) throws -> CInt? {
        let pid = try #require(pids[name])
        var status: CInt = 0
        guard TestFederation.wait(milliseconds: milliseconds, until: { waitpid(pid, &status, WNOHANG) == pid })
        else { return nil }
        pids[name] = nil
        return status & 0x7F
    }

    func end(_ name: String, _ signal: CInt) {
        guard let pid = pids.removeValue(forKey: name) else { return }
        kill(pid, signal)
        var status: CInt = 0
        waitpid(pid, &status, 0)
    }

    func probe(_ count: Int, group: Int, size: Int = 1000) throws {
        let order = AdminAPI.ProbeOrder(destination: "centre", count: count, size: size, group: group)
        _ = try NodeCommands.client(place("subject-77").path)
            .exchange(AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: Output.encode(order))
    }

    func applied() throws -> UInt64 {
        try DemoProcess(place("centre")).readStore().applied
    }

    var log: String {
        (FileManager.default.contents(atPath: folder.path + "/log")).map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }
}
