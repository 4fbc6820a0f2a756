import CLinux
import CryptoShim
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

@Suite("Trust: keys, authorities, answers and pins")
struct TrustTests {
    private let fixture: TrustFixture

    init() throws { fixture = try TrustFixture.shared.get() }

    private func expect(_ code: String, _ place: SourceLocation = #_sourceLocation, _ body: () throws -> Void) {
        do {
            try body()
            Issue.record("nothing was refused, \(code) was expected", sourceLocation: place)
        } catch {
            #expect((error as? FederationError)?.code == code, sourceLocation: place)
            #expect((error as? FederationError)?.remedy.isEmpty == false, sourceLocation: place)
        }
    }

    private func mode(_ path: String) throws -> mode_t {
        var facts = stat()
        try #require(stat(path, &facts) == 0)
        return facts.st_mode & 0o777
    }

    @Test("The authority's disk holds no key of a node, and a node's keys are its own")
    func custody() throws {
        for (node, segment) in TrustFixture.nodes {
            let link = try fixture.text("\(node)/keys/link.key").split(separator: "\n")[1]
            let folder = fixture.folder.path + "/ca-" + segment
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
            #expect(names.contains { $0.hasPrefix("issued/\(node)") })
            for name in names where name != "issued" {
                let text = String(decoding: try Files.read(folder + "/" + name, maximum: 1 << 20), as: UTF8.self)
                #expect(!text.contains(link))
                #expect(name == "ca.key" || !text.contains("PRIVATE KEY"))
            }
            #expect(try mode(folder + "/ca.key") == 0o600)
            for key in ["identity.key", "link.key"] {
                #expect(try mode(fixture.folder.path + "/\(node)/keys/\(key)") == 0o600)
            }
            #expect(try mode(fixture.folder.path + "/\(node)/keys") == 0o700)
        }
    }

    @Test("Keys that others can read are not used, and keys are never made over others")
    func modes() throws {
        let folder = try TemporaryFolder()
        let place = NodeFolder(folder.path + "/node")
        let settings = NodeSettings(node: "subject-77", segment: "oszn", federation: "ekc.test")
        let authority = try Authority.create(folder.path + "/ca", segment: "oszn", federation: "ekc.test")
        let answer = try authority.issue(try place.create(settings), now: Clocks.wall())
        expect("not-enrolled") { _ = try place.context(settings, pins: Pins(federation: "ekc.test")) }
        try place.install(answer)
        _ = try place.context(settings, pins: Pins(federation: "ekc.test"))
        chmod(place.path + "/keys/link.key", 0o640)
        expect("key-file-open") { _ = try place.context(settings, pins: Pins(federation: "ekc.test")) }
        chmod(place.path + "/keys/link.key", 0o600)
        chmod(place.path + "/keys", 0o750)
        expect("key-folder-open") { _ = try place.context(settings, pins: Pins(federation: "ekc.test")) }
        expect("node-exists") { _ = try place.create(settings) }
        expect("authority-exists") {
            _ = try Authority.create(folder.path + "/ca", segment: "oszn", federation: "ekc.test")
        }
        chmod(folder.path + "/ca/ca.key", 0o644)
        expect("key-file-open") {
            _ = try authority.issue(
                try TrustFile.read(EnrolmentRequest.self, place.requestFile), now: Clocks.wall())
        }
    }

