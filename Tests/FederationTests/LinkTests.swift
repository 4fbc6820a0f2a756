import CLinux
import Federation
import FederationTestKit
import Glibc
import Testing

/// Does nothing with messages.
final class SilentApplication: Application {
    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {}
    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError) {
    }
}

@Suite("Links: real sockets, TLS and LMDB", .serialized)
struct LinkTests {
    @Test("Messages cross, are applied once, and the origin lets go of them")
    func crosses() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        let centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        defer { federation.stopAll() }
        try subject.sendProbes(100, to: "centre", size: 3000)
        try subject.sendProbes(3, to: "centre", size: 200_000)
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 103 }, "\(federation.log.all)"
        )
        let drained = try TestFederation.wait(milliseconds: 5_000) {
            try self.drained(subject)
        }
        #expect(drained)
    }

    @Test("A relay carries what is for others, and what waits for a node that is dark stays")
    func relays() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        // Its file names the port that was chosen then.
        try federation.start("centre")
        federation.stop("centre")
        let centre = try federation.start("centre")
        let from = try federation.start("subject-77")
        defer { federation.stopAll() }
        try from.sendProbes(50, to: "subject-78")
        let waits = try TestFederation.wait(milliseconds: 10_000) {
            try !drained(centre)
        }
        #expect(waits)
        let before = Clocks.wall().milliseconds
        for node in [centre, from] {
            // Both wait for the whole of it: the relay for the node, the origin for its receipt.
            #expect(try TestFederation.wait(milliseconds: 10_000) { try rooms(node).first?.use.count == 50 })
            let room = try #require(try rooms(node).first)
            #expect(room.room.destination == NodeID("subject-78") && room.room.lane == .bulk)
            #expect(room.use.bytes > 50 * 500 && room.use.refill == 0)
            #expect(room.oldest.map { (before - 120_000...before).contains($0.milliseconds) } == true)
        }
        // Nobody takes the node away while they wait.
        let retired = String(decoding: federation.topology(version: 2), as: UTF8.self)
            .replacing(
                #""subject-78", "segment": "oszn", "state": "live""#,
                with: #""subject-78", "segment": "oszn", "state": "retired""#)
        for node in [centre, from] {
            let refusal = try #require(throws: FederationError.self) {
                try node.requireNoMail(under: try Topology.read(Array(retired.utf8)))
            }
            #expect(refusal.code == "node-has-mail" && refusal.detail.contains("subject-78"), "\(refusal)")
        }
        let to = try federation.start("subject-78")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try to.appliedProbes() == 50 }, "\(federation.log.all)")
        for node in [centre, from] {
            let drained = try TestFederation.wait(milliseconds: 5_000) {
                try self.drained(node)
            }
            #expect(drained)
            #expect(try rooms(node).allSatisfy { $0.use.count == 0 && $0.use.bytes == 0 && $0.oldest == nil })
        }
        #expect(try rooms(from).first?.use.refill ?? 0 > 50 * 500)
        federation.stop("subject-78")
        for node in [centre, from] { try node.requireNoMail(under: try Topology.read(Array(retired.utf8))) }
        try federation.publish(Array(retired.utf8))
        #expect(from.topology.version == 2)
    }

    @Test("A topology that leaves mail with nobody is said at the start")
    func mailForNobody() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        try federation.start("centre").sendProbes(3, to: "subject-77")
        federation.stop("centre")
        let place = federation.place("centre")
        let text = String(decoding: federation.topology(version: 1), as: UTF8.self)
        let retired = text.replacing(
            #""subject-77", "segment": "oszn", "state": "live""#,
            with: #""subject-77", "segment": "oszn", "state": "retired""#)
        for (file, said) in [(text, 0), (retired, 1)] {
            try TestTrust.change(place, topology: { _ in Array(file.utf8) })
            let log = Monitor<[String]>([])
            let node = try FederationNode.open(
                place, tables: [],
                log: { event in log.change { $0.append("\(event.code) \(event.peer?.text ?? "-") \(event.detail)") } }
            ) { _, _, _ in SilentApplication() }
            node.start()
            node.stop()
            let lines = log.changeQuietly { $0 }
            #expect(
                lines.filter { $0.hasPrefix("mail-for-nobody subject-77 3 envelopes") }.count == said, "\(lines)")
        }
    }

    private func rooms(_ node: FederationNode) throws -> [RoomSummary] {
        let limits = node.settings.limits.rooms
        return try node.store.read { transaction throws(StoreError) in
            try RoomSummary.list(limits: limits, in: transaction)
        }
    }

    @Test("A paused link stays down over a restart and from either end, says why, and goes on when it is resumed")
    func paused() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        var centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        defer { federation.stopAll() }
        func state(_ node: FederationNode) -> LinkStanding? { node.links.standings().first }
        func becomes(_ node: FederationNode, _ wanted: LinkStanding.State) -> Bool {
            TestFederation.wait(milliseconds: 10_000) { state(node)?.state == wanted }
        }
        #expect(becomes(centre, .running) && becomes(subject, .running))
        #expect(state(centre)?.dials == false && state(subject)?.dials == true && state(subject)?.why == nil)
        // By the end that accepts.
        let peer = try #require(NodeID("subject-77"))
        try centre.store.write(.essential) { transaction in
            try PausedLinks.put(peer, why: "works on the line", in: transaction)
        }
        centre.links.pause(peer, why: "works on the line")
        #expect(becomes(centre, .paused) && state(centre)?.why == "works on the line")
        #expect(
            becomes(subject, .dark) && state(subject)?.why?.contains("link-paused") == true, "\(federation.log.all)")
        try subject.sendProbes(5, to: "centre")
        federation.stop("centre")
        centre = try federation.start("centre")
        #expect(federation.log.wait(milliseconds: 10_000, for: "centre: link-paused subject-77"))
        #expect(!federation.log.all.contains { $0.contains("works on the line") })
        #expect(state(centre)?.state == .paused)
        #expect(try centre.appliedProbes() == 0)
        #expect(try centre.store.write(.essential) { try PausedLinks.delete(peer, in: $0) })
        centre.links.resume(peer)
        #expect(try TestFederation.wait(milliseconds: 20_000) { try centre.appliedProbes() == 5 })
        #expect(becomes(centre, .running) && becomes(subject, .running))
        // By the end that dials: it does not, and what is for the other waits.
        subject.links.pause(try #require(NodeID("centre")), why: "again")
        #expect(becomes(subject, .paused) && becomes(centre, .dark))
        try centre.sendProbes(5, to: "subject-77")
        #expect(try subject.appliedProbes() == 0)
        subject.links.resume(try #require(NodeID("centre")))
        #expect(try TestFederation.wait(milliseconds: 20_000) { try subject.appliedProbes() == 5 })
        // Nobody there: dark, since when, and why.
        federation.stop("centre")
        #expect(becomes(subject, .dark))
        #expect(
            TestFederation.wait(milliseconds: 10_000) { state(subject)?.why?.hasPrefix("unreachable") == true },
            "\(String(describing: state(subject)))")
    }

    @Test("While one destination is dark, everything for another is applied")
    func darkDestination() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        let centre = try federation.start("centre")
        let alive = try federation.start("subject-78")
        defer { federation.stopAll() }
        try centre.sendProbes(300, to: "subject-77", size: 20)
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
        #expect(
            try TestFederation.wait(milliseconds: 20_000) { try alive.appliedProbes() == 1000 }, "\(federation.log.all)"
        )
    }

    @Test("A node that is stopped and started again goes on where it was")
    func restarts() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        var centre = try federation.start("centre")
        let subject = try federation.start("subject-77")
        defer { federation.stopAll() }
        for round in 1...3 {
            try subject.sendProbes(40, to: "centre")
            #expect(
                try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 40 * round },
                "\(federation.log.all)")
            federation.stop("centre")
            centre = try federation.start("centre")
        }
        #expect(!federation.log.all.contains { $0.contains("node-rewound") })
    }

    private func copyStore(_ from: String, _ to: String) throws {
        try Files.makeFolder(to, mode: 0o700)
        try Files.write(try Files.read(from + "/data.mdb", maximum: 1 << 30), to: to + "/data.mdb", mode: 0o600)
    }

    private func drained(_ node: FederationNode) throws -> Bool {
        try node.store.read { transaction throws(StoreError) in
            try Sessions.streams(in: transaction).allSatisfy { $0.row.last == $0.row.base }
        }
    }

    @Test("A store put back from a copy is node-rewound, and a new incarnation is the way out", arguments: [0, 3, 80])
    func rewound(acceptedAfter: Int) throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let aside = federation.folder.path + "/aside"
        let store = federation.place("subject-77").storeFolder
        do {
            let centre = try federation.start("centre")
            let subject = try federation.start("subject-77")
            try subject.sendProbes(50, to: "centre")
            #expect(
                try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 50 && drained(subject) })
            try copyStore(store, aside)
            try subject.sendProbes(50, to: "centre")
            #expect(
                try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 100 && drained(subject) })
        }
        federation.stop("subject-77")
        federation.stop("centre")
        try copyStore(aside, store)
        // It may accept before it meets anybody.
        var subject = try federation.start("subject-77")
        try subject.sendProbes(acceptedAfter, to: "centre")
        var centre = try federation.start("centre")
        #expect(federation.log.wait(milliseconds: 10_000, for: "node-rewound"), "\(federation.log.all)")
        #expect(try centre.appliedProbes() == 100)
        // A restart changes nothing.
        federation.stop("subject-77")
        subject = try federation.start("subject-77")
        try subject.sendProbes(1, to: "centre")
        #expect(try !TestFederation.wait(milliseconds: 1_500) { try centre.appliedProbes() != 100 })
        federation.stop("subject-77")

        let outcome = try NewIncarnation.open(
            LMDBEngine(directory: store, tables: Table.exchange), node: subject.id,
            as: Incarnation(bits: Random.id128()),
            reason: "restored by mistake", actor: 0, now: Clocks.wall())
        #expect(outcome.reminted == acceptedAfter + 1)
        subject = try federation.start("subject-77")
        let all = UInt64(101 + acceptedAfter)
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == all && drained(subject) },
            "\(federation.log.all)")
        federation.stop("centre")
        centre = try federation.start("centre")
        try subject.sendProbes(5, to: "centre")
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == all + 5 },
            "\(federation.log.all)")
    }

    @Test("A new incarnation of a store that was never behind doubles nothing")
    func needlessIncarnation() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        var subject = try federation.start("subject-77")
        try subject.sendProbes(30, to: "centre")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 30 })
        federation.stop("subject-77")
        let store = federation.place("subject-77").storeFolder
        _ = try NewIncarnation.open(
            LMDBEngine(directory: store, tables: Table.exchange), node: subject.id,
            as: Incarnation(bits: Random.id128()),
            reason: "a test", actor: 0, now: Clocks.wall())
        subject = try federation.start("subject-77")
        try subject.sendProbes(7, to: "centre")
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 37 && drained(subject) },
            "\(federation.log.all)")
        #expect(try centre.appliedProbes() == 37)
    }

    /// Applies some, loses what came after a copy of its store was taken, and is put back as a new incarnation.
    private func putBack(refillBytes: Int?) throws -> (TestFederation, FederationNode) {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        if let refillBytes {
            var settings = try federation.place("subject-77").settings()
            settings.refillBytes = refillBytes
            try TrustFile.write(settings, to: federation.place("subject-77").path + "/node.json")
        }
        let aside = federation.folder.path + "/aside"
        let store = federation.place("centre").storeFolder
        do {
            let centre = try federation.start("centre")
            let subject = try federation.start("subject-77")
            try subject.sendProbes(20, to: "centre")
            #expect(
                try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 20 && drained(subject) })
            try copyStore(store, aside)
            try subject.sendProbes(200, to: "centre")
            #expect(
                try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 220 && drained(subject) })
        }
        federation.stop("centre")
        try copyStore(aside, store)
        var centre = try federation.start("centre")
        #expect(federation.log.wait(milliseconds: 10_000, for: "node-rewound"), "\(federation.log.all)")
        federation.stop("centre")
        _ = try NewIncarnation.open(
            LMDBEngine(directory: store, tables: Table.exchange), node: centre.id,
            as: Incarnation(bits: Random.id128()),
            reason: "disk replaced", actor: 0, now: Clocks.wall())
        centre = try federation.start("centre")
        try #require(federation.running["subject-77"]).sendProbes(5, to: "centre")
        return (federation, centre)
    }

    private func missing(_ node: FederationNode) throws -> UInt64 {
        try node.store.read { transaction throws(StoreError) in
            try Sessions.streams(in: transaction).reduce(0) { $0 + $1.row.missing }
        }
    }

    @Test("A destination that was put back gets from the origin what it has lost, once, and the lane goes on")
    func refilled() throws {
        let (federation, centre) = try putBack(refillBytes: nil)
        defer { federation.stopAll() }
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 225 }, "\(federation.log.all)"
        )
        #expect(try missing(centre) == 0)
        #expect(!federation.log.all.contains { $0.contains("gap-lost") || $0.contains("conservation-broken") })
        let gaps = try centre.store.read { transaction throws(StoreError) in try Gaps.list(in: transaction) }
        #expect(gaps.map(\.gap.lost) == [0] && gaps.allSatisfy { !$0.gap.isOpen })
    }

    @Test("What the origin has no more is gap-lost, counted and said, and the lane goes on")
    func gapLost() throws {
        // Room for some of the 200 that are lost.
        let (federation, centre) = try putBack(refillBytes: 40_000)
        defer { federation.stopAll() }
        #expect(federation.log.wait(milliseconds: 10_000, for: "gap-lost"), "\(federation.log.all)")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try missing(centre) == 0 })
        let (gap, row) = try centre.store.read { transaction throws(StoreError) in
            (
                try Gaps.list(in: transaction)[0],
                try Sessions.streams(in: transaction).first {
                    $0.id.origin.text == "subject-77" && $0.id.lane == .bulk
                }?.row
            )
        }
        let lost = try #require(row?.lostCount)
        #expect(lost > 0 && lost < 200 && gap.gap.lost == lost)
        #expect(try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 225 - lost })
        #expect(row?.imbalance == 0)
        #expect(!federation.log.all.contains { $0.contains("conservation-broken") })
    }

    @Test("A relay that is wiped loses nothing that passes through it")
    func wipedRelay() throws {
        let federation = try TestFederation(
            ["centre", "subject-77", "subject-78"], application: SilentApplication.init)
        defer { federation.stopAll() }
        try federation.start("centre")
        let from = try federation.start("subject-77")
        var to = try federation.start("subject-78")
        try from.sendProbes(40, to: "subject-78")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try to.appliedProbes() == 40 && drained(from) })
        federation.stop("subject-78")
        try from.sendProbes(60, to: "subject-78")
        let relay = try #require(federation.running["centre"])
        #expect(try TestFederation.wait(milliseconds: 10_000) { try !drained(relay) })
        federation.stop("centre")
        let store = federation.place("centre").storeFolder
        for file in ["data.mdb", "lock.mdb"] { #expect(unlink(store + "/" + file) == 0) }
        try federation.start("centre")
        to = try federation.start("subject-78")
        #expect(
            try TestFederation.wait(milliseconds: 10_000) { try to.appliedProbes() == 100 && drained(from) },
            "\(federation.log.all)")
    }

    @Test("What is not a link of ours is refused by its code, and the links that are go on")
    func strangers() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentApplication.init)
        defer { federation.stopAll() }
        let centre = try federation.start("centre")
        let port = try #require(centre.links.port)
        let subject = try federation.start("subject-77")
        for bytes in [
            Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), [0, 0, 0, 9, 1, 0, 0, 0, 0], [22, 3, 1, 255, 255, 1],
        ] {
            let descriptor = Glibc.socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let connected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            #expect(connected == 0)
            Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
            close(descriptor)
        }
        #expect(federation.log.wait(milliseconds: 5_000, for: "not-tls"), "\(federation.log.all)")
        try subject.sendProbes(10, to: "centre")
        #expect(try TestFederation.wait(milliseconds: 10_000) { try centre.appliedProbes() == 10 })
    }
}
