import FederationTestKit
import Testing

@testable import Federation

@Suite("What is proposed")
struct ProposalDraftTests {
    private static let leaf = NodeID("subject-77").unsafelyUnwrapped

    @Test("Nothing is proposed that would leave somebody without a way, a key or a signer")
    func refusals() throws {
        let federation = try FoundedFederation()
        func refused(_ change: (inout ProposalDraft) throws -> Void) -> String? {
            code { _ = try federation.propose(change) }
        }
        let more = FoundedFederation.topology(2, [("subject-77", "live"), ("subject-78", "live")])
        #expect(refused { _ in } == "nothing-to-publish")
        #expect(refused { $0.topology = FoundedFederation.topology(1) } == "topology-not-newer")
        #expect(refused { $0.topology = Array("{".utf8) } == "topology-invalid")
        #expect(refused { $0.topology = more } == "not-pinned")
        let stranger = try federation.enrol("subject-99", "oszn")
        #expect(refused { $0.answers = [stranger] } == "unknown-node")
        #expect(refused { $0.dismissed = [Self.leaf] } == "not-pinned", "it is live")
        #expect(refused { $0.denyKeys = [] } == "cuts-off-signers")
        #expect(refused { $0.lifted = ["x"] } == "not-denied")
        #expect(refused { $0.denied = [try #require(NodeID("centre"))] } == "centre-denied")
        #expect(refused { $0.denied = [try #require(NodeID("subject-99"))] } == "unknown-node")
        #expect(refused { $0.authorities = [("mse", [])] } == "unknown-segment")
        #expect(refused { $0.authorities = [("oszn", Array("no certificate".utf8))] } == "authority-unusable")
        #expect(
            refused {
                $0.denied = [Self.leaf]
                $0.topology = FoundedFederation.topology(2)
            } == "deny-apart")
        let renamed = String(decoding: FoundedFederation.topology(2), as: UTF8.self)
            .replacing(#""centre", "segment""#, with: #""middle", "segment""#)
            .replacing(#""listens": "centre""#, with: #""listens": "middle""#)
        #expect(refused { $0.topology = Array(renamed.utf8) } == "centre-changes")
    }

    @Test("A node is denied by one signature, lifted by targets only, and may be denied again")
    func denying() throws {
        let federation = try FoundedFederation()
        var denial = try federation.propose { $0.denied = [Self.leaf] }
        #expect(denial.roles.keys.sorted() == ["deny"])
        #expect(try denial.sign(by: try federation.key("vera", "deny")) == ["deny"])
        let id = try #require(try federation.publish(denial).denied.map(\.id).first)
        #expect(code { _ = try federation.propose { $0.denied = [Self.leaf] } } == "already-denied")

        // The same keys, without the entry.
        var lifting = try federation.propose { $0.renewed = ["deny"] }
        let empty = Denial.document(
            version: 3, expires: federation.now.advanced(byMilliseconds: 86_400_000), entries: [])
        lifting = Proposal(
            federation: lifting.federation, reason: lifting.reason, created: lifting.created, base: lifting.base,
            roles: ["deny": try .unsigned(empty, "deny")], files: [:])
        #expect(code { try federation.signAndPublish(lifting) } == "deny-lifts")
        #expect(try federation.current().inForce.denied.count == 1)

        #expect(try federation.signAndPublish(federation.propose { $0.lifted = [id] }).denied.isEmpty)
        // Later versions need not keep what was lifted; the next denial has another id.
        let again = try federation.signAndPublish(federation.propose { $0.denied = [Self.leaf] }).denied
        #expect(again.count == 1 && again[0].id != id)
        #expect(try Denial.read(#require(federation.current().inForce.metadata.targets["deny"])).count == 1)
    }

    @Test("A node that was asleep over denial and lifting comes back by itself")
    func sleeper() throws {
        let federation = try FoundedFederation()
        let sleeper = TrustFolder(federation.folder.path + "/sleeper")
        let id = try federation.signAndPublish(federation.propose { $0.denied = [Self.leaf] }).denied[0].id
        _ = try sleeper.install(from: federation.centre.trust, anchor: nil, now: federation.now)
        try federation.signAndPublish(federation.propose { $0.lifted = [id] })
        try federation.signAndPublish(federation.propose { $0.renewed = ["deny"] })
        #expect(try sleeper.install(from: federation.centre.trust, anchor: nil, now: federation.now).denied.isEmpty)
    }

    @Test("New holders of root are signed in by the old ones and by themselves")
    func rotatingRoot() throws {
        let federation = try FoundedFederation()
        let new = try ["Глеб", "Дарья", "Ева"].map { try federation.newKey($0) }
        var proposal = try federation.propose {
            $0.signers["root"] = try TUFRole("root", 2, of: new.map(\.key))
            $0.signers["targets"] = try TUFRole("targets", 3, of: new.map(\.key))
            $0.denyKeys = [new[0].key]
        }
        #expect(proposal.roles.keys.sorted() == ["deny", "root", "targets"], "whom the new keys do not vouch for")
        for key in new { _ = try proposal.sign(by: key) }
        _ = try proposal.sign(by: try federation.key("anna", "root"))
        let refused = #expect(throws: FederationError.self) { try federation.publish(proposal) }
        #expect(
            refused?.detail == "root 2 has 1 of 2 signatures by root 1" && refused?.remedy == "missing: boris, vera")
        _ = try proposal.sign(by: try federation.key("vera", "root"))
        try federation.publish(proposal)
        // The old ones are out.
        var next = try federation.propose { $0.topology = FoundedFederation.topology(2) }
        #expect(code { _ = try next.sign(by: try federation.key("anna", "targets")) } == "key-unknown")
        for key in new { _ = try next.sign(by: key) }
        #expect(try federation.publish(next).topology.version == 2)
        // From the first root on a newcomer walks to it.
        let web = TrustFolder(federation.folder.path + "/web")
        _ = try federation.centre.trust.export(to: web)
        let newcomer = TrustFolder(federation.folder.path + "/newcomer")
        #expect(try newcomer.install(from: web, anchor: nil, now: federation.now).metadata.root.common.version == 2)
        #expect(try newcomer.fingerprint() == federation.tree.fingerprint())
    }

