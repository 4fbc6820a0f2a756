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

    @Test("What could not be put in force is tried again, and a keeper that has stopped publishes nothing")
    func again() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        try federation.start("subject-77")
        #expect(up(federation, "subject-77"))
        let (key, away) = (federation.place("subject-77").path + "/keys/link.key", federation.folder.path + "/link.key")
        try Files.rename(key, to: away)
        _ = try centre.trust.publish(
            TestTrust.ceremony().proposal(
                federation.topology(version: 2), after: centre.trust.state, reason: "next", now: Clocks.wall())
        ) { _ in }
        #expect(
            federation.log.wait(milliseconds: 10_000, for: "the newer topology is not in force"),
            "\(federation.log.all)")
        #expect(federation.running["subject-77"]?.topology.version == 1)
        try Files.rename(away, to: key)
        #expect(
            TestFederation.wait(milliseconds: 20_000) { federation.running["subject-77"]?.topology.version == 2 },
            "\(federation.log.all)")
        federation.stop("centre")
        let error = #expect(throws: FederationError.self) {
            try centre.trust.publish(
                TestTrust.ceremony().proposal(
                    federation.topology(version: 3), after: centre.trust.state, reason: "late", now: Clocks.wall())
            ) { _ in }
        }
        #expect(error?.code == "node-stopping")
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
        #expect(id.hasPrefix("subject-77-"))
        // Nor by giving its entry to another node.
        var swapped = Proposal(
            federation: "ekc.test", reason: "a swap", created: Clocks.wall(), base: proposal.base,
            roles: [
                Denial.role: try .unsigned(
                    Denial.document(
                        version: 3, expires: Clocks.wall().advanced(byMilliseconds: 86_400_000),
                        entries: [
                            Denial(node: try #require(NodeID("nobody")), reason: "a swap", at: Clocks.wall())
                        ]), Denial.role)
            ], files: [:])
        try ceremony.sign(&swapped)
        let refused = #expect(throws: FederationError.self) { _ = try centre.trust.publish(swapped) { _ in } }
        #expect(refused?.code == "deny-lifts")
        // One key does not cut everybody off from the centre.
        let all = try ceremony.denial(
            of: try #require(NodeID("centre")), after: centre.trust.state, reason: "all", now: Clocks.wall())
        let void = #expect(throws: FederationError.self) { try centre.trust.publish(all) { _ in } }
        #expect(void?.code == "denial-void" && centre.trust.state.denied.map(\.node) == [node])
        let lifted = try ceremony.lift([id], after: state, reason: "found again", now: Clocks.wall())
        #expect(try centre.trust.publish(lifted) { _ in }.denied.isEmpty)
        #expect(federation.log.wait(milliseconds: 10_000, for: "subject-77: link-up"), "\(federation.log.all)")
    }

    @Test("Nodes that ran before metadata was signed sign their keys by themselves, and no other key signs for them")
    func carried() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], isCarried: true, application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        for name in ["subject-77", "subject-78"] { try federation.start(name) }
        #expect(up(federation, "subject-77") && up(federation, "subject-78"))
        #expect(centre.trust.state.metadata.targets.keys.sorted() == ["deny", "targets"])
        for node in federation.running.values { node.trust.lookAtKeysNow() }
        let names = ["deny", "node-centre", "node-subject-77", "node-subject-78", "targets"]
        for node in federation.running.values {
            #expect(
                TestFederation.wait(milliseconds: 10_000) { node.trust.state.metadata.targets.keys.sorted() == names },
                "\(federation.log.all)")
        }
        // Links were not touched: the keys are the same.
        #expect(federation.log.all.count { $0.contains("link-up") } == 4)
        let before = centre.trust.state
        // What another node says of its keys, and what is an older version, is refused.
        let own = try federation.place("subject-77").publishedKeys(version: 2, now: Clocks.wall())
        let others = try federation.place("subject-78").publishedKeys(version: 2, now: Clocks.wall())
        let node = try #require(NodeID("subject-77"))
        func refusal(_ keys: SignedKeys) throws -> String? {
            let proposal = try Proposal.keys(keys, of: node, after: before, now: Clocks.wall())
            return #expect(throws: FederationError.self) { _ = try centre.trust.publish(proposal) { _ in } }?.code
        }
        #expect(try refusal(others) == "not-enough-signatures")
        let fresh = try Proposal.keys(own, of: node, after: before, now: Clocks.wall())
        #expect(try centre.trust.publish(fresh) { _ in }.pins == before.pins)
        let old = try federation.place("subject-77").publishedKeys(version: 1, now: Clocks.wall())
        #expect(throws: FederationError.self) { try Proposal.keys(old, of: node, after: before, now: Clocks.wall()) }
    }

    @Test("A node of which another identity key is announced says so at once, and goes on until it is replaced")
    func replaced() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        #expect(up(federation, "subject-77"))
        let node = try #require(NodeID("subject-77"))
        let other = String(repeating: "ab", count: 32)
        func proposal(_ change: (inout TargetsDraft) throws -> Void, at now: Timestamp) throws -> Proposal {
            let state = centre.trust.state
            let targets = state.targets
            var draft = try TargetsDraft(after: targets)
            try change(&draft)
            var proposal = Proposal(
                federation: "ekc.test", reason: "a swap", created: now,
                base: ["root": state.metadata.root.text, "targets": targets.text],
                roles: ["targets": try .unsigned(draft.document(reason: "a swap", now: now), "targets")], files: [:])
            try TestTrust.ceremony().sign(&proposal)
            return proposal
        }
        let swap = try proposal({ try $0.delegate(to: node, identityKey: other) }, at: Clocks.wall())
        let refusal = #expect(throws: FederationError.self) { try centre.trust.publish(swap) { _ in } }
        #expect(refusal?.code == "identity-unannounced")
        let notice = try proposal({ _ = $0.identities.admit(node, other, now: Clocks.wall()) }, at: Clocks.wall())
        _ = try centre.trust.publish(notice) { _ in }
        #expect(
            federation.log.wait(milliseconds: 10_000, for: "subject-77: identity-announced"), "\(federation.log.all)")
        #expect(federation.log.all.count { $0.contains("link-up") } == 2, "its link goes on")
        // Four days later.
        let later = Clocks.wall().advanced(byMilliseconds: 97 * 3_600_000)
        let state = centre.trust.state
        let online = federation.place("centre")
        let next = try Publication.following(
            state.metadata, state, try proposal({ try $0.delegate(to: node, identityKey: other) }, at: later),
            snapshot: try SigningKey.read(online.snapshotKey), timestamp: try SigningKey.read(online.timestampKey),
            now: later
        ).state
        #expect(next.faults[node]?.code == .threshold && next.pins.nodes.map(\.node) == ["centre"])
        subject.putInForce(next)
        centre.putInForce(next)
        #expect(
            federation.log.wait(milliseconds: 10_000, for: "subject-77: identity-replaced"), "\(federation.log.all)")
        #expect(
            federation.log.wait(milliseconds: 10_000, for: "centre: not-pinned subject-77"), "\(federation.log.all)")
    }
}
