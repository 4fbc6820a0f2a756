import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation

/// The built binary, as users run it.
enum Binary {
    /// Beside the test bundle, whatever the configuration.
    static var path: String {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? ""
        return bundle.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/ekc"
    }

    /// Runs it to its end. Its standard error goes where the tests' goes, unless a file is named for it.
    static func run(_ arguments: [String], errors: String? = nil) throws -> (exit: Int32, output: String) {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        if let errors {
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        }
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, path, &actions, nil, &words, environ) == 0, "\(path) cannot be started")
        close(ends[1])
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = read(ends[0], &buffer, buffer.count), count > 0 { output += buffer[..<count] }
        close(ends[0])
        var status: CInt = 0
        waitpid(pid, &status, 0)
        return (
            status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F, String(decoding: output, as: UTF8.self)
        )
    }
}

@Suite("The demo, from the built binary", .serialized)
struct DemoTests {
    private struct Ledger: Decodable {
        var submitted: Int
        var resolvedFirstLine: Int
        var answered: Int
        var waiting: Int
        var inFlight: Int
        var lost: Int
        var duplicated: Int
        var nodes: Int
        var knowledgePublished: Int
        var nodesConverged: Int
        var kills: Int
        var cuts: Int
    }

    @Test("Killed and cut, it loses nothing and doubles nothing")
    func demo() throws {
        let (exit, output) = try Binary.run(["demo", "--json", "--appeals", "400", "--entries", "300"])
        let ledger = try JSONDecoder().decode(Ledger.self, from: Data(output.utf8))
        #expect(exit == 0, "\(output)")
        #expect(ledger.submitted == 400 && ledger.lost == 0 && ledger.duplicated == 0)
        #expect(ledger.resolvedFirstLine + ledger.answered + ledger.waiting + ledger.inFlight == 400)
        #expect(ledger.waiting > 0 && ledger.answered > 0)
        #expect(ledger.knowledgePublished == 300 && ledger.nodesConverged == ledger.nodes)
        #expect(ledger.kills == 2 && ledger.cuts == 2)
    }

    @Test(
        "An appeal that is taken out of a store behind its back is lost 1; the folder of somebody else is not touched")
    func lost() throws {
        let folder = try TemporaryFolder()
        let place = folder.path + "/demo"
        let (exit, output) = try Binary.run([
            "demo", "--json", "--appeals", "60", "--entries", "10", "--keep", "--directory", place,
        ])
        #expect(exit == 0, "\(output)")
        #expect(try Binary.run(["demo", "--appeals", "60", "--directory", place]).exit == 1)
        #expect(try Binary.run(["demo", "--json", "--recount", "--directory", place]).exit == 0)
        let engine = try LMDBEngine(
            directory: place + "/centre/store", tables: Table.exchange + ContactCentreTables.all)
        let job = WriteJob(.essential) { transaction in
            var victim: [UInt8]?
            try transaction.scan(.appeals, from: []) { key, value in
                let row = String(decoding: Array(value), as: UTF8.self)
                if row.contains("\"outcome\":\"first-line\"") { victim = Array(key) }
                return victim == nil
            }
            try transaction.delete(.appeals, try #require(victim))
        } completion: { _ in
        }
        _ = try GroupCommit.run([job], on: engine, quota: 0, now: Timestamp(milliseconds: 0))
        engine.close()
        let (after, counted) = try Binary.run(["demo", "--json", "--recount", "--directory", place])
        let ledger = try JSONDecoder().decode(Ledger.self, from: Data(counted.utf8))
        #expect(after == 1 && ledger.lost == 1 && ledger.submitted == 60 && ledger.duplicated == 0, "\(counted)")
    }
}
