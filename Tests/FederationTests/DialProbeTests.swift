import CLinux
import FederationTestKit
import Foundation
import Glibc
import Testing

@testable import Federation

/// Each way in which a link does not come up is found at its own step, with a remedy.
@Suite("Dialling step by step", .serialized)
struct DialProbeTests {
    private let federation: TestFederation
    private let node: NodeID
    private let centre: NodeID

    init() throws {
        federation = try TestFederation(["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        node = try #require(NodeID("subject-77"))
        centre = try #require(NodeID("centre"))
    }

    private func pins() throws -> Pins {
        try federation.place("subject-77").trust.load().inForce.pins
    }

    private func topology(_ change: (String) -> String = { $0 }) throws -> Topology {
        try federation.setAddresses("subject-77")
        let settings = try federation.place("subject-77").settings()
        let address = settings.addresses?["centre"]?.first ?? "127.0.0.1:0"
        let text = String(decoding: federation.topology(version: 1), as: UTF8.self)
        return try Topology.read(Array(change(text.replacing("127.0.0.1:0", with: address)).utf8))
    }

    private func dial(_ topology: Topology, _ pins: Pins, as name: String = "subject-77") throws -> [CheckStep] {
        let place = federation.place(name)
        let context = try place.context(try place.settings(), pins: pins)
        let id = try #require(NodeID(name))
        return DialProbe(node: id, topology: topology, context: context, milliseconds: 1_000).run(to: centre)
    }

    private func expect(
        _ steps: [CheckStep], failsAt name: String, says: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let order = ["topology", "address", "tcp", "tls", "certificate", "pin", "accepted"]
        #expect(steps.map(\.name) == Array(order.prefix { $0 != name }) + [name], sourceLocation: sourceLocation)
        #expect(steps.dropLast().allSatisfy { $0.outcome == .good }, sourceLocation: sourceLocation)
        #expect(steps.last?.outcome == .failed && steps.last?.remedy?.isEmpty == false, sourceLocation: sourceLocation)
        #expect(steps.last?.detail.contains(says) == true, "\(steps)", sourceLocation: sourceLocation)
    }

    @Test("A link that could come up is good in every step, and the one that runs is not disturbed")
    func good() throws {
        try federation.start("centre")
        let subject = try federation.start("subject-78")
        defer { federation.stopAll() }
        let steps = try dial(try topology(), try pins())
        #expect(steps.map(\.name) == ["topology", "address", "tcp", "tls", "certificate", "pin", "accepted"])
        #expect(steps.allSatisfy { $0.outcome == .good }, "\(steps)")
        #expect(federation.log.wait(milliseconds: 5_000, for: "subject-78: link-up centre"))
        let test = try subject.testLink(centre)
        #expect(test.isGood && test.roundTripMicroseconds ?? 0 > 0, "\(test)")
        #expect(test.skewMilliseconds.map { abs($0) < 500 } == true)
        #expect(!federation.log.all.contains { $0.contains("replaced") })
    }

    @Test("What the topology does not name, and what has no numeric address, is not dialled")
    func notNamed() throws {
        try federation.start("centre")
        defer { federation.stopAll() }
        let unlinked = try topology { $0.replacing(#"{"dials": "subject-77", "listens": "centre"},"#, with: "") }
        expect(try dial(unlinked, try pins()), failsAt: "topology", says: "names no link")
        let dark = try topology { text in
            text.replacing(#""centre", "state": "live""#, with: #""centre", "state": "suspended""#)
        }
        expect(try dial(dark, try pins()), failsAt: "topology", says: "live")
        let named = try topology { $0.replacing("127.0.0.1", with: "centre.example") }
        expect(try dial(named, try pins()), failsAt: "address", says: "not an IP address")
    }

    @Test("The word of a stranger is no step that was taken; that of the neighbour comes after all of them")
    func alert() {
        let fault = TLSFault("peer-refused", "its alert: protocol version")
        let stranger = DialProbe.steps(upTo: fault, centre, isKnown: false)
        #expect(stranger.map(\.name) == ["tls"] && stranger[0].outcome == .failed)
        #expect(stranger[0].detail == "peer-refused: its alert: protocol version")
        let known = DialProbe.steps(upTo: fault, centre, isKnown: true)
        #expect(known.map(\.name) == ["tls", "certificate", "pin", "accepted"])
        #expect(known.last?.detail.hasPrefix("centre says peer-refused") == true)
        let lint = DialProbe.steps(upTo: TLSFault("certificate-lint:authority", ""), centre, isKnown: false)
        #expect(lint.last?.name == "certificate" && lint.last?.detail == "certificate-lint:authority")
        #expect(lint.last?.remedy?.contains("authority issue") == true)
    }

    @Test(
        "Of a stranger that ends the handshake no certificate is said to be good, and nothing is its neighbour's word",
        .enabled(if: access("/usr/bin/openssl", X_OK) == 0, "apt-get install openssl"),
        arguments: [["-tls1_2"], ["-tls1_3", "-alpn", "h2"]])
    func stranger(options: [String]) throws {
        let folder = try TemporaryFolder()
        let (key, certificate) = (folder.path + "/key", folder.path + "/certificate")
        let made = try openssl([
            "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=stranger", "-keyout", key,
            "-out", certificate,
        ])
        made.process.waitUntilExit()
        try #require(made.process.terminationStatus == 0)
        let server = try openssl(
            ["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", certificate, "-key", key] + options)
        defer {
            // What the test's threads have blocked, its children have too.
            Glibc.kill(server.process.processIdentifier, SIGKILL)
            server.process.waitUntilExit()
        }
        // ACCEPT 127.0.0.1:40000
        var said = ""
        while !said.contains(/ACCEPT \S+:\d+\n/) {
            let more = server.output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "\(said)")
            said += String(decoding: more, as: UTF8.self)
        }
        let port = try #require(said.firstMatch(of: /ACCEPT \S+:(\d+)\n/)?.output.1)
        try federation.start("centre")
        defer { federation.stopAll() }
        let there = try topology { $0.replacing(/"127\.0\.0\.1:\d+"/, with: "\"127.0.0.1:\(port)\"") }
        let steps = try dial(there, try pins())
        expect(steps, failsAt: "tls", says: "peer-refused")
        #expect(!steps.contains { $0.detail.contains("centre says") }, "\(steps)")
    }

    private func openssl(_ arguments: [String]) throws -> (process: Process, output: Pipe) {
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        // One whose input ends hangs up before it has said anything.
        process.standardInput = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        return (process, output)
    }

    @Test("Nobody there, somebody else there, and somebody who says nothing are told apart")
    func line() throws {
        try federation.start("centre")
        let good = try topology()
        federation.stop("centre")
        expect(try dial(good, try pins()), failsAt: "tcp", says: "refused")
        for words in ["SSH-2.0-OpenSSH\r\n", ""] {
            let (listener, port) = try TakenPort.listener()
            defer { close(listener) }
            Threads.start("strange") {
                let accepted = accept(listener, nil, nil)
                _ = send(accepted, words, words.utf8.count, CInt(MSG_NOSIGNAL))
                usleep(1_500_000)
                close(accepted)
            }
            let elsewhere = try topology { text in
                text.replacing("127.0.0.1:\(good.nodes[0].addresses[0].port)", with: "127.0.0.1:\(port)")
            }
            expect(try dial(elsewhere, try pins()), failsAt: "tls", says: words.isEmpty ? "peer-silent" : "not-tls")
        }
    }

    @Test("A wrong key, an unknown authority and an end that does not know this one are told apart")
    func trust() throws {
        try federation.start("centre")
        defer { federation.stopAll() }
        var other = try pins()
        let index = try #require(other.nodes.firstIndex { $0.node == "centre" })
        other.nodes[index].linkPin = String(repeating: "ab", count: 32)
        expect(try dial(try topology(), other), failsAt: "pin", says: "pin-mismatch")
        other.nodes.remove(at: index)
        expect(try dial(try topology(), other), failsAt: "pin", says: "not-pinned")
        other = try pins()
        other.anchors.removeAll { $0.segment == "centre" }
        expect(try dial(try topology(), other), failsAt: "certificate", says: "wrong-segment")
        // The other end has another pin of this one.
        federation.stop("centre")
        other = try pins()
        let own = try #require(other.nodes.firstIndex { $0.node == "subject-77" })
        other.nodes[own].linkPin = String(repeating: "ab", count: 32)
        let changed = other
        try TestTrust.change(federation.place("centre"), pins: { _ in changed })
        try federation.start("centre")
        expect(try dial(try topology(), try pins()), failsAt: "accepted", says: "centre says")
    }

    @Test("An end that has paused the link says so; one that dials here cannot be dialled, and that is no fault")
    func paused() throws {
        let node = try federation.start("centre")
        defer { federation.stopAll() }
        node.links.pause(self.node, why: "works on the line")
        expect(try dial(try topology(), try pins()), failsAt: "accepted", says: "says link-paused")
        let test = try node.testLink(self.node)
        #expect(!test.isGood && test.state == "paused")
        #expect(test.steps.first?.remedy == "ekc link resume DIR subject-77")
        let awaited = try node.testLink(try #require(NodeID("subject-78")))
        #expect(awaited.steps.map(\.outcome) == [.good, .skipped] && !awaited.isGood)
        #expect(awaited.steps.last?.remedy?.contains("at subject-78: ekc link test DIR centre") == true)
    }

    @Test("A certificate that has ended is named")
    func ended() throws {
        let short = try TestFederation(
            ["centre", "subject-77"], certificatesEndIn: 2, application: SilentApplication.init)
        try short.start("centre")
        defer { short.stopAll() }
        try short.setAddresses("subject-77")
        let place = short.place("subject-77")
        let state = try place.trust.load().inForce
        let (topology, pins) = (try place.settings().seen(state.topology), state.pins)
        usleep(3_100_000)
        let context = try place.context(try place.settings(), pins: pins)
        let steps = DialProbe(node: node, topology: topology, context: context, milliseconds: 1_000).run(to: centre)
        expect(steps, failsAt: "certificate", says: "certificate-expired")
    }
}
