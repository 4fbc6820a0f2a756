import Federation
import FederationTestKit
import Testing

@Suite("Signed metadata on its way, in virtual time")
struct TrustSpreadTests {
    private static let names = ["centre"] + (1...20).map { "subject-\($0 + 10)" } + ["behind"]

    /// A star, and one node that is behind another.
    private static func star(seed: UInt64 = 1) throws -> TrustWorld {
        let links = (1...20).map { ($0, 0) } + [(21, 1)]
        return try TrustWorld(names, links: links, seed: seed)
    }

    private static func id(_ name: String) throws -> NodeID { try #require(NodeID(name)) }

    @Test("A topology and a denial are everywhere within 5 s, over a relay too, though one in a hundred words is lost")
    func spread() throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            var world = try Self.star(seed: seed)
            world.loss = 10
            world.run(milliseconds: 1000)
            let text = TrustWorld.topology(Self.names, version: 2)
            try world.publish(
                try world.ceremony.proposal(text, after: world.state(world.centre), reason: "next", now: world.wall))
            world.run(milliseconds: 90_000)
            for id in world.sites.keys { #expect(world.state(id).topology.version == 2, "\(id)") }
            world.loss = 0
            let denied = try Self.id("subject-15")
            let published = world.now
            try world.deny(denied)
            world.run(milliseconds: 5000)
            let slowest = world.sites.values.compactMap { $0.commits.last?.at }.max() ?? .max
            for id in world.sites.keys where id != denied {
                #expect(world.state(id).denied.map(\.node) == [denied], "\(id)")
            }
            print("simulate: a denial is verified everywhere after \(slowest - published) ms, at 40 ms a word")
            #expect(slowest - published < 5000)
        }
    }

    @Test("One that slept through ten rotations of root returns by itself, in one walk")
    func sleeper() throws {
        var world = try Self.star()
        world.run(milliseconds: 1000)
        let sleeper = try Self.id("behind")
        world.cut(sleeper)
        for turn in 1...10 {
            world.skip(days: 30)
            try world.rotateRoot()
            world.run(milliseconds: 10_000)
            #expect(world.state(world.centre).metadata.root.common.version == UInt64(turn + 1))
        }
        #expect(world.state(sleeper).metadata.root.common.version == 1)
        #expect(world.state(try Self.id("subject-11")).metadata.root.common.version == 11)
        world.mend(sleeper)
        let begun = world.now
        world.run(milliseconds: 10_000)
        let site = try #require(world.sites[sleeper])
        #expect(world.state(sleeper).metadata.root.common.version == 11)
        #expect(site.commits.count == 1 && site.notes.isEmpty, "\(site.notes)")
        print("simulate: ten roots later it is back after \((site.commits.last?.at ?? 0) - begun) ms, at 40 ms a word")
    }

    @Test(
        "Cut off for 14 days a node keeps what it has; later it takes nothing stale, and comes back with what is fresh")
    func cutOff() throws {
        var world = try Self.star()
        world.run(milliseconds: 1000)
        let node = try Self.id("subject-12")
        world.cut(node)
        for day in 1...15 {
            world.skip(days: 1)
            try world.renew()
            world.run(milliseconds: 2000)
            let freshness = try #require(world.sites[node]?.freshness)
            #expect((freshness.age > Freshness.hardMilliseconds) == (day >= 14), "day \(day)")
            #expect(world.state(node).topology.version == 1)
        }
        #expect(try #require(world.sites[world.centre]).freshness.age < Freshness.warnMilliseconds)
        world.mend(node)
        world.run(milliseconds: 5000)
        #expect(try #require(world.sites[node]).freshness.age < 5000)
        // All are shown what was signed 15 days ago: it admits nothing.
        world.skip(days: 15)
        world.cut(node)
        try world.publish(
            try world.ceremony.proposal(
                TrustWorld.topology(Self.names, version: 2), after: world.state(world.centre), reason: "next",
                now: world.wall))
        world.run(milliseconds: 2000)
        world.skip(days: 15)
        world.mend(node)
        world.run(milliseconds: 2000)
        #expect(world.state(node).topology.version == 1)
        #expect(try #require(world.sites[node]).notes.contains("metadata-expired"))
    }

