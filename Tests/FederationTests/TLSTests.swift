import CryptoShim
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

/// Two segments with an authority each and nodes of them, made once for a suite.
final class TrustFixture: Sendable {
    let folder: TemporaryFolder
    let pins: Pins
    static let federation = "ekc.test"
    static let nodes = [("centre", "centre"), ("subject-77", "oszn"), ("subject-78", "oszn")]

    init() throws {
        folder = try TemporaryFolder()
        var pins = Pins(federation: TrustFixture.federation)
        for segment in ["centre", "oszn"] {
            _ = try Authority.create(
                folder.path + "/ca-" + segment, segment: segment, federation: TrustFixture.federation)
        }
        for (node, segment) in TrustFixture.nodes {
            let place = NodeFolder(folder.path + "/" + node)
            let settings = NodeSettings(node: node, segment: segment, federation: TrustFixture.federation)
            let request = try place.create(settings)
            let answer = try Authority(folder.path + "/ca-" + segment).issue(request, now: Clocks.wall())
            try place.install(answer)
            try pins.add(answer)
        }
        self.pins = pins
    }

    func context(_ node: String, pins other: Pins? = nil) throws -> TLSContext {
        let place = NodeFolder(folder.path + "/" + node)
        return try place.context(try place.settings(), pins: other ?? pins)
    }

    /// A certificate for a node's own link key, by an authority, as a plan says.
    func reissue(_ node: String, by authority: String, _ change: (inout cs_certificate_plan) -> Void) throws -> String {
        let request = try TrustFile.read(EnrolmentRequest.self, folder.path + "/\(node)/request.json")
        let key = String(decoding: try Files.read(folder.path + "/\(authority)/ca.key", maximum: 9999), as: UTF8.self)
        let issuer = String(
            decoding: try Files.read(folder.path + "/\(authority)/ca.crt", maximum: 9999), as: UTF8.self)
        var plan = cs_certificate_plan()
        let now = Clocks.wall().milliseconds / 1000
        plan.not_before = now - 300
        plan.not_after = now + 86_400
        let pem = "spiffe://oszn.ekc.test/node/\(node)".withCString { uri in
            plan.uri = uri
            change(&plan)
            return NodeFolder.pem { cs_certificate_issue(key, issuer, request.certificateRequest, &plan, $0, $1) }
        }
        return try #require(pem)
    }
}

@Suite("Links: who may be at the other end")
struct TLSTests {
    static let fixture = Result { try TrustFixture() }

    /// Moves bytes both ways until nothing moves or an end refuses.
    static func handshake(_ client: TLSSession, _ server: TLSSession) -> (client: TLSFault?, server: TLSFault?) {
        var faults: (client: TLSFault?, server: TLSFault?) = (nil, nil)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        func step(_ from: TLSSession, _ to: TLSSession) -> (moved: Bool, fault: TLSFault?) {
            let count = buffer.withUnsafeMutableBytes { from.drain(into: $0) }
            do throws(TLSFault) {
                if count > 0 {
                    let result = buffer.withUnsafeBytes { bytes in
                        Result { () throws(TLSFault) in
                            try to.receive(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
                        }
                    }
                    try result.get()
                }
                try to.advance()
                if case .open = to.state {
                    // Alerts of the other end come as data.
                    var nothing = [UInt8](repeating: 0, count: 64)
                    let read = nothing.withUnsafeMutableBytes { bytes in
                        Result { () throws(TLSFault) in try to.read(into: bytes) }
                    }
                    _ = try read.get()
                }
                return (count > 0, nil)
            } catch { return (count > 0, error) }
        }
        try? client.advance()
        for _ in 0..<20 {
            let there = step(client, server)
            if faults.server == nil { faults.server = there.fault }
            let back = step(server, client)
            if faults.client == nil { faults.client = back.fault }
            if !there.moved && !back.moved { break }
        }
        return faults
    }

    @Test("Two nodes of two segments accept each other, and bytes go both ways")
    func accepted() throws {
        let fixture = try TLSTests.fixture.get()
        let centre = try #require(NodeID("centre"))
        let subject = try #require(NodeID("subject-77"))
        let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: centre)
        let server = TLSSession(try fixture.context("centre"), role: .server)
        let faults = TLSTests.handshake(client, server)
        #expect(faults.client == nil && faults.server == nil)
        #expect(client.state == .open(centre) && server.state == .open(subject))
        let message = (0..<16_384).map { UInt8(truncatingIfNeeded: $0) }
        let sent = message.withUnsafeBytes { bytes in Result { () throws(TLSFault) in try client.write(bytes) } }
        try sent.get()
        var network = [UInt8](repeating: 0, count: 1 << 17)
        let count = network.withUnsafeMutableBytes { client.drain(into: $0) }
        let fed = network.withUnsafeBytes { bytes in
            Result { () throws(TLSFault) in try server.receive(UnsafeRawBufferPointer(rebasing: bytes[..<count])) }
        }
        try fed.get()
        var plain = [UInt8](repeating: 0, count: 1 << 15)
        let read = plain.withUnsafeMutableBytes { bytes in
            Result { () throws(TLSFault) in try server.read(into: bytes) }
        }
        #expect(try read.get() == 16_384)
        #expect(Array(plain.prefix(16_384)) == message)
    }

