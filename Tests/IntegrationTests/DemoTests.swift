import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

@Suite("The demo, from the built binary", .serialized)
struct DemoTests {
    struct Ledger: Decodable, Equatable {
        var submitted: Int
        var resolvedFirstLine: Int
        var answered: Int
        var waiting: Int
        var inFlight: Int
        var lost: Int
        var duplicated: Int
        var escalated: Int
        var returned: Int
        var nodes: Int
        var knowledgePublished: Int
        var nodesConverged: Int
        var kills: Int
        var cuts: Int
        var inFlightAtKill: Int
        var moved: Int
        var seconds: Double

        init(_ output: String) throws {
            self = try JSONDecoder().decode(Ledger.self, from: Data(output.utf8))
        }
    }

    @Test("Killed and cut, it loses nothing and doubles nothing")
    func demo() throws {
        let (exit, output) = try Binary.run(["demo", "--json", "--appeals", "400", "--entries", "300"])
        let ledger = try Ledger(output)
        #expect(exit == 0, "\(output)")
        #expect(ledger.submitted == 400 && ledger.lost == 0 && ledger.duplicated == 0 && ledger.inFlight == 0)
        #expect(ledger.resolvedFirstLine + ledger.answered + ledger.waiting == 400)
        #expect(ledger.waiting > 0 && ledger.answered > 0)
        #expect(ledger.knowledgePublished == 300 && ledger.nodesConverged == ledger.nodes)
        #expect(ledger.kills == 2 && ledger.cuts == 2 && ledger.inFlightAtKill > 0)
        #expect(ledger.moved > 0, "no appeal followed its home")
    }

