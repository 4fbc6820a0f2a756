import CLinux
import CryptoShim
import FederationTestKit
import Foundation
import Glibc
import Testing

@testable import Federation

/// What only talks to itself is not proved: here the other end is the `openssl` command.
@Suite(
    "Links: a foreign TLS at the other end",
    .enabled(if: access("/usr/bin/openssl", X_OK) == 0, "apt-get install openssl"))
struct TLSForeignTests {
    private let fixture: TrustFixture
    private let folder: TemporaryFolder

    init() throws {
        fixture = try TrustFixture.shared.get()
        folder = try TemporaryFolder()
        try Files.write(
            Array(try fixture.reissue("subject-77", by: "ca-rogue") { _ in }.utf8), to: folder.path + "/rogue.crt")
        let plain = try fixture.reissue("subject-77", by: "ca-oszn") { $0.without_extended_usage = 1 }
        try Files.write(Array(plain.utf8), to: folder.path + "/plain.crt")
    }

    struct Foreign: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Nil: accepted.
        var code: String?
        /// Certificate of subject-77's key, or none.
        var certificate: String? = "link.crt"
        var options = "-tls1_3 -alpn ekc/1"
    }

    @Test(
        "A foreign client is accepted or refused by its code",
        arguments: [
            Foreign(testDescription: "as one of ours", code: nil),
            Foreign(testDescription: "no certificate", code: "no-certificate", certificate: nil),
            Foreign(
                testDescription: "another authority's certificate", code: "chain-refused", certificate: "rogue.crt"),
            Foreign(
                testDescription: "a certificate OpenSSL is content with", code: "certificate-lint:extended-key-usage",
                certificate: "plain.crt"),
            Foreign(testDescription: "no ALPN", code: "no-alpn", options: "-tls1_3"),
            Foreign(testDescription: "another ALPN", code: "no-alpn", options: "-tls1_3 -alpn h2,http/1.1"),
            Foreign(testDescription: "TLS 1.2", code: "wrong-version", options: "-tls1_2 -alpn ekc/1"),
            Foreign(
                testDescription: "another cipher", code: "wrong-cipher",
                options: "-tls1_3 -alpn ekc/1 -ciphersuites TLS_AES_128_GCM_SHA256"),
            Foreign(
                testDescription: "another group", code: "wrong-cipher", options: "-tls1_3 -alpn ekc/1 -groups P-521"),
        ])
    func client(_ foreign: Foreign) throws {
        let listener = try UnixSocket.listening(at: folder.path + "/link")
        let tool = try run("s_client", foreign, ["-unix", folder.path + "/link", "-quiet"])
        defer { tool.stop() }
        let socket = try listener.accepted()
        let session = TLSSession(try fixture.context("centre"), role: .server)
        #expect(try shake(session, socket)?.code == foreign.code)
        guard foreign.code == nil else { return }
        #expect(session.state == .open(try #require(NodeID("subject-77"))))
        tool.say("from afar\n")
        var heard: [UInt8] = []
        while heard.count < 10, let bytes = try socket.receive() {
            try session.receive(bytes)
            heard += try session.readAll()
        }
        #expect(String(decoding: heard, as: UTF8.self) == "from afar\n")
    }

    @Test(
        "A foreign server is accepted or refused by its code",
        arguments: [
            Foreign(testDescription: "as one of ours", code: nil),
            Foreign(
                testDescription: "another authority's certificate", code: "chain-refused", certificate: "rogue.crt"),
            Foreign(
                testDescription: "a certificate OpenSSL is content with", code: "certificate-lint:extended-key-usage",
                certificate: "plain.crt"),
            Foreign(testDescription: "no ALPN", code: "no-alpn", options: "-tls1_3"),
            Foreign(testDescription: "TLS 1.2", code: "peer-refused", options: "-tls1_2 -alpn ekc/1"),
            Foreign(
                testDescription: "another cipher", code: "peer-refused",
                options: "-tls1_3 -alpn ekc/1 -ciphersuites TLS_AES_128_GCM_SHA256"),
        ])
    func server(_ foreign: Foreign) throws {
        let tool = try run(
            "s_server", foreign, ["-unix", folder.path + "/link", "-naccept", "1", "-quiet", "-Verify", "1"])
        defer { tool.stop() }
        let socket = try UnixSocket.connected(to: folder.path + "/link")
        let session = TLSSession(try fixture.context("centre"), role: .client, expected: NodeID("subject-77"))
        #expect(try shake(session, socket)?.code == foreign.code)
        if foreign.code == nil { #expect(session.state == .open(try #require(NodeID("subject-77")))) }
    }

    @Test(
        "openssl verify is content with a certificate of ours, as client and as server",
        arguments: ["client", "server"])
    func verifies(_ role: String) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = [
            "verify", "-x509_strict", "-purpose", "ssl" + role, "-CAfile", fixture.folder.path + "/ca-oszn/ca.crt",
            fixture.folder.path + "/subject-77/keys/link.crt",
        ]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    // MARK: The two ends

    /// Drives a session over a socket until it is open and the peer has had its say, or a fault.
    private func shake(_ session: TLSSession, _ socket: borrowing UnixSocket) throws -> TLSFault? {
        do {
            try session.advance()
            while session.state == .handshaking {
                try socket.send(session.drainAll())
                guard let bytes = try socket.receive() else { return TLSFault("ended", "without a word") }
                try session.receive(bytes)
                try session.advance()
            }
            try socket.send(session.drainAll())
            return nil
        } catch let fault as TLSFault {
            try? socket.send(session.drainAll())
            return fault
        }
    }

    private func run(_ command: String, _ foreign: Foreign, _ more: [String]) throws -> Tool {
        var arguments = [command] + foreign.options.split(separator: " ").map(String.init)
        if let certificate = foreign.certificate {
            let keys = fixture.folder.path + "/subject-77/keys"
            arguments += ["-cert", certificate == "link.crt" ? keys + "/link.crt" : folder.path + "/" + certificate]
            arguments += ["-key", keys + "/link.key"]
        }
        return try Tool(arguments + ["-CAfile", fixture.folder.path + "/ca-centre/ca.crt"] + more)
    }

    /// The command, with its input in our hand; gone with the test.
    private final class Tool {
        private let process = Process()
        private let input = Pipe()

        init(_ arguments: [String]) throws {
            process.executableURL = URL(filePath: "/usr/bin/openssl")
            process.arguments = arguments
            process.standardInput = input
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
        }

        func say(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

        func stop() {
            process.terminate()
            process.waitUntilExit()
        }
    }
}

/// A blocking Unix socket that waits ten seconds at most.
private struct UnixSocket: ~Copyable {
    struct Failed: Error { var call: String, error: CInt }

    private let descriptor: CInt

    private init(_ descriptor: CInt) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    static func listening(at path: String) throws -> UnixSocket {
        let socket = UnixSocket(Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0))
        let status = withAddress(path) { Glibc.bind(socket.descriptor, $0, $1) }
        guard status == 0, listen(socket.descriptor, 1) == 0 else { throw Failed(call: "listen", error: errno) }
        return socket
    }

    /// Tries again until the other end listens.
    static func connected(to path: String) throws -> UnixSocket {
        let deadline = Clocks.monotonicMicroseconds() + 10_000_000
        while true {
            let socket = UnixSocket(Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0))
            if withAddress(path, { Glibc.connect(socket.descriptor, $0, $1) }) == 0 { return socket }
            guard Clocks.monotonicMicroseconds() < deadline else { throw Failed(call: "connect", error: errno) }
            usleep(2_000)
        }
    }

    func accepted() throws -> UnixSocket {
        let other = accept(descriptor, nil, nil)
        guard other >= 0 else { throw Failed(call: "accept", error: errno) }
        return UnixSocket(other)
    }

    func send(_ bytes: [UInt8]) throws {
        guard Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count else {
            throw Failed(call: "send", error: errno)
        }
    }

    /// Nil at the end.
    func receive() throws -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 1 << 14)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw Failed(call: "recv", error: errno) }
        return count == 0 ? nil : Array(bytes.prefix(count))
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
