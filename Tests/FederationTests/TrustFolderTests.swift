import FederationTestKit
import Foundation
import Testing

@testable import Federation

/// A node's folder of trust: what a crash, a courier and a curious neighbour leave of it.
@Suite("A folder of trust")
struct TrustFolderTests {
    private let folder: TemporaryFolder
    private let old: SignedFederation
    private let next: SignedFederation
    private let centre: NodeFolder

    private static func topology(_ version: Int) -> [UInt8] { TrustFolderTests.text(version) }

    private static func text(_ version: Int) -> [UInt8] {
        Array(
            """
            {"format": 2, "version": \(version), "federation": "ekc.test",
             "segments": [{"id": "centre", "profile": "tls13"}],
             "nodes": [{"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:0"]}],
             "rights": [
               {"from": ["centre"], "to": ["centre"], "kinds": ["escalation", "status", "topology", "entry", "probe"]}],
             "tenancies": [], "homes": [], "special": [], "links": []}
            """.utf8)
    }

    init() throws {
        folder = try TemporaryFolder()
        centre = NodeFolder(folder.path + "/centre")
        try Files.makeFolder(centre.path + "/keys", mode: 0o700)
        let ceremony = try TestTrust.ceremony()
        let now = Clocks.wall()
        old = try ceremony.first(Self.topology(1), answers: [], pins: nil, centre: centre, now: now)
        next = try Publication.following(
            old.metadata, old, try ceremony.proposal(Self.topology(2), after: old, reason: "next", now: now),
            snapshot: SigningKey.read(centre.snapshotKey), timestamp: SigningKey.read(centre.timestampKey), now: now
        ).state
    }

    private func place(_ name: String) -> TrustFolder { TrustFolder(folder.path + "/" + name) }

