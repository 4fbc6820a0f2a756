import CLinux
import FederationTestKit
import Foundation
import Glibc
import Testing

@testable import Federation

/// What goes wrong around a node's process: a clear word on standard error, an exit code, and nothing half done.
@Suite("A node's process and its surroundings", .serialized)
struct BadInputTests {
    /// A centre of one node, enrolled and ready to run.
    private func centre(_ folder: TemporaryFolder, ports: (operators: UInt16, channels: UInt16)? = nil) throws -> String
    {
        let place = NodeFolder(folder.path + "/centre")
        let authority = try Authority.create(folder.path + "/ca", segment: "centre", federation: "ekc.test")
        var settings = NodeSettings(node: "centre", segment: "centre", federation: "ekc.test", anyPorts: true)
        if let ports { (settings.operatorsPort, settings.publicPort) = (ports.operators, ports.channels) }
        let answer = try authority.issue(try place.create(settings), now: Clocks.wall())
        try place.install(answer)
        let topology = """
            {"format": 2, "version": 1, "federation": "ekc.test",
             "segments": [{"id": "centre", "profile": "tls13"}],
             "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:0"]}],
             "rights": [
               {"from": ["centre"], "to": ["centre"], "kinds": ["escalation", "status", "topology", "entry", "probe"]}],
             "tenancies": [], "homes": [], "special": [], "links": []}
            """
        var pins = Pins(federation: "ekc.test")
        try pins.add(answer)
        try TestTrust.put(Array(topology.utf8), pins, in: place)
        return place.path
    }

    /// Runs to its end and gives what was said on standard error.
    private func refused(_ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let folder = try TemporaryFolder()
        let said = folder.path + "/said"
        let (exit, output) = try Binary.run(arguments, errors: said)
        #expect((1...64).contains(exit), "\(exit)", sourceLocation: sourceLocation)
        #expect(output.isEmpty, sourceLocation: sourceLocation)
        return String(decoding: try Files.read(said, maximum: 1 << 20), as: UTF8.self)
    }

    @Test("A port that is taken is named, with the way out")
    func portInUse() throws {
        let folder = try TemporaryFolder()
        let (taken, port) = try TakenPort.listener()
        defer { close(taken) }
        let said = try refused(["node", "run", try centre(folder, ports: (port, 0))])
        #expect(said.contains("port-in-use") && said.contains("\(port)"), "\(said)")
    }

    @Test("A second daemon on the same folder is refused, and the first goes on")
    func secondDaemon() throws {
        let folder = try TemporaryFolder()
        let place = try centre(folder)
        let lock = try StoreLock(
            directory: {
                mkdir(place + "/store", 0o700); return place + "/store"
            }())
        defer { lock.release() }
        let said = try refused(["node", "run", place])
        #expect(said.contains("store-in-use"), "\(said)")
    }

    @Test("A folder that cannot be made, or is no node's, is named")
    func folders() throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/file"
        try Files.write([1], to: file)
        let said = try refused([
            "node", "init", file + "/node", "--node", "a", "--segment", "b", "--federation", "c.test",
        ])
        #expect(said.contains(file), "\(said)")
        #expect(try refused(["node", "run", folder.path]).contains("node.json"))
        #expect(try refused(["demo", "--directory", folder.path]).contains("directory-not-empty"))
        #expect(Files.exists(file))
    }

    @Test("A store of a newer format is refused with the way out, and stays as it is")
    func newerStore() throws {
        let folder = try TemporaryFolder()
        let place = try centre(folder)
        mkdir(place + "/store", 0o700)
        let engine = try LMDBEngine(directory: place + "/store", tables: Table.exchange)
        let job = WriteJob(.essential) { transaction in
            try transaction.put(.meta, Array("format".utf8), [0, 0, 0, 0, 0, 0, 0, 9])
        } completion: { _ in
        }
        _ = try GroupCommit.run([job], on: engine, quota: 0, now: Timestamp(milliseconds: 0))
        engine.close()
        #expect(try refused(["node", "run", place]).contains("store-newer"))
    }
}
