import FederationTestKit
import Testing

@testable import Federation

@Suite("Proposals, signatures, publication")
struct ProposalTests {
    @Test("k−1 signatures publish nothing, and who is missing is named; the k-th publishes")
    func threshold() throws {
        let federation = try FoundedFederation(isFounded: false)
        var founding = try federation.founding()
        founding.answers = federation.answers
        var proposal = try founding.proposal(reason: "the beginning", now: federation.now)
        for role in ["root", "targets"] { _ = try proposal.sign(by: try federation.key("anna", role)) }
        _ = try proposal.sign(by: try federation.key("vera", "deny"))
        func refusal() -> FederationError? {
            do { _ = try federation.centre.found(proposal, tree: federation.tree, now: federation.now) } catch {
                return error
            }
            return nil
        }
        var refused = try #require(refusal())
        #expect(refused.code == "not-enough-signatures" && refused.remedy == "missing: boris, vera")
        _ = try proposal.sign(by: try federation.key("boris", "root"))
        refused = try #require(refusal())
        #expect(refused.detail.hasPrefix("targets 1 has 1 of 2") && refused.remedy == "missing: boris, vera")
        #expect(!federation.centre.trust.isThere && !federation.tree.isThere)
        _ = try proposal.sign(by: try federation.key("vera", "targets"))
        let state = try federation.centre.found(proposal, tree: federation.tree, now: federation.now)
        #expect(state.pins.nodes.map(\.node) == ["centre", "subject-77"] && state.faults.isEmpty)
        #expect(refusal()?.code == "already-founded")
        let node = TrustFolder(federation.folder.path + "/subject-77/trust")
        _ = try node.install(from: federation.tree, anchor: nil, now: federation.now)
        #expect(try node.load().inForce.topology.version == 1)
    }

    @Test(
        "Signers that could never sign, one key twice and one person twice are refused",
        arguments: [
            (0, [0], "cuts-off-signers"), (2, [0], "cuts-off-signers"), (1, [], "cuts-off-signers"),
            (2, [0, 0], "key-twice"), (2, [0, 1], "holder-twice"), (2, [0, 2], nil), (3, [0, 2], "cuts-off-signers"),
        ] as [(Int, [Int], String?)])
    func signers(threshold: Int, indices: [Int], expected: String?) throws {
        let folder = try TemporaryFolder()
        let keys = try [("a", "Анна"), ("b", "Анна"), ("c", "Вера")].map {
            try SigningKey.create("\(folder.path)/\($0.0)", holder: $0.1).key
        }
        #expect(code { _ = try TUFRole("root", threshold, of: indices.map { keys[$0] }) } == expected)
    }

    @Test("A holder's public key is read with his name, and refused without")
    func publicKeys() throws {
        let folder = try TemporaryFolder()
        for (index, holder) in ["Петрова Анна", nil, " Anna", "An\u{202E}na", ""].enumerated() {
            let file = "\(folder.path)/\(index)"
            let key = try SigningKey.create(file, scheme: index == 0 ? .ecdsa : .ed25519, holder: holder).key
            try Files.write(key.file, to: file + ".pub")
            var found: TUFKey?
            let refused = code { found = try TUFKey.read(file + ".pub") }
            #expect(index == 0 ? found == key : refused == "holder-missing", "\(index)")
        }
        #expect(code { _ = try TUFKey.read(folder.path + "/0") } == "file-malformed")
    }

