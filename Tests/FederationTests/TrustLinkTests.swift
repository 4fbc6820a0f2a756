import FederationTestKit
import Testing

@testable import Federation

/// Signed metadata over real sockets and real TLS.
@Suite("A newer topology and a denial, over links", .serialized)
struct TrustLinkTests {
    private func up(_ federation: TestFederation, _ name: String) -> Bool {
        TestFederation.wait(milliseconds: 10_000) {
            federation.running[name]?.links.ask { $0.links.contains { $0.phase == .running } } == true
        }
    }

    @Test("A topology that is published at the centre is in force everywhere, and the session keeps its number")
    func spreads() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        defer { federation.stopAll() }
        for name in ["centre", "subject-77", "subject-78"] { try federation.start(name) }
        #expect(up(federation, "subject-77") && up(federation, "subject-78"))
        let text = String(decoding: federation.topology(version: 2), as: UTF8.self)
        try federation.publish(Array(text.utf8))
        #expect(federation.log.all.count { $0.contains("link-up") } == 4)
        // It outlives a start.
        federation.stop("subject-77")
        #expect(try federation.start("subject-77").topology.version == 2)
    }

    @Test(
        "A denied node is hung up on within 5 s, is not let in again, and nobody who shows older metadata changes that")
    func denied() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        for name in ["subject-77", "subject-78"] { try federation.start(name) }
        #expect(up(federation, "subject-77") && up(federation, "subject-78"))
        let before = centre.trust.state
        let node = try #require(NodeID("subject-77"))
        let begun = Clocks.monotonicMicroseconds()
        let proposal = try TestTrust.ceremony().denial(of: node, after: before, reason: "stolen", now: Clocks.wall())
        _ = try centre.trust.publish(proposal) { _ in }
        #expect(federation.log.wait(milliseconds: 10_000, for: "centre: denied subject-77"), "\(federation.log.all)")
        print(
            "links: a denied node is hung up on after \((Clocks.monotonicMicroseconds() - begun) / 1000) ms (goal 5000)"
        )
        let other = try #require(federation.running["subject-78"])
        #expect(TestFederation.wait(milliseconds: 10_000) { other.trust.state.denied.map(\.node) == [node] })
        // It dials again and again.
        #expect(federation.log.wait(milliseconds: 10_000, for: "subject-77: peer-refused"), "\(federation.log.all)")
        #expect(up(federation, "subject-78"))
        // An older tree, from a courier.
        let courier = TrustFolder(federation.folder.path + "/courier")
        try courier.commit(before)
        federation.stop("subject-78")
        let trust = federation.place("subject-78").trust
        #expect(throws: FederationError.self) { try trust.install(from: courier, anchor: nil, now: Clocks.wall()) }
        #expect(try trust.load().inForce.denied.map(\.node) == [node])
        // Deny itself cannot take it back; targets can.
        let ceremony = try TestTrust.ceremony()
        let state = centre.trust.state
        var empty = Proposal(
            federation: "ekc.test", reason: "a mistake", created: Clocks.wall(), base: proposal.base,
            roles: [
                Denial.role: try .unsigned(
                    Denial.document(
                        version: 3, expires: Clocks.wall().advanced(byMilliseconds: 86_400_000), entries: []),
                    Denial.role)
            ], files: [:])
        try ceremony.sign(&empty)
        let refusal = #expect(throws: FederationError.self) { _ = try centre.trust.publish(empty) { _ in } }
        #expect(refusal?.code == "deny-lifts")
        let id = try #require(state.denied.first?.id)
        let lifted = try ceremony.lift([id], after: state, reason: "found again", now: Clocks.wall())
        #expect(try centre.trust.publish(lifted) { _ in }.denied.isEmpty)
        #expect(federation.log.wait(milliseconds: 10_000, for: "subject-77: link-up"), "\(federation.log.all)")
    }
}
