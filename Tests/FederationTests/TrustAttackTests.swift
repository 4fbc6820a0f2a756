import FederationTestKit
import Testing

@testable import Federation

/// What the holders of some keys try, and what somebody who has taken some of them tries.
@Suite("Attacks on the signed metadata")
struct TrustAttackTests {
    private static let leaf = NodeID("subject-77").unsafelyUnwrapped

    /// Next targets as k of n would sign them, whatever they say.
    private func proposal(
        _ federation: FoundedFederation, _ files: [String: [UInt8]] = [:],
        _ change: (inout TargetsDraft) throws -> Void
    ) throws -> Proposal {
        let state = try federation.current().inForce
        var draft = try TargetsDraft(after: state.targets)
        for (path, bytes) in files { draft.set(path, bytes) }
        try change(&draft)
        var proposal = Proposal(
            federation: "ekc.test", reason: "by force", created: federation.now,
            base: ["root": state.metadata.root.text, "targets": state.targets.text],
            roles: ["targets": try .unsigned(draft.document(reason: "by force", now: federation.now), "targets")],
            files: draft.files)
        try federation.holders.sign(&proposal)
        return proposal
    }

    @Test(
        "A dismissed node does not come back by pins that somebody carries, nor does a second key in its delegation count"
    )
    func pins() throws {
        let federation = try FoundedFederation()
        let other = try federation.enrol("subject-77", "oszn", replacing: true)
        var pins = Pins(federation: "ekc.test")
        pins.nodes = [other.record]
        let carried = try proposal(federation, [SignedFederation.pinsPath: TrustFile.encode(pins)]) {
            $0.dismiss(Self.leaf)
        }
        #expect(
            try ProposalContent(carried).sentences().contains {
                $0.contains("subject-77 \(other.record.linkPin.prefix(8))")
            })
        #expect(try federation.publish(carried).pins.nodes.map(\.node) == ["centre"])

