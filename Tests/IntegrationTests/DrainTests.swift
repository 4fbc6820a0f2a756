import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation
@testable import Node

/// A node that goes, with real processes: what is left in it is never left behind in silence.
@Suite("Draining and retiring a node", .serialized)
struct DrainTests {
    private let federation: RealFederation

    init() throws {
        federation = try RealFederation()
        for name in ["centre", "cc-fss"] { try federation.start(name) }
    }

    private var centre: String { federation.path("centre") }
    private var errors: String { federation.folder.path + "/said" }

    /// On standard error, by the last command.
    private func expectSaid(_ parts: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        let said = String(decoding: try Files.read(errors, maximum: 1 << 16), as: UTF8.self)
        for part in parts { #expect(said.contains(part), "\(said)", sourceLocation: sourceLocation) }
    }

    private func ekc(_ arguments: String...) throws -> (exit: Int32, output: String) {
        try Binary.run(arguments, errors: errors)
    }

    private func submit() throws -> (status: Int, body: String) {
        let token = federation.folder.path + "/channel.token"
        if !Files.exists(token) {
            #expect(try ekc("channel", "add", centre, "phone", "--kind", "voice", "--token-file", token).exit == 0)
        }
        let header = String(decoding: try Files.read(token, maximum: 4096), as: UTF8.self).filter { $0 != "\n" }
        let port = try #require(federation.ready["centre"]?.channels)
        let body = """
            {"organisation": "OSZN", "subject": "77",
             "history": [{"at": "2026-11-24T09:15:00.123Z", "author": "citizen", "text": "Когда?"}]}
            """
        let key = Hex.encode(Random.bytes(16))
        let answer = try HTTPClient(base: "http://127.0.0.1:\(port)").send(
            "POST", "/api/v1/appeals", headers: [header, "Idempotency-Key: \(key)"], body: Array(body.utf8))
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    @Test(
        "With a neighbour that is dark it says for whom what is left, after its time and not later, and goes on draining"
    )
    func darkNeighbour() throws {
        #expect(try submit().status == 201)
        federation.kill("cc-fss")
        #expect(try ekc("link", "probe", centre, "cc-fss", "--count", "3", "--no-wait").exit == 0)
        let begun = Clocks.monotonicMicroseconds()
        let (exit, output) = try ekc("node", "drain", centre, "--timeout", "2")
        #expect(exit == 1 && (Clocks.monotonicMicroseconds() - begun) / 1_000_000 < 20)
        #expect(output.contains("3 messages wait for cc-fss by cc-fss, dark since 20"), "\(output)")
        #expect(output.contains("1 appeals are open here"), "\(output)")
        #expect(output.contains("ekc node drain \(centre) waits on"), "\(output)")
        // What it goes on with is said while it waits, too.
        try expectSaid("3 messages wait for cc-fss")

        let refused = try submit()
        #expect(refused.status == 503 && refused.body.contains("\"code\":\"draining\""), "\(refused)")
        federation.kill("centre")
        try federation.start("centre")
        #expect(try submit().status == 503)
        #expect(try federation.status().nodes.first { $0.node == "centre" }?.state == "draining")
        #expect(try ekc("node", "status", centre).output.contains("draining since 20"))
        // And the way back.
        #expect(try ekc("node", "drain", centre, "--undo").exit == 0)
        #expect(try submit().status == 201)
        #expect(try ekc("node", "drain", centre, "--undo").exit == 1)
        try expectSaid("not-draining")
    }

    @Test(
        "A retirement with mail or with open appeals is refused and says what is there; one that is empty is for good")
    func retire() throws {
        #expect(try ekc("node", "retire", centre).exit == 1)
        try expectSaid("not-draining", "remedy: ekc node drain \(centre) first")
        federation.kill("cc-fss")
        #expect(try ekc("link", "probe", centre, "cc-fss", "--no-wait").exit == 0)
        #expect(try ekc("node", "drain", centre, "--timeout", "0").exit == 1)
        #expect(try ekc("node", "retire", centre).exit == 1)
        try expectSaid("node-not-empty: 1 messages wait for cc-fss by cc-fss, dark")
        try federation.start("cc-fss")
        #expect(try ekc("node", "drain", centre, "--undo").exit == 0)
        #expect(try submit().status == 201)
        let (_, waiting) = try ekc("node", "drain", centre, "--timeout", "0", "--json")
        #expect(waiting.contains("\"openAppeals\":1"), "\(waiting)")
        #expect(try ekc("node", "retire", centre).exit == 1)
        try expectSaid("1 appeals are open here")

        // The one that is empty; but what waits for it where nobody can look is not known.
        let place = federation.path("cc-fss")
        #expect(try ekc("link", "pause", centre, "cc-fss", "--reason", "works").exit == 0)
        let unseen = try ekc("node", "drain", place, "--timeout", "1")
        #expect(unseen.exit == 1 && unseen.output.contains("the link with centre does not run"), "\(unseen)")
        #expect(try ekc("node", "retire", place).exit == 1)
        try expectSaid("node-not-empty", "what waits there for this node is not known")
        #expect(try ekc("link", "resume", centre, "cc-fss").exit == 0)
        let drained = try ekc("node", "drain", place, "--timeout", "20")
        #expect(drained.exit == 0 && drained.output.contains("next: ekc node retire \(place)"), "\(drained)")
        #expect(try ekc("node", "retire", place).exit == 0)
        #expect(federation.ended("cc-fss") == 0)
        #expect(try federation.status().nodes.first { $0.node == "cc-fss" }?.state == "draining")
        #expect(try ekc("node", "run", place).exit == 1)
        try expectSaid("node-retired", "--undo")
        let check = try ekc("node", "check", place)
        #expect(check.exit == 1 && check.output.contains("the node is retired since 20"), "\(check.output)")
        #expect(try ekc("node", "retire", place, "--undo").exit == 0)
        #expect(try ekc("node", "retire", place, "--undo").exit == 1)
        try expectSaid("not-retired")
        try federation.start("cc-fss")
        #expect(try ekc("node", "drain", place, "--undo").exit == 0)
    }

    @Test("Neither the centre is retired, nor who stands on the way of a live node to it")
    func needed() throws {
        #expect(try ekc("node", "drain", centre, "--timeout", "0").exit == 1)
        for name in ["subject-77", "subject-78"] { try federation.start(name) }
        #expect(try ekc("node", "drain", centre, "--timeout", "20").exit == 0)
        #expect(try ekc("node", "retire", centre).exit == 1)
        try expectSaid("node-needed", "centre is the centre")
        let (relay, leaf) = (federation.path("subject-77"), federation.path("subject-78"))
        #expect(try ekc("node", "drain", relay, "--timeout", "20").exit == 0)
        #expect(try ekc("node", "retire", relay).exit == 1)
        try expectSaid("node-needed", "The way of subject-78 leads over subject-77")
        #expect(try ekc("node", "drain", leaf, "--timeout", "20").exit == 0)
        #expect(try ekc("node", "retire", leaf).exit == 0)
        #expect(federation.ended("subject-78") == 0)
    }
}
