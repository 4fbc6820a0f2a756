import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation
@testable import Node

/// What a disk may hold after a power cut: everything that was synced, and of what was written since any part, in sectors.
enum PowerCuts {
    static let sector = 512

    struct Image {
        var bytes: [UInt8]
        /// What clients were told before the cut.
        var through: Int
        var pending: Int
    }

    /// - Parameters:
    ///   - cut: events before it have happened; the one at it has begun.
    ///   - isHonest: false: a disk that says that it has synced, and has not.
    static func image(
        _ base: [UInt8], _ events: [DiskTrace.Event], cut: Int, isHonest: Bool = true, _ random: inout SeededRandom
    ) -> Image {
        var image = Image(bytes: base, through: 0, pending: 0)
        var pending: [(place: Int, bytes: [UInt8])] = []
        for event in events[..<cut] {
            switch event {
            case .write(let place, let bytes, isDurable: true) where isHonest: put(bytes, place, into: &image.bytes)
            case .write(let place, let bytes, _): pending.append((place, bytes))
            case .sync where !isHonest: break
            case .sync:
                for write in pending { put(write.bytes, write.place, into: &image.bytes) }
                pending = []
            case .told(let through): image.through = max(image.through, through)
            }
        }
        if cut < events.count, case .write(let place, let bytes, _) = events[cut] { pending.append((place, bytes)) }
        image.pending = pending.count
        // All of some, nothing of others, sectors of the rest.
        for write in pending {
            switch Int.random(in: 0..<4, using: &random) {
            case 0: break
            case 1: put(write.bytes, write.place, into: &image.bytes)
            default:
                var place = write.place
                while place < write.place + write.bytes.count {
                    let end = min((place / sector + 1) * sector, write.place + write.bytes.count)
                    if Bool.random(using: &random) {
                        put(Array(write.bytes[place - write.place..<end - write.place]), place, into: &image.bytes)
                    }
                    place = end
                }
            }
        }
        return image
    }

    private static func put(_ bytes: [UInt8], _ place: Int, into file: inout [UInt8]) {
        if file.count < place + bytes.count { file += [UInt8](repeating: 0, count: place + bytes.count - file.count) }
        file.replaceSubrange(place..<place + bytes.count, with: bytes)
    }

    /// Runs a node under strace, hands in messages of all sizes, and cuts it off at so many moments.
    static func run(images: Int, requests: Int, seed: UInt64, binary: String) throws {
        let pair = try ProcessFederation(binary: binary)
        let place = pair.place("subject-77")
        var settings = try place.settings()
        settings.reserveBytes = 1 << 18
        try TrustFile.write(settings, to: place.settingsFile)
        try pair.start("subject-77")
        try pair.probe(5, group: 1)
        pair.end("subject-77", SIGTERM)
        let base = try Files.read(place.storeFolder + "/data.mdb", maximum: 1 << 30)
        let trace = pair.folder.path + "/trace"
        try pair.start("subject-77", under: DiskTrace.options(trace))
        var random = SeededRandom(seed: seed)
        for _ in 0..<requests {
            let count = Int.random(in: 1...12, using: &random)
            let size = [40, 300, 1500, 3000, 20_000][Int.random(in: 0..<5, using: &random)]
            try pair.probe(count, group: Int.random(in: 1...4, using: &random), size: size)
        }
        pair.end("subject-77", SIGKILL)
        let events = try DiskTrace(trace, of: place.storeFolder + "/data.mdb").events
        var told = (told: 0, syncs: 0, writes: 0, durable: 0)
        for event in events {
            switch event {
            case .told: told.told += 1
            case .sync: told.syncs += 1
            case .write(_, _, let isDurable):
                told.writes += 1
                if isDurable { told.durable += 1 }
            }
        }
        try #require(told.told == requests && told.syncs >= requests && told.durable >= requests, "\(told)")
        var (torn, most) = (0, 0)
        for number in 0..<images {
            let cut = Int.random(in: 0...events.count, using: &random)
            let image = PowerCuts.image(base, events, cut: cut, &random)
            if image.pending > 0 { torn += 1 }
            most = max(most, image.through)
            let faults = try faults(of: image)
            #expect(faults == [], "image \(number), cut at event \(cut) of \(events.count)")
        }
        // The check can fail: a disk that lies is found out.
        let lies = try (0..<10).count { _ in
            let cut = Int.random(in: events.count / 2...events.count, using: &random)
            return try !faults(of: PowerCuts.image(base, events, cut: cut, isHonest: false, &random)).isEmpty
        }
        #expect(lies >= 5)
        print(
            "power cuts: \(images) images of seed \(seed), \(torn) with writes that were not synced (\(told.writes) writes, "
                + "\(told.durable) of them durable at once, \(told.syncs) syncs, \(told.told) answers, through \(most))"
        )
        #expect(torn > images / 4 && most > 10)
    }

    /// What is wrong with an image; nothing more is asked of one that is named as damaged.
    private static func faults(of image: Image) throws -> [String] {
        let folder = try TemporaryFolder()
        try Files.write(image.bytes, to: folder.path + "/data.mdb")
        try Files.write(Array("1".utf8), to: folder.path + "/running")
        let report = try StoreVerifier.verify(directory: folder.path)
        guard report.damage.isEmpty, report.hasDigests else { return ["\(report.damage)"] }
        let store = try Store.open(
            directory: folder.path, tables: ContactCentreTables.all, newIncarnation: Incarnation(bits: Random.id128()))
        defer { store.close() }
        guard store.health.damage == nil, store.mustBeVerified else {
            return ["\(String(describing: store.health.damage))"]
        }
        let through = try store.read { transaction throws(StoreError) in
            var through = 0
            for stream in try Sessions.streams(in: transaction) where stream.id.destination.text == "centre" {
                through = Int(stream.row.last)
                var position = stream.row.base + 1
                while position <= stream.row.last {
                    guard let pack = try Outbox.pack(holding: position, of: stream.row.ordinal, in: transaction) else {
                        return 0
                    }
                    position = pack.last + 1
                }
            }
            return through
        }
        guard through >= image.through else { return ["told \(image.through), there are \(through)"] }
        try store.write { transaction in try transaction.setNumber(Array("after".utf8), 1) }
        return try StoreVerifier.verify(directory: folder.path).damage.map { "after another commit: \($0)" }
    }
}

@Suite("Damage: power cuts", .serialized, .enabled(if: DiskTrace.isPossible, "strace cannot trace here"))
struct PowerCutTests {
    @Test("After a power cut at any of 60 moments the store opens, is sound, and has what was acknowledged")
    func cuts() throws { try PowerCuts.run(images: 60, requests: 15, seed: 3, binary: Binary.path) }
}

extension SlowTests {
    @Test("After a power cut at any of 400 moments the store opens, is sound, and has what was acknowledged")
    func powerCuts() throws {
        try #require(DiskTrace.isPossible)
        try PowerCuts.run(images: 400, requests: 80, seed: 11, binary: SlowTests.binary)
    }

    @Test("Each of 350 flipped bits is named by store verify, or harms nobody")
    func flips() throws {
        Flips.check(try Flips.run(350, seed: 12, binary: SlowTests.binary), 350, seed: 12)
    }
}
