import FederationTestKit
import Testing

@testable import Federation

/// A node's identity key is never another without three days' notice.
@Suite("Identity keys from one version to the next")
struct IdentitiesTests {
    private static let leaf = NodeID("subject-77").unsafelyUnwrapped
    private static let hour: Int64 = 3_600_000

    /// Next targets, signed as holders would, whatever they say.
    private func publish(
        _ federation: FoundedFederation, _ change: (inout TargetsDraft) throws -> Void
    ) throws -> SignedFederation {
        let state = try federation.current().inForce
        let targets = state.targets
        var draft = try TargetsDraft(after: targets)
        try change(&draft)
        return try federation.signAndPublish(
            Proposal(
                federation: "ekc.test", reason: "by force", created: federation.now,
                base: ["root": state.metadata.root.text, "targets": targets.text],
                roles: ["targets": try .unsigned(draft.document(reason: "by force", now: federation.now), "targets")],
                files: draft.files))
    }

    private func key(_ digit: Character) -> String { String(repeating: digit, count: 64) }

    @Test(
        "A swap without notice, on a short one, by dismissal and return, or by being forgotten is refused by every node"
    )
    func swaps() throws {
        let federation = try FoundedFederation()
        let now = { federation.now }
        // At once.
        #expect(
            code { _ = try publish(federation) { try $0.delegate(to: Self.leaf, identityKey: key("a")) } }
                == "identity-unannounced")
        // With a notice that ends before three days are over.
        for hours in [-100, 0, 71] as [Int64] {
            let refusal = code {
                _ = try publish(federation) {
                    let from = now().advanced(byMilliseconds: hours * Self.hour)
                    $0.identities.announce(Self.leaf, Identities.Notice(key: key("a"), from: from))
                    if hours <= 0 { try $0.delegate(to: Self.leaf, identityKey: key("a")) }
                }
            }
            #expect(refusal == "notice-too-short", "\(hours) h")
        }
        // Neither kept nor dismissed.
        #expect(
            code {
                _ = try publish(federation) {
                    $0.dismiss(Self.leaf)
                    $0.identities = Identities()
                }
            } == "identity-forgotten")
        // Dismissed, and back under another key by the next version.
        let state = try publish(federation) { $0.dismiss(Self.leaf) }
        #expect(state.pins.nodes.map(\.node) == ["centre"] && state.identities.dismissed[Self.leaf] != nil)
        #expect(
            code { _ = try publish(federation) { try $0.delegate(to: Self.leaf, identityKey: key("a")) } }
                == "identity-unannounced")
        // Under its own it may come back.
        let own = try #require(state.identities.dismissed[Self.leaf])
        let back = try publish(federation) { try $0.delegate(to: Self.leaf, identityKey: own) }
        #expect(back.identities.key(of: Self.leaf) == own)
    }

    @Test(
        "Announced, a key takes its place when the notice has run out: at who was awake, and at who has slept over both"
    )
    func notice() throws {
        let federation = try FoundedFederation()
        let sleeper = TrustFolder(federation.folder.path + "/sleeper")
        _ = try sleeper.install(from: federation.centre.trust, anchor: nil, now: federation.now)
        let answer = try federation.enrol("subject-77", "oszn", replacing: true)
        let announcing = try federation.propose { $0.answers = [answer] }
        #expect(
            try ProposalContent(announcing).sentences().contains {
                $0.contains("NOTICE: from") && $0.contains("subject-77")
            })
        let before = try federation.current().inForce
        let state = try federation.signAndPublish(announcing)
        #expect(state.pins == before.pins && state.faults.isEmpty, "until then the old one counts")
        #expect(state.identities.announced[Self.leaf]?.key == answer.record.identityKey)
        #expect(code { _ = try federation.propose { $0.answers = [answer] } } == "notice-runs")
        // By force, an hour early.
        federation.now = federation.now.advanced(byMilliseconds: 95 * Self.hour)
        #expect(
            code {
                _ = try publish(federation) {
                    try $0.delegate(to: Self.leaf, identityKey: answer.record.identityKey)
                }
            } == "identity-unannounced")
        federation.now = federation.now.advanced(byMilliseconds: Self.hour)
        let after = try federation.signAndPublish(try federation.propose { $0.answers = [answer] })
        #expect(after.pins.nodes.contains { $0.identityKey == answer.record.identityKey } && after.faults.isEmpty)
        let woken = try sleeper.install(from: federation.centre.trust, anchor: nil, now: federation.now)
        #expect(woken.pins == after.pins)
        // Its clock is two hours behind: it waits, and keeps what it had.
        let late = TrustFolder(federation.folder.path + "/late")
        try late.commit(before)
        let early = federation.now.advanced(byMilliseconds: -2 * Self.hour)
        #expect(
            code { _ = try late.install(from: federation.centre.trust, anchor: nil, now: early) }
                == "identity-unannounced")
        #expect(try late.load().inForce.pins == before.pins)
    }

    @Test("A notice is taken back; a signature that took longer than a day is refused")
    func withdrawn() throws {
        let federation = try FoundedFederation()
        let answer = try federation.enrol("subject-77", "oszn", replacing: true)
        try federation.signAndPublish(try federation.propose { $0.answers = [answer] })
        #expect(
            code { _ = try federation.propose { $0.withdrawn = [try #require(NodeID("centre"))] } } == "not-announced")
        let state = try federation.signAndPublish(try federation.propose { $0.withdrawn = [Self.leaf] })
        #expect(state.identities.announced.isEmpty)
        let again = try federation.propose { $0.answers = [answer] }
        federation.now = federation.now.advanced(byMilliseconds: 25 * Self.hour)
        // The centre has signed its timestamp anew since.
        try federation.renew()
        #expect(code { try federation.signAndPublish(again) } == "notice-too-short")
    }

    @Test("What of the two fields is no entry of theirs is refused")
    func malformed() throws {
        let federation = try FoundedFederation()
        for (field, text) in [
            ("x-announced", #"[{"node": "subject-77", "key": "ab", "from": "2026-11-25T00:00:00Z"}]"#),
            ("x-announced", #"[{"node": "subject-77", "key": "\#(key("a"))"}]"#),
            ("x-announced", #"[{"node": "subject-77", "key": "\#(key("a"))", "from": "soon"}]"#),
            ("x-announced", #"[{"node": "No node", "key": "\#(key("a"))", "from": "2026-11-25T00:00:00Z"}]"#),
            ("x-dismissed", #"[{"node": "subject-77", "key": "\#(key("A"))"}]"#), ("x-dismissed", "{}"),
            (
                "x-dismissed",
                #"[{"node": "subject-78", "key": "\#(key("a"))"}, {"node": "subject-78", "key": "\#(key("b"))"}]"#
            ),
        ] {
            let targets = try federation.current().inForce.targets
            let value = try JSONText.read(Array(text.utf8), lenient: false, maximum: 4096)
            let tree = try TargetsDraft(after: targets).document(reason: "bad", now: federation.now)
            guard case .object(let members) = tree else { throw FederationError("no-object", "", remedy: "") }
            let more = members.filter { $0.name != field }.map { ($0.name, $0.node.value) } + [(field, value.value)]
            let file = SignedText.file(.table(more), [])
            #expect(code { _ = try Identities(TUFTargets(file, "targets")) } == "metadata-malformed", "\(text)")
        }
    }
}