    @Test(
        "A name that is none makes no keys",
        arguments: ["", "A", "a b", "a/b", "../x", String(repeating: "a", count: 33)])
    func names(_ name: String) throws {
        let folder = try TemporaryFolder()
        expect("bad-segment-name") {
            _ = try Authority.create(folder.path + "/a", segment: name, federation: "ekc.test")
        }
        expect("bad-federation-name") {
            _ = try Authority.create(folder.path + "/a", segment: "oszn", federation: name)
        }
        expect("bad-node-name") {
            _ = try NodeFolder(folder.path + "/a").create(
                NodeSettings(node: name, segment: "oszn", federation: "ekc.test"))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test("The longest names fit a certificate")
    func longest() throws {
        let folder = try TemporaryFolder()
        let name = String(repeating: "n", count: 32)
        let federation = (1...3).map { _ in name }.joined(separator: ".")
        let authority = try Authority.create(folder.path + "/ca", segment: name, federation: federation)
        let place = NodeFolder(folder.path + "/node")
        let request = try place.create(NodeSettings(node: name, segment: name, federation: federation))
        try place.install(try authority.issue(request, days: 90, now: Clocks.wall()))
    }

    @Test("An authority refuses a request that is not proved")
    func proofs() throws {
        let request = try TrustFile.read(EnrolmentRequest.self, fixture.place("subject-77").requestFile)
        let other = try TrustFile.read(EnrolmentRequest.self, fixture.place("subject-78").requestFile)
        let authority = try Authority(fixture.folder.path + "/ca-oszn")
        let encrypted = request.certificateRequest.replacing(
            "-----BEGIN CERTIFICATE REQUEST-----\n",
            with: "-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
                + String(repeating: "0", count: 32) + "\n\n")
        let changes: [(String, (inout EnrolmentRequest) -> Void)] = [
            ("bad-proof", { $0.node = "subject-78" }),
            ("bad-proof", { $0.identityKey = String(repeating: "a", count: 64) }),
            ("bad-proof", { $0.identityKey = other.identityKey }),
            ("bad-proof", { $0.certificateRequest = other.certificateRequest }),
            ("bad-proof", { $0.signature = "" }),
            ("bad-proof", { $0.signature = other.signature }),
            ("wrong-segment", { $0.segment = "centre" }),
            ("wrong-segment", { $0.federation = "other" }),
            ("bad-node-name", { $0.node = "../x" }),
        ]
        for (code, change) in changes {
            var changed = request
            change(&changed)
            expect(code) { _ = try authority.issue(changed, now: Clocks.wall()) }
        }
        // Signed by the identity, but the certificate request is not signed by its key, or asks for a passphrase.
        let damaged = request.certificateRequest.replacing("MI", with: "MJ")
        for text in [damaged, encrypted, "", "-----BEGIN CERTIFICATE REQUEST-----\n"] {
            var changed = request
            changed.certificateRequest = text
            try resign(&changed, "subject-77")
            expect("bad-proof") { _ = try authority.issue(changed, now: Clocks.wall()) }
        }
        for days in [0, 91, -1] {
            expect("bad-life") { _ = try authority.issue(request, days: days, now: Clocks.wall()) }
        }
    }

    private func resign(_ request: inout EnrolmentRequest, _ node: String) throws {
        let key = try Files.read(fixture.folder.path + "/\(node)/keys/identity.key", maximum: 64)
        var signature = [UInt8](repeating: 0, count: 64)
        cs_identity_sign(&signature, request.statement, request.statement.count, key)
        request.signature = Hex.encode(signature)
    }

    @Test("A certificate is issued again for the same keys, and each time is on record")
    func again() throws {
        let folder = try TemporaryFolder()
        let authority = try Authority.create(folder.path + "/ca", segment: "oszn", federation: "ekc.test")
        let place = NodeFolder(folder.path + "/node")
        let request = try place.create(NodeSettings(node: "subject-77", segment: "oszn", federation: "ekc.test"))
        let now = Clocks.wall()
        let first = try authority.issue(request, now: now)
        let second = try authority.issue(request, days: 90, now: now.advanced(byMilliseconds: 1))
        #expect(first.certificate != second.certificate && first.record == second.record)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/ca/issued").count == 2)
        let facts = try #require(CertificateFacts(pem: first.certificate))
        #expect(facts.notBefore == now.milliseconds / 1000 - 300)
        #expect(facts.notAfter == now.milliseconds / 1000 + 30 * 86_400)
        #expect((1...20).contains(facts.serialBytes) && facts.uri == "spiffe://oszn.ekc.test/node/subject-77")
        try place.install(second)
    }

    @Test("An answer is installed only where it belongs, and only when peers would accept it")
    func answers() throws {
        let folder = try TemporaryFolder()
        for name in ["oszn", "rogue"] {
            _ = try Authority.create(folder.path + "/ca-" + name, segment: "oszn", federation: "ekc.test")
        }
        let answer = try TrustFixture.enrol("subject-77", "oszn", in: folder)
        let other = try TrustFixture.enrol("subject-78", "oszn", in: folder)
        let place = NodeFolder(folder.path + "/subject-77")
        let rogue = try Authority(folder.path + "/ca-rogue").issue(
            try TrustFile.read(EnrolmentRequest.self, place.requestFile), now: Clocks.wall())
        expect("answer-for-another") { try place.install(other) }
        let changes: [(String, (inout EnrolmentAnswer) -> Void)] = [
            ("answer-for-another", { $0.record.node = "subject-79" }),
            ("answer-for-another", { $0.record.identityKey = other.record.identityKey }),
            ("answer-malformed", { $0.anchor = rogue.anchor }),
            ("answer-malformed", { $0.certificate = rogue.certificate }),
            ("answer-malformed", { $0.certificate = other.certificate }),
            ("answer-malformed", { $0.certificate = $0.anchor }),
            ("answer-malformed", { $0.certificate = "" }),
            ("answer-malformed", { $0.anchor = $0.certificate }),
        ]
        let before = try Files.read(place.path + "/keys/link.crt", maximum: 9999)
        for (code, change) in changes {
            var changed = answer
            change(&changed)
            expect(code) { try place.install(changed) }
        }
        expect("answer-malformed") {
            try place.install(answer, now: Clocks.wall().advanced(byMilliseconds: 31 * 86_400_000))
        }
        #expect(try Files.read(place.path + "/keys/link.crt", maximum: 9999) == before)
    }

    @Test("An authority can certify names of its own segment only, whoever asks")
    func constrained() throws {
        let anchor = try fixture.text("ca-oszn/ca.crt")
        var words = [CChar](repeating: 0, count: 200)
        let own = try fixture.reissue("subject-77", by: "ca-oszn") { _ in }
        #expect(cs_chain_check(own, anchor, 0, &words, words.count) == CS_FAULT_NONE)
        let foreign = try fixture.reissue("subject-77", by: "ca-oszn") {
            $0.uri = TLSTests.constant("spiffe://centre.ekc.test/node/subject-77")
        }
        #expect(cs_chain_check(foreign, anchor, 0, &words, words.count) == CS_FAULT_CHAIN)
    }

    @Test("Pins grow by answers; another authority or identity is never taken in passing")
    func conflicts() throws {
        let folder = try TemporaryFolder()
        for (name, segment) in [("ca-oszn", "oszn"), ("ca-rogue", "oszn")] {
            _ = try Authority.create(folder.path + "/" + name, segment: segment, federation: "ekc.test")
        }
        let answer = try TrustFixture.enrol("subject-77", "oszn", in: folder)
        var pins = Pins(federation: "ekc.test")
        try pins.add(answer)
        try pins.add(answer)
        #expect(pins.nodes == [answer.record] && pins.anchors.count == 1)
        let rogue = try Authority(folder.path + "/ca-rogue").issue(
            try TrustFile.read(EnrolmentRequest.self, folder.path + "/subject-77/request.json"), now: Clocks.wall())
        // The same node, set up again with keys of its own making.
        try FileManager.default.removeItem(atPath: folder.path + "/subject-77")
        let anew = try TrustFixture.enrol("subject-77", "oszn", in: folder, replacing: true)
        let kept = pins
        expect("anchor-conflict") { try pins.add(rogue) }
        expect("identity-conflict") { try pins.add(anew) }
        expect("answer-malformed") {
            var mixed = anew
            mixed.record.identityKey = answer.record.identityKey
            mixed.record.linkPin = answer.record.linkPin
            try pins.add(mixed)
        }
        var renewed = anew
        renewed.record.identityKey = answer.record.identityKey
        renewed.published = nil
        #expect(pins == kept)
        try pins.add(renewed)
        #expect(pins.nodes.map(\.linkPin) == [anew.record.linkPin])
        var elsewhere = Pins(federation: "other.test")
        expect("wrong-federation") { try elsewhere.add(answer) }
    }

    @Test("A file of trust that is not what it should be is refused whole")
    func files() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/pins.json"
        try TrustFile.write(fixture.pins, to: path)
        #expect(try TrustFile.read(Pins.self, path) == fixture.pins)
        let good = String(decoding: try Files.read(path, maximum: 1 << 20), as: UTF8.self)
        let anchors = fixture.pins.anchors.count
        let changes: [(String, String)] = [
            ("file-malformed", ""), ("file-malformed", "{"), ("file-malformed", "[]"),
            ("file-malformed", good + "x"),
            ("file-malformed", good.replacing("\"format\" : 1", with: "\"format\" : 1, \"format\" : 1")),
            ("file-malformed", good.replacing("\"subject-78\"", with: "\"subject-77\"")),
            ("file-malformed", good.replacing("\"segment\" : \"oszn\"", with: "\"segment\" : \"centre\"")),
            ("file-malformed", good.replacing("\"node\" : \"subject-78\"", with: "\"node\" : \"../x\"")),
            ("file-newer", good.replacing("\"format\" : 1", with: "\"format\" : 2")),
            ("file-too-large", good + String(repeating: " ", count: 70_000)),
        ]
        #expect(anchors == 2)
        for (code, text) in changes {
            try Files.write(Array(text.utf8), to: path)
            expect(code) { _ = try TrustFile.read(Pins.self, path) }
        }
        expect("file-unreadable") { _ = try TrustFile.read(Pins.self, folder.path + "/none") }
        expect("file-unwritable") { try TrustFile.write(fixture.pins, to: folder.path + "/none/pins.json") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["pins.json"])
    }

    @Test("Digests agree with published values, and the running digest with one pass over both parts")
    func digests() {
        let abc = Array("abc".utf8)
        #expect(
            Digest.sha256(abc).description == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            Digest.sha256([]).description == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            Digest.blake2b256(abc).description == "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")
        let previous = Digest.sha256(abc)
        let envelope = Random.bytes(4096)
        let whole = previous.withBytes { Array($0) } + envelope
        #expect(previous.extended(by: envelope[...]) == Digest.sha256(whole))
        #expect(Digest.equal(previous, Digest.sha256(abc)) && !Digest.equal(previous, .zero))
        #expect(Random.id128() != Random.id128())
    }