        let second = try FoundedFederation()
        let key = try #require(TUFKey(scheme: .ed25519, publicText: String(repeating: "ab", count: 32)))
        for _ in 0..<8 {
            let state = try second.current().inForce
            let own = try #require(state.targets.delegation("node-subject-77")?.role.keys.values.first)
            let document = RoleDocument.targets(
                version: 2, expires: second.now.advanced(byMilliseconds: 86_400_000),
                targets: state.targets.targets.map { ($0.key, $0.value) },
                delegations: state.targets.delegations.map { delegation in
                    var delegation = delegation
                    if delegation.name == "node-subject-77" {
                        delegation.role = TUFRole([own, key], threshold: 1)
                    }
                    return delegation
                }, reason: "two keys")
            var two = Proposal(
                federation: "ekc.test", reason: "two keys", created: second.now,
                base: ["root": state.metadata.root.text, "targets": state.targets.text],
                roles: ["targets": try .unsigned(document, "targets")], files: [:])
            try second.holders.sign(&two)
            #expect(code { try second.publish(two) } == "metadata-malformed")
            #expect(code { _ = try ProposalContent(two) } == "metadata-malformed", "nor is it shown for signing")
        }
    }

    @Test(
        "An authority that is no certificate, and a centre that nobody could accept or that is not live, are refused by all"
    )
    func centre() throws {
        let federation = try FoundedFederation()
        let oszn = SignedFederation.authorityPath("oszn")
        #expect(
            code { try federation.publish(proposal(federation, [oszn: Array("no certificate".utf8)]) { _ in }) }
                == "metadata-malformed")
        #expect(
            code {
                try federation.publish(proposal(federation) { $0.remove(SignedFederation.authorityPath("centre")) })
            }
                == "metadata-missing")
        #expect(
            code { try federation.publish(proposal(federation) { $0.dismiss(NodeID("centre").unsafelyUnwrapped) }) }
                == "metadata-missing")
        let text = String(decoding: FoundedFederation.topology(2), as: UTF8.self)
        for state in ["suspended", "retired", "planned"] {
            let bytes = Array(
                text.replacing(
                    #""centre", "segment": "centre", "state": "live""#,
                    with: #""centre", "segment": "centre", "state": "\#(state)""#
                ).utf8)
            #expect(code { _ = try federation.propose { $0.topology = bytes } } == "centre-not-live", "\(state)")
            #expect(
                code { try federation.publish(proposal(federation, [SignedFederation.topologyPath: bytes]) { _ in }) }
                    == "centre-not-live", "\(state)")
        }
        let gost = Array(text.replacing(#""oszn", "profile": "tls13""#, with: #""oszn", "profile": "gost""#).utf8)
        #expect(code { _ = try federation.propose { $0.topology = gost } } == "profile-unknown")
        #expect(try federation.current().inForce.topology.version == 1)
    }

    /// A timestamp over the snapshot that is in force, by the centre's own key.
    private func stamped(
        _ federation: FoundedFederation, _ version: UInt64, signedAt: Timestamp?, in place: TrustFolder
    ) throws {
        try place.commit(try federation.current().inForce)
        let snapshot = try #require(try federation.current().inForce.metadata.timestamp?.snapshot)
        let tree = RoleDocument.timestamp(
            version: version, expires: federation.now.advanced(byMilliseconds: 86_400_000),
            signedAt: signedAt ?? federation.now, snapshot: snapshot)
        guard case .object(var members) = tree else { return }
        if signedAt == nil { members.removeAll { $0.name == "x-signed" } }
        let key = try SigningKey.read(federation.centre.timestampKey)
        let file = SignedText.file(.object(members), [try key.signature(over: CanonicalJSON.encode(.object(members)))])
        try Files.write(file, to: place.path + "/metadata/timestamp.json")
    }

    @Test("Whoever has the online key cannot say that time goes back, nor leave out what time it is")
    func dates() throws {
        let federation = try FoundedFederation()
        let node = TrustFolder(federation.folder.path + "/node")
        _ = try node.install(from: federation.centre.trust, anchor: nil, now: federation.now)
        let tree = TrustFolder(federation.folder.path + "/forged")
        for (days, expected) in [
            (nil, "metadata-malformed"), (-5, "metadata-rollback"), (3, "metadata-from-the-future"),
        ]
            as [(Int64?, String)]
        {
            try stamped(
                federation, 9, signedAt: days.map { federation.now.advanced(byMilliseconds: $0 * 86_400_000) }, in: tree
            )
            #expect(code { _ = try node.install(from: tree, anchor: nil, now: federation.now) } == expected)
        }
        try stamped(federation, 9, signedAt: federation.now, in: tree)
        #expect(try node.install(from: tree, anchor: nil, now: federation.now).metadata.timestamp?.common.version == 9)
    }

    @Test("A notice is measured from this node's own clock too, and runs out by both clocks")
    func notice() throws {
        let federation = try FoundedFederation()
        let hour: Int64 = 3_600_000
        var state = try federation.current().inForce
        let key = String(repeating: "a", count: 64)
        var next = state.identities
        next.announce(Self.leaf, Identities.Notice(key: key, from: federation.now.advanced(byMilliseconds: 80 * hour)))
        var swapped = next
        _ = swapped.admit(Self.leaf, key, now: Timestamp(milliseconds: 1 << 52))
        func refusal(_ seen: Int64, _ shown: Int64, _ now: Int64, isSwap: Bool = false) -> String? {
            let at: (Int64) -> Timestamp = { federation.now.advanced(byMilliseconds: $0 * hour) }
            return code {
                try (isSwap ? swapped : next).requireNoticed(
                    since: isSwap ? next : state.identities, seen: at(seen), shown: at(shown), now: at(now))
            }
        }
        #expect(refusal(8, 0, 0) == nil)
        #expect(refusal(9, 0, 0) == "notice-too-short")
        #expect(
            refusal(80, 79, 200, isSwap: true) == "identity-unannounced", "by the timestamp's clock it has not run out"
        )
        #expect(refusal(80, 200, 79, isSwap: true) == "identity-unannounced", "by this node's it has not")
        #expect(refusal(80, 80, 80, isSwap: true) == nil)
        // A node that has verified this state 500 hours from now has seen it until then, whatever the timestamp says.
        state.verifiedAt = federation.now.advanced(byMilliseconds: 500 * hour)
        let announcing = try proposal(federation) {
            let from = federation.now.advanced(byMilliseconds: 80 * hour)
            $0.identities.announce(Self.leaf, Identities.Notice(key: key, from: from))
        }
        let online = try federation.centre.makeOnlineKeys()
        #expect(
            code {
                _ = try Publication.following(
                    state.metadata, state, announcing, snapshot: online.snapshot, timestamp: online.timestamp,
                    now: federation.now)
            } == "notice-too-short")
    }

    @Test("After numbers as high as there are, other online keys begin anew, and everybody follows")
    func fastForward() throws {
        let federation = try FoundedFederation()
        let node = TrustFolder(federation.folder.path + "/node")
        try stamped(federation, 1 << 53, signedAt: federation.now, in: federation.centre.trust)
        _ = try node.install(from: federation.centre.trust, anchor: nil, now: federation.now)
        #expect(code { try federation.renew() } != nil, "no higher number can be read")
        let online = try (federation.newKey("центр"), federation.newKey("центр"))
        let proposal = try federation.propose {
            $0.signers["snapshot"] = try TUFRole("snapshot", 1, of: [online.0.key])
            $0.signers["timestamp"] = try TUFRole("timestamp", 1, of: [online.1.key])
        }
        for (number, place) in [(1, federation.centre.snapshotKey), (2, federation.centre.timestampKey)] {
            try Files.rename("\(federation.folder.path)/new-\(number).key", to: place)
        }
        #expect(try federation.signAndPublish(proposal).metadata.timestamp?.common.version == 1)
        #expect(
            try node.install(from: federation.centre.trust, anchor: nil, now: federation.now).metadata.root.common
                .version == 2)
    }

    @Test("Whoever has a node's identity key cannot sign its name away")
    func stolenIdentity() throws {
        let federation = try FoundedFederation()
        let place = NodeFolder(federation.folder.path + "/subject-77")
        let state = try federation.current().inForce
        for (version, now) in [
            (UInt64(federation.now.milliseconds + 2 * 86_400_000), federation.now),
            (
                UInt64(federation.now.milliseconds + 3_600_000),
                federation.now.advanced(byMilliseconds: 20 * 365 * 86_400_000)
            ),
        ] {
            let keys = try place.publishedKeys(version: version, now: now)
            let offered = try Proposal.keys(keys, of: Self.leaf, after: state, now: federation.now)
            #expect(code { try federation.publish(offered) } == "keys-out-of-bounds")
        }
        let keys = try place.publishedKeys(
            version: UInt64(federation.now.milliseconds + 3_600_000), now: federation.now)
        #expect(
            try federation.publish(Proposal.keys(keys, of: Self.leaf, after: state, now: federation.now)).faults.isEmpty
        )
    }

    @Test("Nobody can have a denial lifted before it is made")
    func liftedBefore() throws {
        let federation = try FoundedFederation()
        for id in ["subject-77-2", "subject-7-0123456789abcdef", "0123456789abcdef", "subject-77-0123456789ABCDEG"] {
            let entry = Denial(id: id, node: Self.leaf, reason: "noise", at: federation.now)
            let document = Denial.document(
                version: 2, expires: federation.now.advanced(byMilliseconds: 86_400_000), entries: [entry])
            #expect(
                code { _ = try Denial.read(TUFTargets(SignedText.file(document, []), Denial.role)) }
                    == "metadata-malformed", "\(id)")
        }
        let denial = try federation.propose { $0.denied = [Self.leaf] }
        let id = try #require(
            try Denial.read(TUFTargets(denial.roles[Denial.role]?.bytes ?? [], Denial.role)).first?.id)
        let lifting = try proposal(federation) { $0.lifted.insert(id) }
        try federation.publish(lifting)
        #expect(code { try federation.signAndPublish(denial) } == "denial-void")
    }

    @Test("What a node has signed of its keys goes on to count, though new online keys leave it out")
    func leftOut() throws {
        let federation = try FoundedFederation()
        let state = try federation.current().inForce
        var metadata = state.metadata
        #expect(metadata.current("node-subject-77") != nil)
        let meta = (metadata.snapshot?.meta ?? [:]).filter { $0.key != "node-subject-77" }
        let online = try federation.newKey("центр")
        let root = RoleDocument.root(
            version: 2, expires: federation.now.advanced(byMilliseconds: 86_400_000),
            roles: state.metadata.root.roles.merging([
                "snapshot": TUFRole([online.key], threshold: 1), "timestamp": TUFRole([online.key], threshold: 1),
            ]) { _, new in new }, reason: "other online keys")
        var proposal = Proposal(
            federation: "ekc.test", reason: "other online keys", created: federation.now,
            base: ["root": state.metadata.root.text], roles: ["root": try .unsigned(root, "root")], files: [:])
        try federation.holders.sign(&proposal)
        try metadata.update(root: try #require(proposal.roles["root"]?.bytes))
        func signed(_ tree: JSONText.Value) throws -> [UInt8] {
            SignedText.file(tree, [try online.signature(over: CanonicalJSON.encode(tree))])
        }
        let later = federation.now.advanced(byMilliseconds: 86_400_000)
        let snapshot = try signed(RoleDocument.snapshot(version: 1, expires: later, meta: meta))
        let timestamp = try signed(
            RoleDocument.timestamp(
                version: 1, expires: later, signedAt: federation.now, snapshot: TUFMeta(version: 1, snapshot)))
        try metadata.update(timestamp: timestamp, now: federation.now)
        try metadata.update(snapshot: snapshot, now: federation.now)
        #expect(
            code { _ = try SignedFederation(metadata, files: state.files, known: state, now: federation.now) }
                == "metadata-rollback")
    }
}