    @Test(
        "Killed between any two files of a commit, a node goes by the older state or by the newer, never by a mixture")
    func killed() throws {
        let before = TrustFolder.tree(of: old)
        let news = TrustFolder.tree(of: next).filter { before[$0.key] != $0.value }
        let timestamp = "metadata/timestamp.json"
        let order = news.keys.filter { $0 != timestamp }.sorted() + [timestamp]
        #expect(order.count == 4, "snapshot, targets, topology, timestamp: \(order)")
        for count in 0...order.count {
            let place = place("killed-\(count)")
            try place.commit(old)
            for file in order.prefix(count) {
                let path = place.path + "/" + file
                try FileManager.default.createDirectory(
                    atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
                try Files.write(news[file] ?? [], to: path)
                // The next one was being written.
                try Files.write([1, 2, 3], to: path + "x.new")
            }
            let loaded = try place.load()
            #expect(loaded.inForce.topology.version == (count == order.count ? 2 : 1))
            // It goes on from there.
            try place.commit(next)
            #expect(try place.load().inForce.topology.version == 2)
            let left = try FileManager.default.subpathsOfDirectory(atPath: place.path)
            #expect(left.allSatisfy { !$0.hasSuffix(".new") }, "\(left)")
            #expect(left.filter { $0.hasSuffix(".json") }.count == TrustFolder.tree(of: next).count, "\(left)")
        }
    }

    @Test("A folder that is cut anywhere is refused whole, with the way back")
    func damaged() throws {
        for (file, bytes) in TrustFolder.tree(of: old) {
            for count in [0, 1, bytes.count / 2, bytes.count - 2] {
                let place = place("cut")
                try? FileManager.default.removeItem(atPath: place.path)
                try place.commit(old)
                try Files.write(Array(bytes.prefix(count)), to: place.path + "/" + file)
                let error = #expect(throws: FederationError.self, "\(file) at \(count)") { try place.load() }
                #expect(error?.code == "trust-damaged" && error?.remedy.contains("ekc node trust") == true, "\(file)")
            }
        }
        #expect(#expect(throws: FederationError.self) { try place("nothing").load() }?.code == "not-trusting")
    }

    @Test("Nothing but files of the tree is served, whatever is asked for")
    func served() throws {
        let place = place("served")
        try place.commit(old)
        try Files.write([1], to: folder.path + "/secret")
        try Files.write([1], to: place.path + "/freshness.json")
        #expect(place.serve("metadata/timestamp.json", maximum: 1 << 20) == old.metadata.timestamp?.bytes)
        #expect(place.serve("metadata/timestamp.json", maximum: 10) == nil)
        for name in [
            "", "/", "metadata", "metadata/", "metadata//timestamp.json", "metadata/../freshness.json",
            "metadata/../../secret", "../secret", "/etc/passwd", "freshness.json", "metadata/./timestamp.json",
            "targets/..", "metadata/timestamp.json\0", "metadata/" + String(repeating: "a", count: 600),
        ] {
            #expect(place.serve(name, maximum: 1 << 20) == nil, "\(name)")
        }
    }

    @Test("What a courier brings is walked like anything else: older, stale, of strangers, or of nobody known")
    func courier() throws {
        let now = Clocks.wall()
        let (node, tree) = (place("node"), place("tree"))
        try tree.commit(old)
        #expect(try node.install(from: tree, anchor: nil, now: now).topology.version == 1)
        let newer = place("newer")
        try newer.commit(next)
        #expect(try node.install(from: newer, anchor: nil, now: now).topology.version == 2)
        let back = #expect(throws: FederationError.self) { try node.install(from: tree, anchor: nil, now: now) }
        #expect(back?.code == "metadata-rollback")
        let late = now.advanced(byMilliseconds: 15 * 86_400_000)
        let unused = self.place("late")
        let stale = #expect(throws: FederationError.self) { try unused.install(from: newer, anchor: nil, now: late) }
        #expect(stale?.code == "metadata-expired")
        // Another federation, with keys of its own.
        let others = try OpenCeremony(folder.path + "/others")
        let place = NodeFolder(folder.path + "/stranger")
        try Files.makeFolder(place.path + "/keys", mode: 0o700)
        let strange = try others.begin(Self.topology(3), answers: [], centre: place, now: now)
        let foreign = #expect(throws: FederationError.self) { try node.install(from: strange, anchor: nil, now: now) }
        #expect(foreign?.code.hasPrefix("metadata-") == true)
        let wrong = #expect(throws: FederationError.self) {
            try self.place("first").install(from: strange, anchor: old.metadata.root.bytes, now: now)
        }
        #expect(wrong?.code.hasPrefix("metadata-") == true)
        #expect(!Files.exists(self.place("first").path + "/metadata/1.root.json"), "of what was refused nothing stays")
        #expect(try node.load().inForce.topology.version == 2)
    }

    @Test("A courier's dates are held against what was verified here, and a timestamp's against its own life")
    func couriersDates() throws {
        let now = Clocks.wall()
        func code(_ place: TrustFolder, _ tree: TrustFolder, _ now: Timestamp) -> String? {
            #expect(throws: FederationError.self) { try place.install(from: tree, anchor: nil, now: now) }?.code
        }
        let tree = place("tree")
        try tree.commit(old)
        let days: (Int64) -> Timestamp = { now.advanced(byMilliseconds: $0 * 86_400_000) }
        // A clock that was set back makes nothing younger: this node has seen later times.
        let node = place("node")
        var freshness = Freshness(version: 1, signedAt: nil, now: now)
        freshness.floor = days(15).milliseconds
        try Files.makeFolder(node.path, mode: 0o755)
        try TrustFile.write(freshness, to: node.freshnessFile)
        #expect(code(node, tree, now) == "metadata-expired")
        // What was signed three days from now was signed by a false clock, or this one is.
        #expect(code(place("unused"), tree, days(-3)) == "metadata-from-the-future")
        // The key of the timestamp in wrong hands: good for a year.
        for (life, expected) in [(14, nil), (15, "timestamp-too-long"), (365, "timestamp-too-long")]
            as [(Int64, String?)]
        {
            let snapshot = try #require(old.metadata.timestamp?.snapshot)
            let long = RoleDocument.timestamp(version: 9, expires: days(life), signedAt: now, snapshot: snapshot)
            let key = try SigningKey.read(centre.timestampKey)
            let file = SignedText.file(long, [try key.signature(over: CanonicalJSON.encode(long))])
            try Files.write(file, to: tree.path + "/metadata/timestamp.json")
            let place = place("life-\(life)")
            if let expected {
                #expect(code(place, tree, now) == expected)
            } else {
                #expect(try place.install(from: tree, anchor: nil, now: now).topology.version == 1)
            }
        }
    }

