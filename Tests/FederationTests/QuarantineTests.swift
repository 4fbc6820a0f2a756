import FederationTestKit
import Glibc
import Testing

@testable import Federation

/// Ends the process when it meets the message that it cannot bear; counts the others.
private final class FragileApplication: Application {
    let isMended: Bool
    let version = Monitor<UInt64>(.max)
    let log = Monitor<[String]>([])

    init(isMended: Bool = false) { self.isMended = isMended }

    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        if envelope.body.bytes == [66], !isMended { fatalError("a message that this release cannot bear") }
        if envelope.body.bytes == [77], version.changeQuietly({ $0 }) < 2 { throw Rejection("does-not-fit") }
        if envelope.body.bytes == [88] { throw Rejection("not-wanted") }
        try transaction.put(.meta, Array("applied/\(envelope.header.id.low)".utf8), [1])
    }

    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {
        log.change { $0.append("applied \(envelope.header.id.low)") }
    }

    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {
        log.change { $0.append("rejected \(envelope.header.id.low) \(code)") }
    }

    func held(
        _ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        log.change { $0.append("held \(envelope.header.id.low) \(reason.rawValue)") }
    }

    var told: [String] { log.changeQuietly { $0.filter { !$0.hasPrefix("applied") } } }
    func hears(_ line: String) -> Bool {
        log.wait(milliseconds: 10_000, until: { $0.contains(line) }, then: { _ in true }) ?? false
    }
}

@Suite("What cannot be applied is held, and its lane goes on", .serialized)
struct QuarantineTests {
    private func send(_ bytes: [[UInt8]], from node: FederationNode, startingAt id: UInt64 = 0) throws {
        let target = try #require(NodeID("centre"))
        for (index, body) in bytes.enumerated() {
            try node.store.write { transaction in
                try node.outbox.send(
                    .escalation, id: ID128(high: 5, low: id + UInt64(index)), to: target,
                    body: EnvelopeBody(bytes: body), in: transaction)
            }
        }
    }

    private func applied(_ node: FederationNode) throws -> Int {
        try node.store.read { transaction throws(StoreError) in
            var count = 0
            try transaction.scan(.meta, from: Array("applied/".utf8)) { key, _ in
                guard Array(key).starts(with: Array("applied/".utf8)) else { return false }
                count += 1
                return true
            }
            return count
        }
    }

    private func held(_ node: FederationNode) throws -> [(number: UInt64, row: QuarantineRow)] {
        try node.store.read { transaction throws(StoreError) in
            try Quarantine.list(limit: 10, .held, in: transaction)
        }
    }