    @Test("Who has slept knows which neighbours have nothing newer, and believes none that says it has")
    func agreeing() throws {
        var world = try TrustWorld(
            ["centre", "subject-11", "subject-12", "subject-13"], links: [(1, 0), (2, 0), (2, 1), (2, 3), (3, 0)])
        let ids = world.sites.keys.sorted()
        let sleeper = ids[2]
        world.run(milliseconds: 1000)
        #expect(world.sites[sleeper]?.exchange.agreeing == [ids[0], ids[1], ids[3]])
        world.cut(sleeper)
        try world.publish(
            try world.ceremony.proposal(
                TrustWorld.topology(ids.map(\.text), version: 2), after: world.state(world.centre), reason: "next",
                now: world.wall))
        world.run(milliseconds: 1000)
        world.mend(sleeper)
        #expect(world.sites[sleeper]?.exchange.agreeing == [])
        var isCaughtUp = false
        for _ in 0..<200 {
            world.run(milliseconds: 10, tick: 10)
            isCaughtUp = world.state(sleeper).topology.version == 2
            // Whoever is behind agrees with nobody who is not.
            if !isCaughtUp { #expect(world.sites[sleeper]?.exchange.agreeing == []) }
        }
        #expect(isCaughtUp && world.sites[sleeper]?.exchange.agreeing == [ids[0], ids[1], ids[3]])
        world.step(sleeper) {
            $0.arrived(
                .have(TrustVersions(root: 1, timestamp: 1_000_000)), from: ids[3], now: $1, monotonic: $2)
        }
        #expect(world.sites[sleeper]?.exchange.agreeing == [ids[0], ids[1]])
    }

    /// What a neighbour may do wrong.
    enum Hostility: CaseIterable {
        case claimsTooMuch, sendsNothing, sendsRubbish, sendsMore, sendsOld, sendsCrumbs
    }

    @Test(
        "A hostile neighbour is asked less and less, moves nothing, and others are asked instead",
        arguments: Hostility.allCases)
    func hostile(_ kind: Hostility) throws {
        // Two ways to the centre: over the hostile one, and over an honest one.
        var world = try TrustWorld(
            ["centre", "subject-11", "subject-12", "subject-13"], links: [(1, 0), (2, 0), (3, 1), (3, 2)])
        let (hostile, victim) = (try Self.id("subject-11"), try Self.id("subject-13"))
        world.run(milliseconds: 1000)
        let old = try #require(world.sites[hostile]?.tree)
        world.sites[hostile]?.isAsleep = true
        for _ in 0..<300 {
            world.send(.have(TrustVersions(root: 1, timestamp: 1_000_000)), from: hostile, to: victim)
            world.step(victim) {
                $0.arrived(
                    .have(TrustVersions(root: 1, timestamp: 1_000_000)), from: hostile, now: $1, monotonic: $2)
            }
            let path = "metadata/timestamp.json"
            let answer: MetadataMessage? =
                switch kind {
                case .claimsTooMuch: .part(path: path, length: nil, offset: 0, bytes: [])
                case .sendsNothing: nil
                case .sendsRubbish: .part(path: path, length: 4, offset: 0, bytes: [1, 2, 3, 4])
                case .sendsMore: .part(path: path, length: 1 << 30, offset: 0, bytes: [1])
                case .sendsCrumbs: .part(path: path, length: 600, offset: 0, bytes: [0x7B])
                case .sendsOld:
                    .part(
                        path: path, length: UInt32(old[path]?.count ?? 0), offset: 0, bytes: old[path] ?? [])
                }
            if let answer {
                world.step(victim) { $0.arrived(answer, from: hostile, now: $1, monotonic: $2) }
            }
            world.run(milliseconds: 10_000)
        }
        let site = try #require(world.sites[victim])
        #expect(site.commits.isEmpty)
        // 50 minutes: the pauses grow to ten minutes.
        #expect(site.wants < 60, "\(site.wants)")
        #expect(!site.notes.isEmpty || kind == .sendsOld)
        try world.deny(try Self.id("subject-11"))
        world.run(milliseconds: 12_000)
        #expect(world.state(victim).denied.count == 1)
    }

    @Test("What is signed for the day after tomorrow is refused, and the floor under the clock does not move")
    func future() throws {
        var world = try Self.star()
        world.run(milliseconds: 1000)
        let node = try Self.id("subject-12")
        // The clock of this one is three days behind: the others are in its future.
        world.cut(node)
        world.skip(days: 3)
        try world.renew()
        world.mend(node)
        world.sites[node]?.notes = []
        let late = Timestamp(milliseconds: TrustWorld.start)
        let centre = world.centre
        let renewed = try #require(world.sites[centre]).tree
        world.step(node) { exchange, _, monotonic in
            exchange.arrived(
                .have(TrustVersions(root: 1, timestamp: 2)), from: centre, now: late, monotonic: monotonic)
        }
        world.step(node) { exchange, _, monotonic in
            let bytes = renewed["metadata/timestamp.json"] ?? []
            return exchange.arrived(
                .part(
                    path: "metadata/timestamp.json", length: UInt32(bytes.count), offset: 0, bytes: bytes),
                from: centre, now: late, monotonic: monotonic)
        }
        #expect(world.sites[node]?.notes == ["metadata-from-the-future"])
        #expect(world.sites[node]?.commits.isEmpty == true)
    }
}
