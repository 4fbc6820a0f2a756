import FederationTestKit
import Testing

@testable import Federation

/// Rights that change while messages are under way, over real links and stores.
@Suite("Rights that change, over links", .serialized)
struct RightsLinkTests {
    private static let all = #""topology", "entry", "probe"]"#

    /// The kit's topology, in which OSZN nodes may or may not send probes to each other.
    private func topology(_ federation: TestFederation, _ version: Int, mayProbe: Bool) -> [UInt8] {
        let text = String(decoding: federation.topology(version: version), as: UTF8.self)
        guard !mayProbe else { return Array(text.utf8) }
        let open =
            #"{"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}"#
        precondition(text.contains(open))
        return Array(
            text.replacing(
                open,
                with: open.replacing(#", "oszn"]"#, with: "]")
                    + #", {"from": ["oszn"], "to": ["oszn"], "kinds": ["escalation"]}"#
            ).utf8)
    }

    private func send(_ count: Int, from node: FederationNode, to destination: String) throws {
        let to = try #require(NodeID(destination))
        for _ in 0..<count {
            try node.store.write(.intake) { transaction in
                try node.outbox.send(
                    .probe, id: Random.id128(), to: to, body: EnvelopeBody(bytes: [1, 2, 3]), in: transaction)
            }
        }
    }

    private func applied(_ node: FederationNode) throws -> UInt64 {
        try node.store.read { transaction throws(StoreError) in try transaction.number(MetaKey.probes) }
    }

    private func held(_ node: FederationNode) throws -> [(number: UInt64, row: QuarantineRow)] {
        try node.store.read { transaction throws(StoreError) in
            try Quarantine.list(limit: 1000, .held, in: transaction)
        }
    }

    private func waits(_ node: FederationNode) throws -> UInt64 { try node.mail().values.reduce(0) { $0 + $1.waiting } }

    @Test(
        "A right withdrawn under way: what was allowed when sent is held, not applied; given back, each is applied once"
    )
    func withdrawn() throws {
        let names = ["centre", "subject-77", "subject-78"]
        let federation = try TestFederation(names, application: SilentApplication.init)
        defer { federation.stopAll() }
        try federation.start("centre")
        let from = try federation.start("subject-77")
        // They are at the centre when the right goes.
        try send(20, from: from, to: "subject-78")
        let centre = try #require(federation.running["centre"])
        #expect(try TestFederation.wait(milliseconds: 10_000) { try waits(centre) == 20 })
        try federation.publish(topology(federation, 2, mayProbe: false))
        // The sender is told, and keeps nothing of it.
        let refusal = #expect(throws: StoreError.self) { try send(1, from: from, to: "subject-78") }
        #expect(refusal?.code == .rightDenied)
        // A courier has brought it to the receiver, which decides by its own.
        _ = try federation.place("subject-78").trust.install(
            from: federation.place("centre").trust, anchor: nil, now: Clocks.wall())
        let to = try federation.start("subject-78")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try held(to).count == 20 })
        let rows = try held(to)
        #expect(try rows.allSatisfy { $0.row.reason == .rightsChanged } && applied(to) == 0)
        // Nobody releases what is not allowed.
        let number = try #require(rows.first?.number)
        let error = #expect(throws: FederationError.self) {
            try to.store.write(.essential) { transaction in
                _ = try to.inbox.decide(number, .release, by: "uid/0", why: "please", in: transaction)
            }
        }
        #expect(error?.code == "right-denied")
        try federation.publish(topology(federation, 3, mayProbe: true))
        for (number, _) in rows {
            _ = try to.store.write(.essential) { transaction in
                try to.inbox.decide(number, .release, by: "uid/0", why: "given back", in: transaction)
            }
        }
        #expect(try applied(to) == 20)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try waits(from) == 0 && waits(centre) == 0 })
        #expect(from.links.ask { $0.unbalanced.isEmpty })
        try send(3, from: from, to: "subject-78")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try applied(to) == 23 })
    }

    @Test("What comes over a relay from a node that was denied since is held; its right alone does not release it")
    func denied() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let from = try federation.start("subject-77")
        try send(5, from: from, to: "subject-78")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try waits(centre) == 5 })
        let id = try #require(NodeID("subject-77"))
        let ceremony = try TestTrust.ceremony()
        _ = try centre.trust.publish(
            try ceremony.denial(of: id, after: centre.trust.state, reason: "stolen", now: Clocks.wall())
        ) { _ in }
        #expect(federation.log.wait(milliseconds: 10_000, for: "centre: denied subject-77"))
        // Whoever is started now has the newer metadata from a courier.
        try federation.place("subject-78").trust.keep([])
        _ = try federation.place("subject-78").trust.install(
            from: federation.place("centre").trust, anchor: nil, now: Clocks.wall())
        let to = try federation.start("subject-78")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try held(to).count == 5 }, "\(federation.log.all)")
        #expect(try held(to).allSatisfy { $0.row.reason == .denied })
        #expect(try applied(to) == 0)
        let number = try #require(try held(to).first?.number)
        #expect(throws: FederationError.self) {
            try to.store.write(.essential) { transaction in
                _ = try to.inbox.decide(number, .release, by: "uid/0", why: "please", in: transaction)
            }
        }
        let ids = centre.trust.state.denied.map(\.id)
        _ = try centre.trust.publish(
            try ceremony.lift(ids, after: centre.trust.state, reason: "found", now: Clocks.wall())
        ) { _ in }
        #expect(TestFederation.wait(milliseconds: 10_000) { to.trust.state.denied.isEmpty })
        #expect(
            TestFederation.wait(milliseconds: 10_000) {
                (try? to.store.write(.essential) { transaction in
                    _ = try to.inbox.decide(number, .release, by: "uid/0", why: "found", in: transaction)
                }) != nil
            })
        #expect(try applied(to) == 1)
    }

    @Test("A denial counts at once where the topology beside it waits for a restart")
    func deniedBeforeRestart() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let id = try #require(NodeID("subject-77"))
        let ceremony = try TestTrust.ceremony()
        let elsewhere = String(decoding: federation.topology(version: 2), as: UTF8.self)
            .replacing("127.0.0.1:0", with: "127.0.0.1:9")
        let moved = try Publication.following(
            centre.trust.state.metadata, centre.trust.state,
            try ceremony.proposal(
                Array(elsewhere.utf8), after: centre.trust.state, reason: "a test", now: Clocks.wall()),
            snapshot: try SigningKey.read(centre.folder.snapshotKey),
            timestamp: try SigningKey.read(centre.folder.timestampKey), now: Clocks.wall()
        ).state
        let denied = try Publication.following(
            moved.metadata, moved,
            try ceremony.denial(of: id, after: moved, reason: "stolen", now: Clocks.wall()),
            snapshot: try SigningKey.read(centre.folder.snapshotKey),
            timestamp: try SigningKey.read(centre.folder.timestampKey), now: Clocks.wall()
        ).state
        let header = EnvelopeHeader(
            stream: StreamID(
                origin: id, incarnation: Incarnation(bits: ID128(high: 1, low: 1)), destination: centre.id, lane: .bulk),
            position: 1, kind: .probe, id: ID128(high: 0, low: 7), created: Timestamp(milliseconds: 1),
            topologyVersion: 1)
        #expect(centre.inForce.admission(of: header, at: centre.id) == .by(.allowed))
        centre.putInForce(denied)
        #expect(federation.log.wait(milliseconds: 5_000, for: "restart-needed"), "\(federation.log.all)")
        #expect(centre.topology.version == 1)
        #expect(centre.inForce.admission(of: header, at: centre.id) == .originDenied)
    }
}
