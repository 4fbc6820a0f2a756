import CCurl
import CLinux
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation
@testable import Node

/// A centre and the home of OSZN in 77, with all their listeners, asked over HTTP as channels, desks and administrators
/// ask.
final class TwoNodes {
    let folder: TemporaryFolder
    private(set) var running: [String: RunningNode] = [:]
    private var port: UInt16 = 0

    private let change: (String) -> String
    private let pins: Pins

    /// - Parameter change: of the topology's text.
    init(change: @escaping (String) -> String = { $0 }) throws {
        self.change = change
        folder = try TemporaryFolder()
        var pins = Pins(federation: "ekc.test")
        for (name, segment) in [("centre", "centre"), ("subject-77", "oszn")] {
            let authority = try Authority.create(
                folder.path + "/ca-\(segment)", segment: segment, federation: "ekc.test")
            let settings = NodeSettings(node: name, segment: segment, federation: "ekc.test", anyPorts: true)
            let place = NodeFolder(folder.path + "/" + name)
            let answer = try authority.issue(try place.create(settings), now: Clocks.wall())
            try place.install(answer)
            try pins.add(answer)
        }
        self.pins = pins
        try start("centre")
        try start("subject-77")
    }

    func place(_ name: String) -> NodeFolder { NodeFolder(folder.path + "/" + name) }

    func start(_ name: String) throws {
        let file = ArchitecturePaths.root + "/topology/two-nodes.json"
        let text = String(decoding: try Files.read(file, maximum: 1 << 20), as: UTF8.self)
        try TestTrust.put(
            Array(change(text).replacing(":7410", with: ":\(port)").utf8), pins, in: place(name))
        let node = try RunningNode(place(name))
        running[name] = node
        if let link = node.ready.link { port = link }
    }

    func stop(_ name: String) { running.removeValue(forKey: name)?.stop() }

    deinit { for node in running.values { node.stop() } }

    // MARK: Asking

    struct Answer {
        var status: Int
        var body: [UInt8]

        var code: String? {
            struct Told: Decodable { var code: String }
            return (try? JSONDecoder().decode(Told.self, from: Data(body)))?.code
        }

        func decoded<Value: Decodable>(_ type: Value.Type) throws -> Value {
            try JSONDecoder().decode(type, from: Data(body))
        }
    }

    func ask(
        _ port: UInt16?, _ method: String, _ path: String, token: String? = nil, key: String? = UUID().uuidString,
        _ body: String? = nil
    ) throws -> Answer {
        let headers = [token.map { "Authorization: Bearer \($0)" }, key.map { "Idempotency-Key: \($0)" }]
        let answer = try HTTPClient(base: "http://127.0.0.1:\(try #require(port))")
            .send(method, path, headers: headers.compactMap { $0 }, body: body.map { Array($0.utf8) })
        return Answer(status: answer.status, body: answer.body)
    }

    func ask(
        desk name: String, _ method: String, _ path: String, token: String? = nil, key: String? = UUID().uuidString,
        _ body: String? = nil
    ) throws -> Answer {
        try ask(running[name]?.ready.operators, method, path, token: token, key: key, body)
    }

    /// Adds an account by the admin socket; the token is the name, repeated.
    func add(_ place: String, _ path: String, _ fields: String, token: String) throws -> Answer {
        let digest = Digest.blake2b256(Array(token.utf8)).withBytes { Hex.encode($0) }
        let answer = try NodeCommands.client(self.place(place).path)
            .send("POST", path, body: Array("{\(fields), \"tokenDigest\": \"\(digest)\"}".utf8))
        return Answer(status: answer.status, body: answer.body)
    }

    func people() throws {
        for (place, path, fields, token) in [
            ("centre", "/api/v1/channels", #""name": "site", "kind": "form""#, "tsite"),
            ("centre", "/api/v1/operators", #""name": "anna", "line": "1", "organisation": "PFR""#, "tanna"),
            ("subject-77", "/api/v1/operators", #""name": "boris", "line": "2", "tenancy": "OSZN/77""#, "tboris"),
        ] {
            let answer = try add(place, path, fields, token: token)
            #expect(answer.status == 200, "\(String(decoding: answer.body, as: UTF8.self))")
        }
    }

    static let appeal = """
        {"organisation": "OSZN", "subject": "77",
         "history": [{"at": "2026-11-24T09:15:00.123Z", "author": "citizen", "text": "Когда придёт пособие?"}]}
        """

    func submit(key: String = UUID().uuidString, _ body: String = TwoNodes.appeal) throws -> Answer {
        try ask(running["centre"]?.ready.channels, "POST", "/api/v1/appeals", token: "tsite", key: key, body)
    }
}

enum ArchitecturePaths {
    /// The package's folder: this file is two below it.
    static var root: String { #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() }
}

/// A desk's events, read as they come.
final class OpenStream {
    private let socket = Glibc.socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    private(set) var said = ""

    init(_ port: UInt16, token: String) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0)
        let request = "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(token)\r\n\r\n"
        try #require(send(socket, request, request.utf8.count, 0) == request.utf8.count)
    }

    deinit { close(socket) }

    func read(until part: String) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !said.contains(part) {
            var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 10_000) > 0 else { return false }
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { return false }
            said += String(decoding: buffer[..<count], as: UTF8.self)
        }
        return true
    }
}