    @Test("A message that ends the process twice is held unopened, and the next 100 of its lane are applied")
    func endsTheProcess() async throws {
        var origin = FragileApplication()
        let federation = try TestFederation(["centre", "subject-77"]) { origin }
        defer { federation.stopAll() }
        // The centre's port is chosen once, in this process.
        try federation.start("centre")
        federation.stop("centre")
        let subject = try federation.start("subject-77")
        try send([[66]] + Array(repeating: [1], count: 100), from: subject)
        let folder = federation.place("centre").path
        try federation.setAddresses("centre")
        for _ in 1...2 {
            await #expect(processExitsWith: .failure) { [folder = folder as String] in
                _ = setrlimit(__rlimit_resource_t(4), [rlimit(rlim_cur: 0, rlim_max: 0)])
                let node = try FederationNode.open(NodeFolder(folder), tables: [], log: { _ in }) { _, _, _ in
                    FragileApplication()
                }
                node.start()
                sleep(20)
                exit(0)
            }
        }
        var centre = try federation.start("centre")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try applied(centre) == 100 }, "\(federation.log.all)")
        #expect(federation.log.wait(milliseconds: 5_000, for: "message-held"), "\(federation.log.all)")
        let kept = try held(centre)
        #expect(kept.count == 1)
        #expect(kept.first?.row.reason == .quarantined && kept.first?.row.tries == 2)
        #expect(kept.first?.row.header.id.low == 0)
        #expect(origin.hears("held 0 quarantined"))
        // The next release bears it.
        federation.stop("centre")
        let told = origin
        origin = FragileApplication(isMended: true)
        centre = try federation.start("centre")
        let number = try #require(kept.first?.number)
        let row = try centre.store.write(.essential) { [centre] transaction in
            try centre.inbox.decide(
                number, .release, by: "uid/0", why: "mended", in: transaction)
        }
        #expect(row.state == .released && row.why == "mended")
        #expect(try applied(centre) == 101)
        #expect(told.hears("applied 0"))
        #expect(try held(centre).isEmpty)
        #expect(throws: FederationError.self) {
            try centre.store.write(.essential) { [centre] transaction in
                _ = try centre.inbox.decide(
                    number, .return, by: "uid/0", why: "twice", in: transaction)
            }
        }
    }

    @Test("What needs a newer topology waits for it; what does not fit the newest is refused")
    func parked() throws {
        let application = FragileApplication()
        application.version.change { $0 = 1 }
        let federation = try TestFederation(["centre", "subject-77"]) { application }
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        // Only the subject has heard of it.
        subject.putInForce(try federation.published(version: 2))
        try send([[1], [77], [88], [1]], from: subject)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try applied(centre) == 2 }, "\(federation.log.all)")
        #expect(application.hears("held 1 parked"))
        #expect(application.hears("held 2 parked"))
        #expect(try held(centre).count == 2)
        for version in [1, 0] {
            #expect(throws: FederationError.self) { try federation.published(version: version) }
        }
        application.version.change { $0 = 2 }
        centre.putInForce(try federation.published(version: 2))
        #expect(try applied(centre) == 3)
        #expect(application.hears("applied 1"))
        #expect(application.hears("rejected 2 not-wanted"))
        #expect(try held(centre).isEmpty)
        // The link was not touched, and goes on.
        #expect(!federation.log.all.contains { $0.contains("topology-changed") })
        try send([[1]], from: subject, startingAt: 9)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try applied(centre) == 4 })
    }

    @Test("Tries outlive the process that counted them; a page that is not ours is begun anew")
    func attempts() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/attempts"
        let one = Attempt(position: 9, id: ID128(high: 1, low: 2))
        let other = Attempt(position: 10, id: ID128(high: 1, low: 3))
        do {
            let log = try FileAttempts(path)
            log.begins(one)
            log.begins(one)
            log.begins(other)
            log.ended(other)
        }
        do {
            let log = try FileAttempts(path)
            #expect(log.tries(one) == 2 && log.tries(other) == 0)
            for position in 1...200 { log.begins(Attempt(position: UInt64(position), id: other.id)) }
            #expect(log.tries(one) == 2, "the one with the most tries stays")
            log.ended(one)
        }
        #expect(try FileAttempts(path).tries(one) == 0)
        try Files.write([1, 2, 3], to: path)
        #expect(try FileAttempts(path).tries(one) == 0)
    }

    @Test("What is counted of one message is not cleared by another of the same id and position")
    func attemptsByStream() throws {
        let (here, peer) = (try #require(NodeID("centre")), try #require(NodeID("subject-77")))
        let attempts = MemoryAttempts()
        let headers = [(UInt64(1), Lane.appeals), (1, .control), (2, .appeals)].map { life, lane in
            EnvelopeHeader(
                stream: StreamID(
                    origin: peer, incarnation: Incarnation(bits: ID128(high: 0, low: life)), destination: here,
                    lane: lane),
                position: 3, kind: .escalation, id: ID128(high: 1, low: 1), created: Timestamp(milliseconds: 5),
                topologyVersion: 1)
        }
        attempts.begins(Attempt(headers[0]))
        for other in headers.dropFirst() {
            attempts.begins(Attempt(other))
            attempts.ended(Attempt(other))
        }
        #expect(attempts.tries(Attempt(headers[0])) == 1)
    }

    @Test("An origin that knows nothing of holding is told a rejection, and nothing waits")
    func olderOrigin() throws {
        let here = try #require(NodeID("centre"))
        let peer = try #require(NodeID("subject-77"))
        let life = Incarnation(bits: ID128(high: 3, low: 3))
        let attempts = MemoryAttempts()
        let id = ID128(high: 1, low: 1)
        let inbox = Inbox(
            node: here, application: FragileApplication(),
            sender: Outbox(node: here, incarnation: life, topologyVersion: { 1 }), attempts: attempts,
            topologyVersion: { 1 })
        let stream = StreamID(origin: peer, incarnation: life, destination: here, lane: .appeals)
        let header = EnvelopeHeader(
            stream: stream, position: 1, kind: .escalation, id: id, created: Timestamp(milliseconds: 5),
            topologyVersion: 1)
        for _ in 1...2 { attempts.begins(Attempt(header)) }
        let item = ReceivedBatch.Item(
            header: header,
            bytes: EnvelopeCodec.encode(Envelope(header: header, body: EnvelopeBody(bytes: [66]))))
        let engine = MemoryEngine()
        let job = WriteJob(.essential, nested: false) { transaction in
            _ = try inbox.perform(.receive(ReceivedBatch(incarnation: life, envelopes: [item])), in: transaction)
        } completion: { _ in
        }
        let report = try GroupCommit.run([job], on: engine, quota: 0, now: Timestamp(milliseconds: 7)).report
        let row = try #require(report.changes.first?.row)
        #expect(row.rejections == [RejectedPosition(position: 1, code: "quarantined")])
        #expect(row.held == 0 && row.applied == 1)
        let kept = try Store.read(engine) { transaction throws(StoreError) in
            try Quarantine.list(limit: 5, in: transaction)
        }
        #expect(kept.map(\.row.state) == [.returned])
    }
}
