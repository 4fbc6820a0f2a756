import Federation
import FederationTestKit
import Testing

/// Does nothing with messages.
final class SilentApplication: Application {
    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {}
    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {}
}

@Suite("Links: real sockets, TLS and LMDB", .serialized)
struct LinkTests {
    private func send(_ count: Int, from node: FederationNode, to destination: String, size: Int = 500) throws {
        let target = try #require(NodeID(destination))
        for number in 0..<count {
            try node.store.write { transaction in
                try node.outbox.send(
                    .probe, id: ID128(high: 1, low: UInt64(number)), to: target,
                    body: EnvelopeBody(bytes: Array(repeating: 7, count: size)), in: transaction)
            }
        }
    }

    private func applied(_ node: FederationNode) throws -> UInt64 {
        try node.store.read { transaction throws(StoreError) in try transaction.number(Array("probes".utf8)) }
    }

    @Test("Messages cross, are applied once, and the origin lets go of them")
    func crosses() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        let centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        defer { federation.stopAll() }
        try send(100, from: subject, to: "centre", size: 3000)
        try send(3, from: subject, to: "centre", size: 200_000)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try applied(centre) == 103 }, "\(federation.log.all)")
        let drained = try TestFederation.wait(milliseconds: 5_000) {
            try subject.store.read { transaction throws(StoreError) in try transaction.count(.outbox) } == 0
        }
        #expect(drained)
    }

    @Test("A relay carries what is for others, and what waits for a node that is dark stays")
    func relays() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        let centre = try federation.start("centre")
        let from = try federation.start("subject-77")
        defer { federation.stopAll() }
        try send(50, from: from, to: "subject-78")
        let waits = try TestFederation.wait(milliseconds: 10_000) {
            try centre.store.read { transaction throws(StoreError) in try transaction.count(.outbox) } > 0
        }
        #expect(waits)
        let to = try federation.start("subject-78")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try applied(to) == 50 }, "\(federation.log.all)")
        for node in [centre, from] {
            let drained = try TestFederation.wait(milliseconds: 5_000) {
                try node.store.read { transaction throws(StoreError) in try transaction.count(.outbox) } == 0
            }
            #expect(drained)
        }
    }

    @Test("While one destination is dark, everything for another is applied")
    func darkDestination() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        let centre = try federation.start("centre")
        let alive = try federation.start("subject-78")
        defer { federation.stopAll() }
        try send(300, from: centre, to: "subject-77", size: 20)
        let jobs = try (0..<1000).map { number in
            let target = try #require(NodeID("subject-78"))
            return WriteJob(.intake) { transaction in
                try centre.outbox.send(
                    .probe, id: ID128(high: 2, low: UInt64(number)), to: target, body: EnvelopeBody(bytes: [1]),
                    in: transaction)
            } completion: { _ in
            }
        }
        centre.store.writer.submit(jobs)
        #expect(try TestFederation.wait(milliseconds: 20_000) { try applied(alive) == 1000 }, "\(federation.log.all)")
    }

    @Test("A node that is stopped and started again goes on where it was")
    func restarts() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        var centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        defer { federation.stopAll() }
        for round in 1...3 {
            try send(40, from: subject, to: "centre")
            #expect(
                try TestFederation.wait(milliseconds: 10_000) { try applied(centre) == 40 * round },
                "\(federation.log.all)")
            federation.stop("centre")
            centre = try federation.start("centre")
        }
        #expect(!federation.log.all.contains { $0.contains("node-rewound") })
    }
}