    @Test("Copies that were signed apart are put together; two proposals are not")
    func merging() throws {
        let federation = try FoundedFederation()
        let proposal = try federation.propose { $0.topology = FoundedFederation.topology(2) }
        var (one, other) = (proposal, proposal)
        #expect(try one.sign(by: try federation.key("anna", "targets")) == ["targets"])
        #expect(try one.sign(by: try federation.key("anna", "targets")) == [], "once is enough")
        _ = try other.sign(by: try federation.key("boris", "targets"))
        try one.merge(other)
        #expect(try federation.publish(one).topology.version == 2)
        let later = try federation.propose { $0.topology = FoundedFederation.topology(3) }
        #expect(code { try one.merge(later) } == "proposal-differs")
        var touched = proposal
        touched.files["topology.json"] = FoundedFederation.topology(9)
        #expect(code { try one.merge(touched) } == "proposal-differs")
        #expect(code { _ = try one.sign(by: try federation.newKey("Ева")) } == "key-unknown")
        #expect(code { _ = try one.sign(by: try federation.key("anna", "root")) } == "key-unknown")
    }

    @Test("Of two proposals that were made beside each other, one is published")
    func stale() throws {
        let federation = try FoundedFederation()
        let one = try federation.propose { $0.topology = FoundedFederation.topology(2) }
        let other = try federation.propose { $0.topology = FoundedFederation.topology(3) }
        try federation.signAndPublish(one)
        #expect(code { try federation.signAndPublish(other) } == "proposal-stale")
        #expect(code { try federation.signAndPublish(one) } == "proposal-stale")
        #expect(try federation.current().inForce.topology.version == 2)
    }

    @Test("A key opens with its passphrase only")
    func passphrases() throws {
        func secret(_ text: String) -> Secret {
            var secret = Secret(count: text.utf8.count + 1)
            secret.withMutableBytes { $0.copyBytes(from: text.utf8) }
            return secret
        }
        let folder = try TemporaryFolder()
        let file = folder.path + "/key"
        let key = try SigningKey.create(file, passphrase: secret("шесть слов подряд длиной"), holder: "Анна").key
        #expect(try SigningKey.isProtected(file))
        #expect(try SigningKey.read(file, passphrase: secret("шесть слов подряд длиной")).key.value == key.value)
        #expect(
            code { _ = try SigningKey.read(file, passphrase: secret("шесть слов подряд длинно")) } == "passphrase-wrong"
        )
        #expect(code { _ = try SigningKey.read(file) } == "passphrase-wrong")
        let weak = ["", "short", "aaaaaaaaaaaaaaaaaaaaaaaa", "a b c d e f", "пятнадцать букв", "ab ab ab ab ab"]
        for text in weak { #expect(code { try secret(text).requireStrength() } == "passphrase-weak", "\(text)") }
        for text in ["one two six ten old man", "шестнадцать букв", "correct-horse-16"] {
            #expect(code { try secret(text).requireStrength() } == nil, "\(text)")
        }
        #expect(code { try Secret.drawnPassphrase().requireStrength() } == nil)
        let one = Secret.drawnPassphrase()
        let other = Secret.drawnPassphrase()
        let isSame = one.equals(other)
        #expect(!isSame)
    }

    // MARK: What a holder looks at