    @Test("Other online keys are put in place by the holders of root")
    func rotatingOnline() throws {
        let federation = try FoundedFederation()
        let fresh = try ["snapshot", "timestamp"].map {
            try SigningKey.create("\(federation.folder.path)/fresh-\($0).key", holder: "centre")
        }
        let proposal = try federation.propose {
            $0.signers["snapshot"] = try TUFRole("snapshot", 1, of: [fresh[0].key])
            $0.signers["timestamp"] = try TUFRole("timestamp", 1, of: [fresh[1].key])
        }
        #expect(code { try federation.signAndPublish(proposal) } == "metadata-threshold", "the old ones count no more")
        try Files.rename(federation.folder.path + "/fresh-snapshot.key", to: federation.centre.snapshotKey)
        try Files.rename(federation.folder.path + "/fresh-timestamp.key", to: federation.centre.timestampKey)
        #expect(try federation.signAndPublish(proposal).metadata.root.common.version == 2)
    }

    @Test("A node is admitted, replaced, retired and dismissed, and what was pinned of it before goes with it")
    func nodes() throws {
        let federation = try FoundedFederation(carried: true)
        var state = try federation.current().inForce
        var pins = Pins(federation: "ekc.test")
        for answer in federation.answers { try pins.add(answer) }
        #expect(state.pins == pins, "as it was before metadata was signed")
        #expect(try state.carriedPins()?.nodes.count == 2)

        let more = FoundedFederation.topology(2, [("subject-77", "live"), ("subject-78", "live")])
        let answer = try federation.enrol("subject-78", "oszn")
        state = try federation.signAndPublish(
            federation.propose {
                $0.topology = more
                $0.answers = [answer]
            })
        #expect(state.pins.nodes.map(\.node) == ["centre", "subject-77", "subject-78"] && state.faults.isEmpty)
        // An answer of 0.1.0 carries no signed keys.
        var old = try federation.enrol("subject-77", "oszn", replacing: true)
        old.published = nil
        try federation.signAndPublish(federation.propose { $0.answers = [old] })
        var unsigned = try federation.enrol("subject-78", "oszn", replacing: true)
        unsigned.published = nil
        try federation.signAndPublish(federation.propose { $0.answers = [unsigned] })
        federation.now = federation.now.advanced(byMilliseconds: 96 * 3_600_000)
        state = try federation.signAndPublish(federation.propose { $0.answers = [old] })
        #expect(state.pins.nodes.contains(old.record))
        #expect(code { _ = try federation.propose { $0.answers = [unsigned] } } == "keys-not-newer")

        let retired = FoundedFederation.topology(3, [("subject-77", "retired"), ("subject-78", "live")])
        state = try federation.signAndPublish(
            federation.propose {
                $0.topology = retired
                $0.dismissed = [Self.leaf]
            })
        #expect(state.pins.nodes.map(\.node) == ["centre", "subject-78"])
        #expect(try state.carriedPins()?.nodes.map(\.node) == ["centre"])
    }

