import ContactCentre
import Federation
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

/// Beside the release before, built from its commit (`docs/releases.md`): `make test-slow`.
@Suite("SlowUpgradeTests", .serialized, .enabled(if: getenv("EKC_SLOW") != nil))
struct SlowUpgradeTests {
    private static let commit = "87b6d7fe33e6c551e19946ca757f9b8d1f8068c3"

    /// Its binary, built once, in a folder of its own.
    private static let previous = Result { () throws -> String in
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let place = root + "/.build/releases/" + commit
        let binary = place + "/build/release/ekc"
        if FileManager.default.isExecutableFile(atPath: binary) { return binary }
        let script = """
            set -e; cd '\(root)'; mkdir -p '\(place)/source'
            git archive \(commit) | tar -x -C '\(place)/source'
            swift build -c release --product ekc --package-path '\(place)/source' --scratch-path '\(place)/build' >&2
            """
        print("release 0.1.0 is built from \(commit)")
        let command: [String] = ["/bin/sh", "-c", script]
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        var status: CInt = -1
        try #require(posix_spawn(&pid, "/bin/sh", nil, nil, &words, environ) == 0)
        waitpid(pid, &status, 0)
        try #require(status == 0, "release 0.1.0 cannot be built: does this clone hold its commit?")
        return binary
    }

    @Test("Every node is changed to this release under load, back, and again: nothing is lost or doubled")
    func demo() throws {
        let (exit, output) = try Binary.run(["demo", "--json", "--previous", try SlowUpgradeTests.previous.get()])
        #expect(exit == 0, "\(output)")
        #expect(output.contains(#""changes":30"#) && output.contains(#""submitted":5000"#), "\(output)")
        print("changed under load: \(output)")
    }

    @Test("What this release adds to a message crosses a relay that does not know it")
    func relay() throws {
        let federation = try ProcessFederation(["subject-77", "subject-78"])
        let old = try SlowUpgradeTests.previous.get()
        try federation.start("centre", binary: old)
        for name in ["subject-77", "subject-78"] { try federation.start(name) }
        federation.end("subject-77", SIGTERM)
        // One that needs a newer topology than anybody has is held by its destination, if its header says that its origin
        // understands that: an extension of this release.
        try send(from: federation.place("subject-77"), to: "subject-78")
        try federation.start("subject-77")
        #expect(
            try TestFederation.wait(milliseconds: 20_000) {
                try self.quarantined(federation.place("subject-78")).first?.state == .held
            })
        #expect(
            try TestFederation.wait(milliseconds: 20_000) {
                try self.read(federation.place("subject-77")) { transaction throws(StoreError) in
                    try Held.list(limit: 10, in: transaction).count
                } == 1
            }, "its origin knows that it is held")
    }

    @Test("A restored node does not wait for a neighbour that cannot say what is awaited")
    func restored() throws {
        let federation = try ProcessFederation(["subject-77"])
        let place = federation.place("subject-77")
        try federation.start("centre", binary: try SlowUpgradeTests.previous.get())
        try federation.start("subject-77")
        federation.end("subject-77", SIGTERM)
        let opened = try Binary.run(["node", "init", place.path, "--new-incarnation", "--reason", "a test"])
        #expect(opened.exit == 0, "\(opened.output)")
        try federation.start("subject-77")
        try federation.probe(4, group: 1)
        #expect(try TestFederation.wait(milliseconds: 20_000) { try federation.applied() == 4 }, "\(federation.log)")
        #expect(federation.log.contains("control-only-over"))
    }

    private func send(from place: NodeFolder, to destination: String) throws {
        let store = try Store.open(
            directory: place.storeFolder, tables: ContactCentreTables.all,
            newIncarnation: Incarnation(bits: ID128(high: 1, low: 1)))
        defer { store.close() }
        let origin = try #require(NodeID(try place.settings().node))
        let to = try #require(NodeID(destination))
        let outbox = Outbox(node: origin, incarnation: store.incarnation, topologyVersion: { 99 })
        try store.write(.people) { transaction in
            try outbox.send(
                .escalation, id: ID128(high: 5, low: 5), to: to, body: EnvelopeBody(bytes: Array("{}".utf8)),
                in: transaction)
        }
    }

    private func read<Result>(
        _ place: NodeFolder, _ body: (borrowing ReadTransaction) throws(StoreError) -> Result
    ) throws -> Result {
        let engine = try LMDBEngine(
            directory: place.storeFolder, tables: Table.exchange + ContactCentreTables.all, readOnly: true)
        defer { engine.close() }
        return try Store.read(engine, body)
    }

    private func quarantined(_ place: NodeFolder) throws -> [QuarantineRow] {
        try read(place) { transaction throws(StoreError) in
            try Quarantine.list(limit: 10, in: transaction).map(\.row)
        }
    }
}
