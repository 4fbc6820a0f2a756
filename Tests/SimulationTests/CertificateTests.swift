import Federation
import FederationTestKit
import Testing

@Suite("Simulation: certificates that end")
struct CertificateTests {
    @Test(
        "Two clocks that disagree about the end lose nothing, double nothing, and find no store behind",
        arguments: 1...40 as ClosedRange<UInt64>)
    func disagreeing(seed: UInt64) {
        // The whole disagreement lies within the traffic: seconds stand for the minutes of real clocks.
        var scene = Scene(certificateEnds: ["region-a": 2, "region-b": 3])
        scene.clockAhead = ["relay": seed % 2 == 0 ? 1500 : -1500, "region-b": 700]
        let world = World(seed: seed, scene: scene)
        world.run(messages: 60)
        #expect(world.violations.isEmpty, "\(world.violations)")
        #expect(world.faults["certificate ended"] ?? 0 > 0)
    }

    @Test(
        "Who has slept past the end of its certificate hears by itself what is in force now; its appeals wait for a new one"
    )
    func sleeper() throws {
        let (relay, sleeper) = (try #require(NodeID("relay")), try #require(NodeID("region-a")))
        // Who signs timestamps is the node in the middle.
        let names = ["centre", "region-a", "region-b"]
        let world = World(seed: 1, scene: Scene(isCalm: true, hasTraps: false, certificateEnds: ["region-a": 600]))
        var trust = try TrustWorld(names, links: [(1, 0), (2, 0)])
        let hub = trust.centre
        trust.carries = { world.carriesMetadata($0 == hub ? relay : $0, $1 == hub ? relay : $1) }
        func live(seconds: Int64) {
            for _ in 0..<seconds * 2 {
                world.advance(to: world.now + 500)
                trust.run(milliseconds: 500)
            }
        }
        func send(_ number: UInt64, _ from: String, _ to: String) {
            world.send(.escalation, ID128(high: 9, low: number), from: from, to: to, at: world.now)
        }
        world.advance(to: 1_000)
        #expect(world.carriesPayload(sleeper, relay))
        send(1, "region-a", "centre")
        live(seconds: 2)
        #expect(world.latency.count == 1)
        // It sleeps for three weeks, and the others go on.
        trust.cut(sleeper)
        for day in 0..<21 {
            world.skip(seconds: 86_400)
            trust.skip(days: 1)
            try trust.renew()
            guard day == 10 else { continue }
            let text = TrustWorld.topology(names, version: 2)
            try trust.publish(
                try trust.ceremony.proposal(text, after: trust.state(hub), reason: "next", now: trust.wall))
        }
        world.lookAtCertificates()
        world.advance(to: world.now + 2_000)
        trust.mend(sleeper)
        send(2, "region-a", "centre")
        send(3, "centre", "region-a")
        send(4, "region-b", "centre")
        live(seconds: 30)
        #expect(trust.state(sleeper).topology.version == 2)
        #expect(world.carriesMetadata(sleeper, relay) && !world.carriesPayload(sleeper, relay))
        #expect(Set(world.latency.keys.map(\.low)) == [1, 4])
        world.renew("region-a")
        live(seconds: 5)
        #expect(world.carriesPayload(sleeper, relay))
        #expect(Set(world.latency.keys.map(\.low)) == [1, 2, 3, 4])
        // And beyond thirty days nobody takes it.
        world.scene.certificateEnds["region-a"] = world.now / 1000
        world.lookAtCertificates()
        live(seconds: 5)
        #expect(world.carriesMetadata(sleeper, relay) && !world.carriesPayload(sleeper, relay))
        world.skip(seconds: 31 * 86_400)
        world.lookAtCertificates()
        live(seconds: 5)
        #expect(!world.carriesMetadata(sleeper, relay))
        #expect(world.violations.isEmpty, "\(world.violations)")
    }
}