    @Test("Another authority of a segment comes by the signers of targets, not by an answer")
    func authorities() throws {
        let federation = try FoundedFederation()
        let path = federation.folder.path
        let rogue = try Authority.create(path + "/ca-new", segment: "oszn", federation: "ekc.test")
        let request = try NodeFolder(path + "/other").create(
            NodeSettings(node: "subject-77", segment: "oszn", federation: "ekc.test"))
        let answer = try rogue.issue(request, now: Clocks.wall())
        #expect(code { _ = try federation.propose { $0.answers = [answer] } } == "anchor-conflict")
        let certificate = try Files.read(path + "/ca-new/ca.crt", maximum: 1 << 16)
        func change(_ draft: inout ProposalDraft) {
            draft.authorities = [("oszn", certificate)]
            draft.answers = [answer]
        }
        // Its node has another identity key, too: notice is given first.
        try federation.signAndPublish(federation.propose(change))
        federation.now = federation.now.advanced(byMilliseconds: 96 * 3_600_000)
        let state = try federation.signAndPublish(federation.propose(change))
        #expect(state.files["segments/oszn/authority.pem"] == certificate && state.pins.nodes.contains(answer.record))
    }

    @Test("The version is raised in place, and nothing else")
    func raising() throws {
        let text = FoundedFederation.topology(7)
        #expect(try TopologyVersion.raised(text, to: 1234) == FoundedFederation.topology(1234))
        #expect(code { _ = try TopologyVersion.raised(Array("{}".utf8), to: 2) } == "topology-invalid")
        #expect(code { _ = try TopologyVersion.raised(Array(#"{"version": "7"}"#.utf8), to: 2) } == "topology-invalid")
    }

    @Test("Old content comes back under a new version")
    func reverting() throws {
        let federation = try FoundedFederation()
        let more = FoundedFederation.topology(2, [("subject-77", "live"), ("subject-78", "planned")])
        try federation.signAndPublish(federation.propose { $0.topology = more })
        // Without a topology of its own.
        try federation.signAndPublish(federation.propose { $0.renewed = ["targets"] })
        #expect(federation.centre.publishedVersions() == [1, 2, 3])
        #expect(try federation.centre.publishedTopology(3) == more)
        let old = try federation.centre.publishedTopology(1)
        #expect(old == FoundedFederation.topology(1))
        let state = try federation.signAndPublish(
            federation.propose { $0.topology = try TopologyVersion.raised(old, to: 3) })
        #expect(state.topology.version == 3 && state.topology.nodes.count == 2)
        #expect(code { _ = try federation.centre.publishedTopology(9) } == "not-published")
    }

    @Test(
        "People are told half a year ahead, machines at parts of a life",
        arguments: [
            (181, nil, nil), (180, nil, nil), (179, "less than 180 days", nil), (89, "less than 90 days", nil),
            (30, "less than 90 days", nil), (29, "less than 30 days", "less than 1/3 of its life"),
            (8, "less than 30 days", "less than 1/10 of its life"),
            (6, "less than 7 days", "less than 1/10 of its life"),
            (2, "less than 7 days", "less than 1/30 of its life"), (0, "expired", "expired"),
        ] as [(Int64, String?, String?)])
    func alarms(days: Int64, people: String?, machines: String?) {
        let now = TUFMaker.now
        let expires = now.advanced(byMilliseconds: days * 86_400_000)
        #expect(Expiry.ofPeople(expires, now)?.description == people)
        #expect(Expiry.ofMachines(expires, life: 90, now)?.description == machines)
    }

    @Test("Every role and authority has its date, what ends first at the front")
    func expiries() throws {
        let federation = try FoundedFederation()
        let loaded = try federation.current()
        let later = federation.now.advanced(byMilliseconds: 10 * 86_400_000)
        let all = Expiry.all(of: loaded.inForce, root: loaded.baseline.root, now: later)
        #expect(
            all.map(\.subject) == [
                "timestamp", "snapshot", "node-centre", "node-subject-77", "deny", "targets", "root",
                "authority of centre", "authority of oszn",
            ])
        #expect(all.first?.alarm == .part(3) && all.dropFirst().allSatisfy { $0.alarm == nil })
    }
}
