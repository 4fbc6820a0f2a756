import CryptoShim
import FederationTestKit
import Testing

@testable import Federation

/// Two segments with an authority each and nodes of them, made once for a suite; and a rogue authority, which claims the
/// segment of another.
final class TrustFixture: Sendable {
    let folder: TemporaryFolder
    let pins: Pins
    static let federation = "ekc.test"
    static let nodes = [("centre", "centre"), ("subject-77", "oszn"), ("subject-78", "oszn")]

    static let shared = Result { try TrustFixture() }

    init() throws {
        folder = try TemporaryFolder()
        var pins = Pins(federation: TrustFixture.federation)
        for (name, segment) in [("ca-centre", "centre"), ("ca-oszn", "oszn"), ("ca-rogue", "oszn")] {
            _ = try Authority.create(folder.path + "/" + name, segment: segment, federation: TrustFixture.federation)
        }
        for (node, segment) in TrustFixture.nodes {
            let answer = try TrustFixture.enrol(node, segment, in: folder)
            try pins.add(answer)
        }
        self.pins = pins
    }

    static func enrol(_ node: String, _ segment: String, in folder: TemporaryFolder, replacing: Bool = false) throws
        -> EnrolmentAnswer
    {
        let place = NodeFolder(folder.path + "/" + node)
        let request = try place.create(NodeSettings(node: node, segment: segment, federation: federation))
        let answer = try Authority(folder.path + "/ca-" + segment).issue(
            request, replacing: replacing, now: Clocks.wall())
        try place.install(answer)
        return answer
    }

    func place(_ node: String) -> NodeFolder { NodeFolder(folder.path + "/" + node) }

    func text(_ path: String) throws -> String {
        String(decoding: try Files.read(folder.path + "/" + path, maximum: 9999), as: UTF8.self)
    }

    func context(_ node: String, pins other: Pins? = nil) throws -> TLSContext {
        try place(node).context(try place(node).settings(), pins: other ?? pins)
    }

    /// The context of a node that presents a certificate of its choice for its own key.
    func context(_ node: String, presenting certificate: String) throws -> TLSContext {
        let rule = AcceptanceRule(
            federation: TrustFixture.federation, node: try #require(NodeID(node)), pins: pins)
        return try TLSContext(
            certificate: certificate, key: try Secret.read(folder.path + "/\(node)/keys/link.key"), pins: pins,
            rule: rule)
    }

    /// A certificate for a node's own link key, by an authority, as a plan says.
    func reissue(_ node: String, by authority: String, _ change: (inout cs_certificate_plan) -> Void) throws -> String {
        let request = try TrustFile.read(EnrolmentRequest.self, place(node).requestFile)
        let key = try text(authority + "/ca.key")
        let issuer = try text(authority + "/ca.crt")
        var plan = cs_certificate_plan()
        let now = Clocks.wall().milliseconds / 1000
        plan.not_before = now - 300
        plan.not_after = now + 86_400
        let pem = "spiffe://oszn.ekc.test/node/\(node)".withCString { uri in
            node.withCString { name in
                plan.common_name = name
                plan.uri = uri
                change(&plan)
                return NodeFolder.pem { cs_certificate_issue(key, issuer, request.certificateRequest, &plan, $0, $1) }
            }
        }
        return try #require(pem)
    }
}

/// What sessions do with arrays, for tests.
extension TLSSession {
    convenience init(_ context: TLSContext, role: Role, expected: NodeID? = nil) {
        self.init(context, role: role, expected: expected, at: Clocks.wall())
    }

    func receive(_ bytes: [UInt8]) throws(TLSFault) {
        try bytes.withUnsafeBytes { bytes in Result { () throws(TLSFault) in try receive(bytes) } }.get()
    }

    func write(_ bytes: [UInt8]) throws(TLSFault) {
        try bytes.withUnsafeBytes { bytes in Result { () throws(TLSFault) in try write(bytes) } }.get()
    }

    /// All bytes for the network.
    func drainAll() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: pending)
        let count = bytes.withUnsafeMutableBytes { drain(into: $0) }
        return Array(bytes.prefix(count))
    }

    /// All plain bytes that are there.
    func readAll() throws(TLSFault) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let read = buffer.withUnsafeMutableBytes { bytes in
                Result { () throws(TLSFault) in try self.read(into: bytes) }
            }
            guard let count = try read.get(), count > 0 else { return all }
            all += buffer.prefix(count)
        }
    }

    /// Moves bytes both ways until nothing moves. Returns the first fault of each end.
    static func shake(_ client: TLSSession, _ server: TLSSession) -> (client: TLSFault?, server: TLSFault?) {
        var faults: (client: TLSFault?, server: TLSFault?) = (nil, nil)
        func move(_ from: TLSSession, _ to: TLSSession) -> (moved: Bool, fault: TLSFault?) {
            let bytes = from.drainAll()
            do throws(TLSFault) {
                if !bytes.isEmpty { try to.receive(bytes) }
                try to.advance()
                _ = try to.readAll()
                return (!bytes.isEmpty, nil)
            } catch { return (!bytes.isEmpty, error) }
        }
        try? client.advance()
        for _ in 0..<20 {
            let there = move(client, server)
            let back = move(server, client)
            faults = (faults.client ?? back.fault, faults.server ?? there.fault)
            if !there.moved && !back.moved { break }
        }
        return faults
    }
}

/// A TLS ClientHello taken apart, to be put together otherwise (RFC 8446 §4.1.2).
struct ClientHello {
    /// From the version to the end of the session id.
    private var head: [UInt8]
    var cipherSuites: [UInt16]
    /// In their order: type and content.
    var extensions: [(type: UInt16, content: [UInt8])]

    static let alpn: UInt16 = 16
    static let supportedVersions: UInt16 = 43

    init(_ record: [UInt8]) {
        var place = 9 + 34
        place += 1 + Int(record[place])
        head = Array(record[9..<place])
        func number() -> Int {
            defer { place += 2 }
            return Int(record[place]) << 8 | Int(record[place + 1])
        }
        cipherSuites = (0..<number() / 2).map { _ in UInt16(number()) }
        place += 1 + Int(record[place])
        extensions = []
        let end = number() + place
        while place < end {
            let type = UInt16(number())
            let count = number()
            extensions.append((type, Array(record[place..<place + count])))
            place += count
        }
    }

    /// The hello in a record of its own.
    var record: [UInt8] {
        func sized(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes }
        func pair(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }
        let body =
            head + sized(cipherSuites.flatMap(pair)) + [1, 0]
            + sized(extensions.flatMap { pair($0.type) + sized($0.content) })
        return [22, 3, 1] + sized([1, 0] + sized(body))
    }
}
