import Federation
import FederationTestKit
import Glibc
import Testing

/// Counts entries, and notes when a message for this node took effect.
private final class WatchingApplication: Application {
    private let state = Monitor((entries: 0, times: [ID128: Int64]()))

    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        let now = Clocks.monotonicMicroseconds()
        state.change { state in
            if envelope.header.kind == .entry { state.entries += 1 } else { state.times[envelope.header.id] = now }
        }
    }

    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError) {
    }

    var entries: Int { state.changeQuietly { $0.entries } }
    func time(_ id: ID128) -> Int64? { state.changeQuietly { $0.times[id] } }
}

/// The goal of a second is asserted in virtual time (`TimingTests`) and printed here, on real sockets.
@Suite("A slow line, counted in time", .serialized, .enabled(if: getenv("EKC_SLOW") != nil))
struct SlowLineTests {
    @Test("An appeal behind a full catch-up on 1 Mbit/s, real sockets, TLS and LMDB")
    func slowLine() throws {
        let watching = WatchingApplication()
        let federation = try TestFederation(["centre", "subject-77"], application: { watching })
        let centre = try federation.start("centre")
        defer { federation.stopAll() }
        let everyone = NodeID.everyone
        let jobs = (0..<2500).map { number in
            WriteJob(.intake) { transaction in
                try centre.outbox.send(
                    .entry, id: ID128(high: 8, low: UInt64(number)), to: everyone,
                    body: EnvelopeBody(bytes: Array(repeating: 7, count: 1100)), in: transaction)
            } completion: { _ in
            }
        }
        centre.store.writer.submit(jobs)
        let line = try SlowLine(to: try #require(centre.links.port), bytesPerSecond: 125_000)
        defer { line.end() }
        try federation.start("subject-77", dialling: line.port)
        #expect(TestFederation.wait(milliseconds: 20_000) { watching.entries > 200 }, "\(federation.log.all)")
        let subject = try #require(NodeID("subject-77"))
        var waited: [Int64] = []
        for number in 0..<10 {
            let id = ID128(high: 9, low: UInt64(number))
            let start = Clocks.monotonicMicroseconds()
            try centre.store.write { transaction in
                try centre.outbox.send(
                    .escalation, id: id, to: subject, body: EnvelopeBody(bytes: Array(repeating: 7, count: 4000)),
                    in: transaction)
            }
            let came = TestFederation.wait(milliseconds: 20_000) { watching.time(id) != nil }
            #expect(came, "\(federation.log.all)")
            waited.append(((watching.time(id) ?? 0) - start) / 1000)
            usleep(300_000)
        }
        let left = 2500 - watching.entries
        #expect(left > 0, "the catch-up must still be going on")
        print(
            "slow line: 10 appeals behind \(left) entries on 1 Mbit/s waited \(waited.sorted()) ms; goal: within 1000")
        federation.stopAll()
    }
}