    @Test("A root with other online keys leaves what is in force in force, until something newer is signed by them")
    func rotated() throws {
        let now = Clocks.wall()
        let place = place("rotated")
        try place.commit(old)
        let online = try SigningKey.create(folder.path + "/online.key")
        let ceremony = try TestTrust.ceremony()
        var proposal = Proposal(
            federation: "ekc.test", reason: "rotation", created: now, base: ["root": old.metadata.root.text],
            roles: [
                "root": try .unsigned(
                    RoleDocument.root(
                        version: 2, expires: now.advanced(byMilliseconds: 86_400_000),
                        roles: [
                            "root": old.metadata.root.role("root"), "targets": old.metadata.root.role("targets"),
                            "snapshot": TUFRole([online.key], threshold: 1),
                            "timestamp": TUFRole([online.key], threshold: 1),
                        ], reason: "rotation"), "root")
            ], files: [:])
        try ceremony.sign(&proposal)
        let published = try Publication.following(
            old.metadata, old, proposal, snapshot: online, timestamp: online, now: now)
        try place.keep(published.roots)
        let loaded = try place.load()
        #expect(loaded.inForce.topology.version == 1 && loaded.baseline.root.common.version == 2)
        #expect(loaded.baseline.timestamp == nil, "what the old keys signed counts for nothing under the new root")
        try place.commit(published.state)
        let after = try place.load()
        #expect(after.inForce.metadata.root.common.version == 2 && after.baseline.timestamp != nil)
    }

    @Test(
        "Age grows with every clock that moves forward, and shrinks with none",
        arguments: [0, -3_600_000, 7_200_000] as [Int64])
    func freshness(jump: Int64) throws {
        let start = Timestamp(milliseconds: 1_800_000_000_000)
        var freshness = Freshness(version: 7, signedAt: start.advanced(byMilliseconds: -5_000), now: start)
        freshness.passed(60_000, at: start.advanced(byMilliseconds: 60_000 + jump))
        #expect(freshness.age == 60_000)
        // Down for an hour, by a clock that somebody has set.
        freshness.resumed(at: start.advanced(byMilliseconds: 60_000 + jump + 3_600_000))
        #expect(freshness.age == 3_660_000)
        freshness.resumed(at: start)
        #expect(freshness.age >= 3_660_000)
        // What passes while the node runs passes for the floor, too.
        let floor = start.advanced(byMilliseconds: 55_000)
        #expect(freshness.time(start.advanced(byMilliseconds: -10_000)) == floor)
        let (same, newer) = (
            freshness.verified(7, signedAt: nil, now: start), freshness.verified(8, signedAt: nil, now: start)
        )
        #expect(!same && newer && freshness.age == 0)
        // Signed far ahead, again and again: the floor stays at the wall.
        for step in 9..<200 as Range<UInt64> {
            let ahead = freshness.time(start).advanced(byMilliseconds: 47 * 3_600_000)
            _ = freshness.verified(step, signedAt: ahead, now: start)
        }
        #expect(freshness.time(start).milliseconds <= start.milliseconds + Freshness.toleranceMilliseconds)
        // The clock is set back by a month: what is verified next takes nothing from the floor, and two days later what is
        // signed then is not from the future.
        let (back, known) = (start.advanced(byMilliseconds: -30 * 86_400_000), freshness.time(start))
        _ = freshness.verified(300, signedAt: known, now: back)
        freshness.passed(2 * 86_400_000, at: back.advanced(byMilliseconds: 2 * 86_400_000))
        #expect(freshness.time(back) == known.advanced(byMilliseconds: 2 * 86_400_000))
    }
}