    @Test("What the machine lacks is said before anything is started")
    func lacking() throws {
        let folder = try TemporaryFolder()
        let (place, errors) = (folder.path + "/demo", folder.path + "/errors")
        let (exit, _) = try Binary.start(
            ["demo", "--nodes", "103", "--directory", place], errors: errors, limit: 200
        ).finish()
        #expect(exit == 1)
        let said = String(decoding: try #require(FileManager.default.contents(atPath: errors)), as: UTF8.self)
        #expect(said.contains("too-few-descriptors: a process may open 200 files, 998 are needed"), "\(said)")
        #expect(!FileManager.default.fileExists(atPath: place))
        #expect(try Binary.run(["demo", "--nodes", "11"]).exit == 64)
    }

    // MARK: A kept one

    @Test("A kept demo is counted again with the same result; the folder of somebody else is not touched")
    func kept() throws {
        let kept = try KeptDemo.shared.get()
        let again = try kept.recount()
        #expect(again.exit == 0 && again.ledger == kept.ledger && again.errors == "", "\(again)")
        #expect(kept.ledger.kills == 2 && kept.ledger.seconds > 0)
        #expect(try Binary.run(["demo", "--appeals", "60", "--directory", kept.place]).exit == 1)
        #expect(try kept.recount().exit == 0)
    }

    @Test("A stock of closed and waiting appeals is counted row by row, on top of what was there")
    func stock() throws {
        let kept = try KeptDemo.shared.get()
        let copy = try kept.copy(of: "centre")
        let centre = copy.path + "/centre"
        for name in ["node.json", "trust"] {
            try FileManager.default.copyItem(atPath: kept.place + "/centre/" + name, toPath: centre + "/" + name)
        }
        let (exit, output) = try Binary.run(
            ["generate", "stock", centre, "--closed", "1500", "--queued", "70", "--json"])
        #expect(exit == 0 && output.contains(#""closed":1500"#) && output.contains(#""queued":70"#), "\(output)")
        #expect(output.contains(#""inQueue":70"#) && output.contains(#""numbers":1630"#), "\(output)")
        // A second helping: its numbers are others.
        let again = try Binary.run(["generate", "stock", centre, "--closed", "10", "--queued", "1", "--json"])
        #expect(again.exit == 0 && again.output.contains(#""numbers":1641"#), "\(again.output)")
    }

    @Test("Whatever is done to a store behind its back is seen", arguments: Tampering.all)
    func tampered(_ tampering: Tampering) throws {
        let kept = try KeptDemo.shared.get()
        let copy = try kept.copy(of: tampering.node)
        let changed = try tampering.run(in: copy.path, kept)
        #expect(changed > 0, "nothing was changed")
        let (exit, ledger, errors) = try kept.recount(copy.path)
        #expect(exit == 1)
        #expect(ledger.lost == (tampering.isLost ? changed : 0), "\(errors)")
        #expect(ledger.duplicated == (tampering.isDoubled ? changed : 0), "\(errors)")
        #expect(ledger.nodesConverged == (tampering.isBehind ? 9 : 10))
        #expect(ledger.submitted == 60 && errors.contains(tampering.says), "\(errors)")
    }

    @Test(
        "Without a journal, or the record of what was asked, nothing is counted",
        arguments: ["channel-1.journal", "demo.json"])
    func incomplete(_ file: String) throws {
        let copy = try KeptDemo.shared.get().copy(of: nil)
        unlink(copy.path + "/" + file)
        let errors = copy.path + "/errors"
        let (exit, output) = try Binary.run(
            ["demo", "--json", "--recount", "--directory", copy.path], errors: errors)
        let said = String(decoding: try Files.read(errors, maximum: 1 << 20), as: UTF8.self)
        #expect(exit == 1 && output == "" && said.contains(file) && said.contains("remedy"), "\(said)")
    }

    // MARK: One that does not come to its end

    @Test("A node that dies by itself is named at once, with the end of its log")
    func death() throws {
        let folder = try TemporaryFolder()
        let place = folder.path + "/demo"
        let demo = try Binary.start(
            ["demo", "--appeals", "100000", "--entries", "10", "--directory", place], errors: folder.path + "/errors")
        let nodes = try play(of: demo)
        let victim = try #require(nodes.first { $0.folder.hasSuffix("/cc-fss") })
        kill(victim.pid, SIGKILL)
        let begun = Clocks.monotonicMicroseconds()
        #expect(demo.finish().exit == 1)
        #expect(Clocks.monotonicMicroseconds() - begun < 30_000_000)
        let said = String(decoding: try Files.read(folder.path + "/errors", maximum: 1 << 20), as: UTF8.self)
        #expect(said.contains("cc-fss ended by itself (signal 9)") && said.contains("cc-fss/log:\n"), "\(said)")
        #expect(Files.exists(victim.folder + "/log"))
        #expect(nodes.allSatisfy { kill($0.pid, 0) != 0 })
    }

    @Test("Told to stop, it leaves no process and no folder of its own", arguments: [SIGTERM, SIGINT])
    func interrupted(_ signal: CInt) throws {
        let folder = try TemporaryFolder()
        let demo = try Binary.start(
            ["demo", "--appeals", "100000", "--entries", "10"], errors: folder.path + "/errors")
        let nodes = try play(of: demo)
        kill(demo.pid, signal)
        #expect(demo.finish().exit == 1)
        let said = String(decoding: try Files.read(folder.path + "/errors", maximum: 1 << 20), as: UTF8.self)
        #expect(said.contains("demo-interrupted"), "\(said)")
        #expect(nodes.allSatisfy { kill($0.pid, 0) != 0 && !Files.exists($0.folder) })
    }

    @Test("A node that cannot start says why, in the demo's own words")
    func unready() throws {
        let folder = try TemporaryFolder()
        // A path that is too long for the socket of the administrator.
        let place = folder.path + "/" + String(repeating: "d", count: 90)
        let errors = folder.path + "/errors"
        #expect(try Binary.run(["demo", "--appeals", "60", "--directory", place], errors: errors).exit == 1)
        let said = String(decoding: try Files.read(errors, maximum: 1 << 20), as: UTF8.self)
        #expect(said.contains("socket-path") && Files.exists(place + "/centre/log"), "\(said)")
    }

    private struct NodeProcess {
        var pid: pid_t
        var folder: String
    }

    /// Its nodes, when the channels have begun.
    private func play(of demo: Binary.Running) throws -> [NodeProcess] {
        for _ in 0..<600 {
            let children = try Files.read("/proc/\(demo.pid)/task/\(demo.pid)/children", maximum: 1 << 16)
            let pids = String(decoding: children, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
            let nodes = pids.compactMap { pid -> NodeProcess? in
                guard let line = try? Files.read("/proc/\(pid)/cmdline", maximum: 1 << 16) else { return nil }
                let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
                return words.count > 3 ? NodeProcess(pid: pid, folder: words[3]) : nil
            }
            if nodes.count == 10, Files.exists(nodes[0].folder + "/../channel-0.journal") { return nodes }
            usleep(50_000)
        }
        kill(demo.pid, SIGTERM)
        throw FederationError("no-play", "the demo did not begin", remedy: "see what it said")
    }
}
