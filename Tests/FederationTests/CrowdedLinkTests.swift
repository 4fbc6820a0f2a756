import FederationTestKit
import Glibc
import Testing

@testable import Federation

/// Strangers at the port for links: they have so many seats, and the links of neighbours go on and come up beside them.
@Suite("A crowd at the port for links", .serialized)
struct CrowdedLinkTests {
    /// A stranger's connection; it is closed with the value.
    private final class Stranger {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)

        init(_ port: UInt16, saying words: String) throws {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let status = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            try #require(status == 0)
            send(descriptor, words, words.utf8.count, CInt(MSG_NOSIGNAL))
        }

        deinit { close(descriptor) }

        var isOpen: Bool {
            var byte: UInt8 = 0
            return recv(descriptor, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT)) < 0 && errno == EAGAIN
        }
    }

    @Test("Strangers beyond their seats give way, a link comes up among them and carries, one line a reason")
    func crowd() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        let centre = try federation.start("centre")
        defer { federation.stopAll() }
        let port = try #require(centre.links.port)
        var strangers: [Stranger] = []
        // 22 begins a handshake that never goes on; anything else is another protocol and has no seat for long.
        for round in 0..<3 * LinkLoop.maximumHandshakes {
            strangers.append(try Stranger(port, saying: ["", "\u{16}", "GET / HTTP/1.1\r\n\r\n"][round % 3]))
        }
        let subject = try federation.start("subject-77")
        try subject.store.write { transaction in
            try subject.outbox.send(
                .probe, id: ID128(high: 1, low: 1), to: centre.id, body: EnvelopeBody(bytes: [1]), in: transaction)
        }
        let applied = try TestFederation.wait(milliseconds: 10_000) {
            try centre.store.read { transaction throws(StoreError) in try Sessions.streams(in: transaction) }
                .contains { $0.id.origin == subject.id && $0.row.last == 1 }
        }
        #expect(applied, "\(federation.log.all)")
        #expect(centre.links.look { $0.newcomers.count } <= LinkLoop.maximumHandshakes)
        #expect(strangers.count { $0.isOpen } <= LinkLoop.maximumHandshakes)
        // Each of 384 ends for a reason that is told once; the deadline of those that still have seats comes later.
        for code in ["not-tls", "too-many-handshakes", "handshake-timeout"] {
            #expect(federation.log.all.count { $0.contains("centre: \(code) -") } <= 1)
        }
        #expect(federation.log.wait(milliseconds: 10_000, for: "centre: handshake-timeout"))
        #expect(TestFederation.wait(milliseconds: 10_000) { strangers.allSatisfy { !$0.isOpen } })
        #expect(centre.links.look { $0.newcomers.count } == 0)
    }
}