    @Test("What does not belong together is not shown as if it did")
    func consistency() throws {
        let federation = try FoundedFederation()
        let good = try federation.propose { $0.topology = FoundedFederation.topology(2) }
        #expect(code { _ = try ProposalContent(good) } == nil)
        func altered(_ change: (inout Proposal) throws -> Void) throws -> String? {
            var proposal = good
            try change(&proposal)
            return code { _ = try ProposalContent(proposal) }
        }
        #expect(try altered { $0.files["topology.json"]?.append(0x20) } == "proposal-inconsistent")
        #expect(try altered { $0.files["topology.json"] = nil } == "proposal-inconsistent")
        #expect(try altered { $0.files["other.json"] = [0x7B, 0x7D] } == "proposal-inconsistent")
        #expect(try altered { $0.reason = "line\u{1B}[2J" } == "proposal-inconsistent")
        #expect(try altered { $0.reason = "" } == "proposal-inconsistent")
        #expect(try altered { $0.federation = "other.test" } == "proposal-inconsistent")
        #expect(try altered { $0.base = [:] } == "proposal-inconsistent", "targets 2 builds on something")
        #expect(
            try altered { proposal in
                let stranger = try federation.newKey("Ева")
                let targets = try #require(proposal.base["targets"])
                let signed = SignedText.file(targets.value, [try stranger.signature(over: targets.canonical)])
                proposal.base["targets"] = try SignedText(signed, "targets", maximum: signed.count)
            } == "metadata-threshold", "the base is not what was in force")
        let elsewhere = FoundedFederation.topology(2).replacing("ekc.test", with: "ekc.other")
        #expect(code { _ = try federation.propose { $0.topology = elsewhere } } == "wrong-federation")
    }

    @Test("The sentences name roles, versions, the topology's hash, who is out and whose keys change")
    func sentences() throws {
        let federation = try FoundedFederation()
        let next = FoundedFederation.topology(2, [("subject-77", "live"), ("subject-78", "live")])
        let admitted = try federation.enrol("subject-78", "oszn")
        let newcomer = try federation.newKey("Ева").key
        var proposal = try federation.propose { draft in
            draft.topology = next
            draft.answers = [admitted]
            draft.signers["root"] = try TUFRole(
                "root", 2, of: [newcomer] + (try ["anna", "boris"].map { try federation.key($0, "root").key }))
        }
        let said = try ProposalContent(proposal).sentences().joined(separator: "\n")
        for part in [
            "it builds on root 1", "reason: a change", "root: version 2", "root: 2 of anna, boris, Ева",
            "no longer: vera", "new: Ева", "targets: version 2", "topology: version 2, 3 nodes, 2 links",
            Digest.sha256(next).description, "sign for their keys from now on: subject-78",
            "signed themselves: subject-78",
        ] { #expect(said.contains(part), "\(part) in:\n\(said)") }
        try federation.holders.sign(&proposal)
        try federation.publish(proposal)
        let denial = try federation.propose { $0.denied = [try #require(NodeID("subject-77"))] }
        #expect(try ProposalContent(denial).sentences().contains { $0.hasPrefix("  OUT: subject-77, until") })
        let again = try federation.enrol("subject-78", "oszn", replacing: true)
        try federation.signAndPublish(try federation.propose { $0.answers = [again] })
        federation.now = federation.now.advanced(byMilliseconds: 96 * 3_600_000)
        let replacing = try federation.propose { $0.answers = [again] }
        #expect(
            try ProposalContent(replacing).sentences().contains {
                $0.hasPrefix("  ANOTHER IDENTITY KEY for: subject-78")
            })
        #expect(try federation.signAndPublish(replacing).pins.nodes.contains(again.record))
    }

    // MARK: Garbage

    @Test("A proposal cut at any byte, and with any byte changed, is refused or means the same")
    func fuzz() throws {
        let federation = try FoundedFederation()
        var proposal = try federation.propose { $0.topology = FoundedFederation.topology(2) }
        try federation.holders.sign(&proposal)
        let whole = proposal.bytes
        // The last byte is the end of the line.
        for length in stride(from: 0, to: whole.count - 1, by: 3) {
            #expect(code { _ = try Proposal(Array(whole[..<length]), from: "x") } == "metadata-malformed", "\(length)")
        }
        var random = SeededRandom(seed: 4)
        var read = 0
        for _ in 0..<600 {
            var bytes = whole
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            do throws(FederationError) {
                let found = try Proposal(bytes, from: "x")
                _ = try ProposalContent(found)
                try found.requireEnough()
                read += 1
                // What still counts as signed is what was signed.
                #expect(found.roles.mapValues(\.canonical) == proposal.roles.mapValues(\.canonical))
                #expect(found.files == proposal.files)
            } catch {}
        }
        // White space, and what the signatures do not cover.
        #expect((1..<400).contains(read))
    }
}

extension [UInt8] {
    fileprivate func replacing(_ text: String, with other: String) -> [UInt8] {
        Array(String(decoding: self, as: UTF8.self).replacing(text, with: other).utf8)
    }
}
