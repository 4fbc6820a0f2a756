import Federation
import FederationTestKit
import Testing

/// Goals in seconds and percentiles, in virtual time: the machine's own speed is not in them.
@Suite("Simulation: who waits for whom, in virtual time")
struct TimingTests {
    /// The value below which 99 of 100 lie.
    private func p99(_ values: [Int64]) -> Int64 {
        let sorted = values.sorted()
        return sorted.isEmpty ? .max : sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
    }

    @Test("Behind a full catch-up on 1 Mbit/s an appeal arrives within 1 s", arguments: 1...4 as ClosedRange<UInt64>)
    func slowLine(seed: UInt64) {
        // 125 bytes a millisecond; 4,000 entries of 0.9 KiB take half a minute.
        var scene = Scene(linkedAt: ["region-b": 20_000], line: ["region-b": 125], isCalm: true)
        scene.roomCount = 1000
        let world = World(seed: seed, scene: scene)
        for index in 0..<4000 { world.publish(index) }
        for number in 0..<20 {
            world.send(
                .escalation, ID128(high: 9, low: UInt64(number)), from: "centre", to: "region-b",
                at: 22_000 + 1000 * Int64(number))
        }
        world.advance(to: 43_000)
        #expect(world.latency.count == 20)
        #expect(world.published.count == 4000)
        let still = world.behind("region-b")
        #expect(still > 100, "the catch-up must still be going on")
        let worst = world.latency.values.max() ?? .max
        #expect(worst <= 1000)
        print("timing: seed \(seed), 20 appeals behind \(still) entries: worst \(worst) ms")
        #expect(world.violations.isEmpty)
    }

    @Test("Twenty dark and full destinations: the others do not wait longer", arguments: 1...4 as ClosedRange<UInt64>)
    func dark(seed: UInt64) {
        func run(dark: [String]) -> (p99: Int64, count: Int, refused: Int) {
            let live = ["region-a", "region-b", "region-c", "centre"]
            var scene = Scene(leaves: dark + live, isCalm: true)
            scene.roomCount = 200
            for name in dark { scene.linkedAt[name] = .max / 2 }
            let world = World(seed: seed, scene: scene)
            // More for the dark than their rooms hold, before and during what is measured.
            for (place, name) in dark.enumerated() {
                for number in 0..<300 {
                    let time = number < 250 ? 500 + Int64(number) * 10 : 4000 + Int64(number) * 20
                    world.send(
                        .escalation, ID128(high: UInt64(100 + place), low: UInt64(number)), from: "centre", to: name,
                        at: time)
                }
            }
            for number in 0..<400 {
                world.send(
                    .escalation, ID128(high: 9, low: UInt64(number)), from: number % 2 == 0 ? "centre" : "region-c",
                    to: number % 4 < 2 ? "region-a" : "region-b", at: 5000 + 15 * Int64(number))
            }
            world.advance(to: 16_000)
            let measured = world.latency.filter { $0.key.high == 9 }.map(\.value)
            #expect(world.violations.isEmpty)
            return (p99(measured), measured.count, world.faults["room full", default: 0])
        }
        let alone = run(dark: [])
        let among = run(dark: (0..<20).map { "dark-\($0)" })
        print("timing: seed \(seed), p99 alone \(alone.p99) ms, beside 20 dark and full \(among.p99) ms")
        #expect(alone.count == among.count && alone.count > 350)
        #expect(among.refused > 20 * 50)
        #expect(Double(among.p99) <= 1.2 * Double(alone.p99))
    }
}