    struct Wrong: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var code: String
        var authority = "ca-oszn"
        var change: @Sendable (inout cs_certificate_plan) -> Void = { _ in }
    }

    static let wrong: [Wrong] = [
        Wrong(testDescription: "expired", code: "certificate-expired") {
            $0.not_after = Clocks.wall().milliseconds / 1000 - 10
        },
        Wrong(testDescription: "not yet valid", code: "certificate-not-yet-valid") {
            $0.not_before = Clocks.wall().milliseconds / 1000 + 3600
        },
        Wrong(testDescription: "another segment's authority", code: "chain-refused", authority: "ca-centre"),
        Wrong(testDescription: "an authority as leaf", code: "certificate-lint:authority") { $0.is_authority = 1 },
        Wrong(testDescription: "no extended usage", code: "certificate-lint:extended-key-usage") {
            $0.without_extended_usage = 1
        },
        Wrong(testDescription: "wider key usage", code: "certificate-lint:key-usage") {
            $0.without_key_usage_limits = 1
        },
        Wrong(testDescription: "no name", code: "wrong-segment") { $0.uri = nil },
        Wrong(testDescription: "a life of years", code: "certificate-lint:life") {
            $0.not_after = Clocks.wall().milliseconds / 1000 + 86_400 * 400
        },
    ]

    @Test("A wrong certificate is refused by its code", arguments: wrong)
    func refused(_ wrong: Wrong) throws {
        let fixture = try TLSTests.fixture.get()
        let certificate = try fixture.reissue("subject-77", by: wrong.authority, wrong.change)
        let place = fixture.folder.path + "/subject-77"
        let rule = AcceptanceRule(
            federation: TrustFixture.federation, node: try #require(NodeID("subject-77")), pins: fixture.pins)
        let context = try TLSContext(
            certificate: certificate, key: try Secret.read(place + "/keys/link.key"), pins: fixture.pins, rule: rule)
        let client = TLSSession(context, role: .client, expected: NodeID("centre"))
        let server = TLSSession(try fixture.context("centre"), role: .server)
        let faults = TLSTests.handshake(client, server)
        #expect(faults.server?.code == wrong.code)
    }

    @Test("Who is not pinned, pinned otherwise, or not whom we dialled is refused")
    func pins() throws {
        let fixture = try TLSTests.fixture.get()
        var without = fixture.pins
        without.nodes.removeAll { $0.node == "subject-77" }
        var other = fixture.pins
        for index in other.nodes.indices { other.nodes[index].linkPin = String(repeating: "0", count: 64) }
        for (pins, code) in [(without, "not-pinned"), (other, "pin-mismatch")] {
            let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: NodeID("centre"))
            let server = TLSSession(try fixture.context("centre", pins: pins), role: .server)
            #expect(TLSTests.handshake(client, server).server?.code == code)
        }
        let client = TLSSession(try fixture.context("subject-77"), role: .client, expected: NodeID("subject-78"))
        let server = TLSSession(try fixture.context("centre"), role: .server)
        #expect(TLSTests.handshake(client, server).client?.code == "wrong-peer")
    }

    @Test("What is not TLS is named so", arguments: ["GET / HTTP/1.1\r\n\r\n", "\u{0}\u{0}\u{0}\u{8}\u{1}", "hello"])
    func plain(_ text: String) throws {
        let server = TLSSession(try TLSTests.fixture.get().context("centre"), role: .server)
        let bytes = Array(text.utf8)
        let result = bytes.withUnsafeBytes { bytes in Result { () throws(TLSFault) in try server.receive(bytes) } }
        #expect { try result.get() } throws: { ($0 as? TLSFault)?.code == "not-tls" }
    }

    @Test("The authority's disk holds no key of a node, and a node's keys are its own")
    func custody() throws {
        let fixture = try TLSTests.fixture.get()
        for (node, segment) in TrustFixture.nodes {
            let link = try Files.read(fixture.folder.path + "/\(node)/keys/link.key", maximum: 9999)
            let folder = fixture.folder.path + "/ca-" + segment
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder)
            #expect(names.contains { $0.hasPrefix("issued/\(node)") })
            for name in names where name != "issued" {
                let bytes = try Files.read(folder + "/" + name, maximum: 1 << 20)
                #expect(
                    !String(decoding: bytes, as: UTF8.self).contains(
                        String(decoding: link.dropFirst(28).prefix(60), as: UTF8.self)))
                #expect(name == "ca.key" || !String(decoding: bytes, as: UTF8.self).contains("PRIVATE KEY"))
            }
            var facts = stat()
            #expect(stat(fixture.folder.path + "/\(node)/keys/link.key", &facts) == 0 && facts.st_mode & 0o777 == 0o600)
            #expect(stat(fixture.folder.path + "/\(node)/keys", &facts) == 0 && facts.st_mode & 0o777 == 0o700)
        }
    }

    @Test("An authority refuses a request that is not proved")
    func proofs() throws {
        let fixture = try TLSTests.fixture.get()
        let request = try TrustFile.read(EnrolmentRequest.self, fixture.folder.path + "/subject-77/request.json")
        let authority = try Authority(fixture.folder.path + "/ca-oszn")
        let changes: [(String, (inout EnrolmentRequest) -> Void)] = [
            ("bad-proof", { $0.node = "subject-78" }),
            ("bad-proof", { $0.identityKey = String(repeating: "a", count: 64) }),
            ("bad-proof", { $0.signature = "" }),
            ("wrong-segment", { $0.segment = "centre" }),
            ("wrong-segment", { $0.federation = "other" }),
            ("bad-node-name", { $0.node = "../x" }),
        ]
        for (code, change) in changes {
            var changed = request
            change(&changed)
            #expect { try authority.issue(changed, now: Clocks.wall()) } throws: {
                ($0 as? FederationError)?.code == code
            }
        }
    }
}