    @Test("What a running digest of 4 KiB costs")
    func digestCost() {
        let envelope = Random.bytes(4096)
        var digest = Digest32.zero
        for _ in 0..<1000 { digest = digest.extended(by: envelope[...]) }
        let began = Clocks.monotonicMicroseconds()
        let rounds = 20_000
        for _ in 0..<rounds { digest = digest.extended(by: envelope[...]) }
        let took = Clocks.monotonicMicroseconds() - began
        print("running digest of 4 KiB: \(took * 1000 / Int64(rounds)) ns; \(digest)")
    }

    @Test("A second identity under a node's name is refused, unless a person says that the first is lost")
    func secondIdentity() throws {
        let folder = try TemporaryFolder()
        let authority = try Authority.create(folder.path + "/ca", segment: "oszn", federation: "ekc.test")
        let settings = NodeSettings(node: "cc-1", segment: "oszn", federation: "ekc.test")
        let first = try NodeFolder(folder.path + "/a").create(settings)
        let second = try NodeFolder(folder.path + "/b").create(settings)
        let other = try NodeFolder(folder.path + "/c")
            .create(NodeSettings(node: "cc-1-2", segment: "oszn", federation: "ekc.test"))
        let now = Clocks.wall()
        _ = try authority.issue(first, now: now)
        _ = try authority.issue(other, now: now.advanced(byMilliseconds: 1))
        _ = try authority.issue(first, now: now.advanced(byMilliseconds: 2))
        do {
            _ = try authority.issue(second, now: now.advanced(byMilliseconds: 3))
            Issue.record("it was signed")
        } catch { #expect(error.code == "identity-conflict") }
        _ = try authority.issue(second, replacing: true, now: now.advanced(byMilliseconds: 4))
    }

    @Test("What was interrupted while keys were made is made anew; what is in use is never overwritten")
    func interrupted() throws {
        let folder = try TemporaryFolder()
        let settings = NodeSettings(node: "cc-1", segment: "oszn", federation: "ekc.test")
        let place = NodeFolder(folder.path + "/node")
        _ = try place.create(settings)
        expect("node-exists") { _ = try place.create(settings) }
        unlink(place.requestFile)
        let request = try place.create(settings)
        let path = folder.path + "/ca"
        let authority = try Authority.create(path, segment: "oszn", federation: "ekc.test")
        expect("authority-exists") { _ = try Authority.create(path, segment: "oszn", federation: "ekc.test") }
        unlink(path + "/authority.json")
        let again = try Authority.create(path, segment: "oszn", federation: "ekc.test")
        _ = try again.issue(request, now: Clocks.wall())
        unlink(path + "/authority.json")
        expect("authority-exists") { _ = try Authority.create(path, segment: "oszn", federation: "ekc.test") }
        _ = authority
    }
}
