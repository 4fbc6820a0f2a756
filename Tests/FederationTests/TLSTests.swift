import CryptoShim
import FederationTestKit
import Testing

@testable import Federation

@Suite("Links: who may be at the other end")
struct TLSTests {
    private let fixture: TrustFixture
    private let centre: NodeID
    private let subject: NodeID

    init() throws {
        fixture = try TrustFixture.shared.get()
        centre = try #require(NodeID("centre"))
        subject = try #require(NodeID("subject-77"))
    }

    @Test("Two nodes of two segments accept each other, and bytes go both ways")
    func accepted() throws {
        let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: centre)
        let server = TLSSession(try fixture.context("centre"), role: .server)
        let faults = TLSSession.shake(client, server)
        #expect(faults.client == nil && faults.server == nil)
        #expect(client.state == .open(centre) && server.state == .open(subject))
        let message = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for (from, to) in [(client, server), (server, client)] {
            try from.write(message)
            // The network cuts where it likes.
            var read: [UInt8] = []
            let bytes = from.drainAll()
            for start in stride(from: 0, to: bytes.count, by: 777) {
                try to.receive(Array(bytes[start..<min(start + 777, bytes.count)]))
                read += try to.readAll()
            }
            #expect(read == message)
        }
        client.close()
        try server.receive(client.drainAll())
        #expect(try server.readAll().isEmpty)
        #expect(server.state == .closed)
    }

    struct Wrong: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var code: String
        var authority = "ca-oszn"
        var change: @Sendable (inout cs_certificate_plan) -> Void = { _ in }
    }

    static func constant(_ text: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
    }

    static let wrong: [Wrong] = [
        Wrong(testDescription: "ended, and another segment's authority", code: "chain-refused", authority: "ca-centre")
        {
            $0.not_after = Clocks.wall().milliseconds / 1000 - 10
        },
        // Its authority is younger: time is not switched off for what has ended.
        Wrong(testDescription: "ended before its authority began", code: "certificate-not-yet-valid") {
            $0.not_before = Clocks.wall().milliseconds / 1000 - 3 * 86_400
            $0.not_after = Clocks.wall().milliseconds / 1000 - 2 * 86_400
        },
        Wrong(testDescription: "not yet valid", code: "certificate-not-yet-valid") {
            $0.not_before = Clocks.wall().milliseconds / 1000 + 3600
        },
        Wrong(testDescription: "another segment's authority", code: "chain-refused", authority: "ca-centre"),
        Wrong(testDescription: "an authority that is nobody's", code: "chain-refused", authority: "ca-rogue"),
        Wrong(testDescription: "a name of another segment", code: "chain-refused") {
            $0.uri = constant("spiffe://centre.ekc.test/node/subject-77")
        },
        Wrong(testDescription: "the right authority, beyond its segment", code: "wrong-segment", authority: "ca-centre")
        {
            $0.uri = constant("spiffe://centre.ekc.test/node/subject-77")
        },
        Wrong(testDescription: "a segment nobody knows", code: "wrong-segment") {
            $0.uri = constant("spiffe://pfr.ekc.test/node/subject-77")
        },
        Wrong(testDescription: "another path", code: "wrong-segment") {
            $0.uri = constant("spiffe://oszn.ekc.test/nodes/subject-77")
        },
        Wrong(testDescription: "a node without a pin", code: "not-pinned") {
            $0.uri = constant("spiffe://oszn.ekc.test/node/subject-79")
        },
        Wrong(testDescription: "another node's name", code: "pin-mismatch") {
            $0.uri = constant("spiffe://oszn.ekc.test/node/subject-78")
        },
        Wrong(testDescription: "an authority as leaf", code: "certificate-lint:authority") { $0.is_authority = 1 },
        Wrong(testDescription: "no extended usage", code: "certificate-lint:extended-key-usage") {
            $0.without_extended_usage = 1
        },
        Wrong(testDescription: "wider key usage", code: "certificate-lint:key-usage") {
            $0.without_key_usage_limits = 1
        },
        Wrong(testDescription: "no name", code: "certificate-lint:names") { $0.uri = nil },
        Wrong(testDescription: "two names", code: "certificate-lint:names") {
            $0.second_uri = constant("spiffe://oszn.ekc.test/node/subject-78")
        },
        Wrong(testDescription: "a life of years", code: "certificate-lint:life") {
            $0.not_after = Clocks.wall().milliseconds / 1000 + 86_400 * 400
        },
    ]

    @Test("A wrong certificate is refused by its code, and its owner is told by an alert", arguments: wrong)
    func refused(_ wrong: Wrong) throws {
        let certificate = try fixture.reissue("subject-77", by: wrong.authority, wrong.change)
        let bad = try fixture.context("subject-77", presenting: certificate)
        let good = try fixture.context("centre")
        // As the one who dialled, and as the one who was dialled.
        let dialled = TLSSession(good, role: .server)
        let client = TLSSession(bad, role: .client, expected: centre)
        let first = TLSSession.shake(client, dialled)
        #expect(first.server?.code == wrong.code)
        #expect(first.client?.code == "peer-refused")
        let dialling = TLSSession(good, role: .client, expected: subject)
        let second = TLSSession.shake(dialling, TLSSession(bad, role: .server))
        #expect(second.client?.code == wrong.code)
        #expect(second.server?.code == "peer-refused")
        for session in [dialled, dialling] {
            #expect(session.state == .closed)
            #expect(throws: TLSFault.self) { try session.write([1]) }
            #expect(try session.readAll().isEmpty)
        }
    }

    @Test(
        "A certificate that has ended opens sessions for 30 days, by the clock of each end, and they say what they carry"
    )
    func ended() throws {
        let now = Clocks.wall().milliseconds / 1000
        let certificate = try fixture.reissue("subject-77", by: "ca-oszn") { $0.not_after = now + 86_400 }
        let (own, other) = (
            try fixture.context("subject-77", presenting: certificate), try fixture.context("centre")
        )
        let ends = own.expires
        #expect(ends == now + 86_400 && other.expires > ends)
        func scopes(_ subjects: Int64, _ centres: Int64) -> (subject: SessionScope?, centre: SessionScope?, String?) {
            let client = TLSSession(
                own, role: .client, expected: centre, at: Timestamp(milliseconds: (ends + subjects) * 1000))
            let server = TLSSession(other, role: .server, at: Timestamp(milliseconds: (ends + centres) * 1000))
            let faults = TLSSession.shake(client, server)
            return (
                client.state == .open(centre) ? client.scope : nil,
                server.state == .open(subject) ? server.scope : nil,
                [faults.client?.code, faults.server?.code].compactMap { $0 }.first { $0 != "peer-refused" }
            )
        }
        let grace = SessionScope.graceSeconds
        #expect(scopes(-1, -1) == (.full, .full, nil))
        #expect(scopes(0, 0) == (.metadataOnly, .metadataOnly, nil))
        #expect(scopes(1, -1) == (.metadataOnly, .full, nil))
        #expect(scopes(-300, 1) == (.full, .metadataOnly, nil))
        #expect(scopes(grace - 86_400, grace - 86_400) == (.metadataOnly, .metadataOnly, nil))
        #expect(scopes(grace, grace) == (.metadataOnly, .metadataOnly, nil))
        #expect(scopes(grace, grace + 1).centre == nil)
        #expect(scopes(grace, grace + 1).2 == "certificate-expired")
        #expect(scopes(grace + 1, grace) == (nil, .metadataOnly, "own-certificate-expired"))
        #expect(scopes(-86_400 - 301, -86_400 - 301).2 == "certificate-not-yet-valid")
    }

    @Test("Who is not pinned, pinned otherwise, or not whom we dialled is refused")
    func pins() throws {
        var without = fixture.pins
        without.nodes.removeAll { $0.node == "subject-77" }
        var other = fixture.pins
        for index in other.nodes.indices { other.nodes[index].linkPin = String(repeating: "0", count: 64) }
        var foreign = fixture.pins
        foreign.anchors.removeAll { $0.segment == "oszn" }
        for (pins, code) in [(without, "not-pinned"), (other, "pin-mismatch"), (foreign, "wrong-segment")] {
            let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: centre)
            let server = TLSSession(try fixture.context("centre", pins: pins), role: .server)
            let faults = TLSSession.shake(client, server)
            #expect(faults.server?.code == code)
            #expect(faults.client?.code == "peer-refused")
        }
        let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: NodeID("subject-78"))
        let server = TLSSession(try fixture.context("centre"), role: .server)
        let faults = TLSSession.shake(client, server)
        #expect(faults.client?.code == "wrong-peer")
        #expect(faults.server?.code == "peer-refused")
        let mirror = try fixture.context("centre")
        let own = TLSSession.shake(TLSSession(mirror, role: .client), TLSSession(mirror, role: .server))
        #expect(own.client?.code == "own-certificate")
    }

    @Test("No byte of ours passes before the peer is accepted")
    func notBefore() throws {
        let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: centre)
        #expect(throws: TLSFault("not-open", "handshaking")) { try client.write([1, 2, 3]) }
        try client.advance()
        #expect(throws: TLSFault("not-open", "handshaking")) { try client.write([1, 2, 3]) }
        #expect(try client.readAll().isEmpty)
    }

    @Test("What is not TLS is named so", arguments: ["GET / HTTP/1.1\r\n\r\n", "\u{0}\u{0}\u{0}\u{8}\u{1}", "hello"])
    func plain(_ text: String) throws {
        let server = TLSSession(try fixture.context("centre"), role: .server)
        #expect { try server.receive(Array(text.utf8)) } throws: { ($0 as? TLSFault)?.code == "not-tls" }
        #expect(server.state == .closed)
    }

    @Test("A first byte as of TLS does not make the rest TLS")
    func almostTLS() throws {
        let server = TLSSession(try fixture.context("centre"), role: .server)
        try server.receive([22] + Array("ET / HTTP/1.1\r\n\r\n".utf8))
        #expect { try server.advance() } throws: { ($0 as? TLSFault)?.code == "not-tls" }
    }

    private func hello() throws -> [UInt8] {
        let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: centre)
        try client.advance()
        return client.drainAll()
    }

    /// What our server says of a hello, and the description of its alert (the last byte of a plain record), if any.
    private func answer(to hello: [UInt8]) throws -> (code: String?, alert: UInt8?) {
        let server = TLSSession(try fixture.context("centre"), role: .server)
        do throws(TLSFault) {
            try server.receive(hello)
            try server.advance()
            return (nil, nil)
        } catch {
            let bytes = server.drainAll()
            return (error.code, bytes.first == 21 ? bytes.last : nil)
        }
    }

    @Test("A hello with another protocol, version or cipher is refused by its code and alert")
    func hellos() throws {
        let original = try hello()
        #expect(ClientHello(original).extensions.contains { $0.type == ClientHello.alpn })
        var changed = ClientHello(original)
        #expect(try answer(to: changed.record).code == nil)
        changed.extensions.removeAll { $0.type == ClientHello.alpn }
        #expect(try answer(to: changed.record) == ("no-alpn", 120))
        changed.extensions.append((ClientHello.alpn, [0, 3, 2] + Array("h2".utf8)))
        #expect(try answer(to: changed.record) == ("no-alpn", 120))
        changed = ClientHello(original)
        changed.extensions.removeAll { $0.type == ClientHello.supportedVersions }
        #expect(try answer(to: changed.record) == ("wrong-version", 70))
        changed = ClientHello(original)
        changed.cipherSuites = [0x1301, 0x1303]
        #expect(try answer(to: changed.record) == ("wrong-cipher", 40))
    }

    @Test("A hello that ends early waits; one bit that is wrong harms nobody")
    func damaged() throws {
        let original = try hello()
        let context = try fixture.context("centre")
        for count in 0..<original.count {
            let server = TLSSession(context, role: .server)
            try server.receive(Array(original.prefix(count)))
            try server.advance()
            #expect(server.state == .handshaking && server.pending == 0, "\(count) bytes")
        }
        var random = SeededRandom(seed: 7)
        for _ in 0..<2000 {
            var bytes = original
            for _ in 0...Int.random(in: 0..<4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
            let server = TLSSession(context, role: .server)
            try? server.receive(bytes)
            try? server.advance()
            if case .open = server.state { Issue.record("opened by a damaged hello") }
        }
    }

    @Test("A peer that never comes to an end is stopped")
    func endless() throws {
        let server = TLSSession(try fixture.context("centre"), role: .server)
        // Records of handshake bytes that announce a message of 16 MiB.
        let record: [UInt8] = [22, 3, 1, 0x40, 0] + [1, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 0, count: 0x4000 - 4)
        var sent = 0
        let fault = #expect(throws: TLSFault.self) {
            while sent < 1 << 20 {
                try server.receive(record)
                sent += record.count
                try server.advance()
            }
        }
        #expect(sent <= 96 * 1024, "\(String(describing: fault))")
    }

    @Test("Each rule of the lint refuses what breaks it")
    func lint() throws {
        let pem = try fixture.text("subject-77/keys/link.crt")
        let good = try #require(CertificateFacts(pem: pem))
        let rule = AcceptanceRule(federation: TrustFixture.federation, node: centre, pins: fixture.pins)
        #expect(try rule.verdict(on: good, expected: subject, at: good.notBefore).get() == subject)
        let changes: [(String, (inout CertificateFacts) -> Void)] = [
            ("certificate-lint:version", { $0.version = 1 }),
            ("certificate-lint:malformed", { $0.isMalformed = true }),
            ("certificate-lint:serial", { $0.serialBytes = 0 }),
            ("certificate-lint:serial", { $0.serialBytes = 21 }),
            ("certificate-lint:authority", { $0.isAuthority = true }),
            ("certificate-lint:names", { $0.uriCount = 2 }),
            ("certificate-lint:names", { $0.uriCount = 0 }),
            ("certificate-lint:names", { $0.otherNames = 1 }),
            ("certificate-lint:key-usage", { $0.keyUsageCritical = false }),
            ("certificate-lint:key-usage", { $0.keyUsage = 0x88 }),
            ("certificate-lint:extended-key-usage", { $0.clientUsage = false }),
            ("certificate-lint:extended-key-usage", { $0.serverUsage = false }),
            ("certificate-lint:unknown-critical", { $0.unknownCritical = true }),
            ("certificate-lint:life", { $0.notAfter = $0.notBefore + 91 * 86_400 }),
            ("certificate-lint:key", { $0.isP256 = false }),
            ("wrong-segment", { $0.uri = "spiffe://centre.ekc.test/node/subject-77" }),
            ("wrong-segment", { $0.uri = "spiffe://oszn.ekc.test/node/" }),
            ("wrong-segment", { $0.uri = "spiffe://oszn.ekc.test.evil.test/node/subject-77" }),
            ("wrong-segment", { $0.uri = "https://oszn.ekc.test/node/subject-77" }),
            ("wrong-segment", { $0.uri = "" }),
            ("not-pinned", { $0.uri = "spiffe://oszn.ekc.test/node/subject-79" }),
            ("pin-mismatch", { $0.pin = String($0.pin.reversed()) }),
        ]
        for (code, change) in changes {
            var facts = good
            change(&facts)
            guard case .failure(let fault) = rule.verdict(on: facts, expected: subject, at: good.notBefore) else {
                Issue.record("accepted: \(code)")
                continue
            }
            #expect(fault.code == code)
        }
        // In time: the same for every instant, and for one that has ended everything else of the rule.
        let grace = SessionScope.graceSeconds
        let instants: [(Int64, String?, (inout CertificateFacts) -> Void)] = [
            (good.notBefore - 1, "certificate-not-yet-valid", { _ in }), (good.notBefore, nil, { _ in }),
            (good.notAfter - 1, nil, { _ in }), (good.notAfter, nil, { _ in }), (good.notAfter + 1, nil, { _ in }),
            (good.notAfter + grace, nil, { _ in }), (good.notAfter + grace + 1, "certificate-expired", { _ in }),
            (good.notAfter + 1, "pin-mismatch", { $0.pin = String($0.pin.reversed()) }),
            (good.notAfter + 1, "not-pinned", { $0.uri = "spiffe://oszn.ekc.test/node/subject-79" }),
            (good.notAfter + 1, "certificate-lint:key-usage", { $0.keyUsage = 0x88 }),
        ]
        for (now, code, change) in instants {
            var facts = good
            change(&facts)
            let verdict = rule.verdict(on: facts, expected: subject, at: now)
            if case .failure(let fault) = verdict { #expect(fault.code == code) } else { #expect(code == nil) }
        }
        let denying = AcceptanceRule(
            federation: TrustFixture.federation, node: centre, pins: fixture.pins, denied: [subject])
        let ended = good.notAfter + 1
        #expect(denying.verdict(on: good, expected: subject, at: ended) == .failure(TLSFault("denied", good.uri)))
        let chain = TLSFault("chain-refused", "")
        #expect(rule.verdict(on: good, chain: chain, expected: subject, at: ended) == .failure(chain))
        #expect(rule.verdict(on: good, chain: chain, expected: subject, at: good.notBefore) == .failure(chain))
    }
}
