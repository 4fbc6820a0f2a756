import Federation
import FederationTestKit
import Glibc
import Testing

@Suite("Simulation: promises 1 and 2 under faults, by seed")
struct SimulationTests {
    @Test("Nothing accepted is lost and everything takes effect once")
    func promises() {
        let seeds = getenv("SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 40
        let first = getenv("FIRST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 1
        var events = 0
        var accepted = 0
        var violated = 0
        var faults: [String: Int] = [:]
        for seed in first..<first + seeds {
            let world = World(seed: seed)
            world.run(messages: 160)
            events += world.eventCount
            accepted += world.accepted.count
            for (kind, count) in world.faults { faults[kind, default: 0] += count }
            if !world.violations.isEmpty { violated += 1 }
            for violation in world.violations.prefix(4) { Issue.record("seed \(seed): \(violation)") }
            if violated > 5 { break }
        }
        let met = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        print(
            "simulate: seeds \(seeds), events \(events), messages \(accepted), faults met: \(met); violations \(violated)"
        )
    }

    @Test("Every room full in both directions still drains", arguments: 1...12 as ClosedRange<UInt64>)
    func full(seed: UInt64) {
        // Dark until all that was accepted has filled every room; then one after another.
        let scene = Scene(
            roomCount: 3, linkedAt: ["region-a": 3500, "region-b": 3800, "centre": 4100], hasTraps: false)
        let world = World(seed: seed, scene: scene)
        world.run(messages: 400)
        for violation in world.violations.prefix(4) { Issue.record("seed \(seed): \(violation)") }
        // Each of the three has two others, in the lanes of appeals and of control; the relay has three others.
        #expect(world.mostFull.filter { $0.key.text != "relay" }.values.min() ?? 0 >= 4)
        #expect(world.mostFull.values.max() ?? 0 >= 5)
        print("simulate: seed \(seed), rooms full at once \(world.mostFull.map { "\($0.key) \($0.value)" }.sorted())")
    }

    @Test("A planted bug is caught", arguments: PlantedBug.allCases)
    func caught(bug: PlantedBug) {
        var seed: UInt64 = 1
        while seed <= 60 {
            let world = World(seed: seed, bug: bug)
            world.run(messages: 160)
            if !world.violations.isEmpty { break }
            seed += 1
        }
        #expect(seed <= 60, "\(bug) was not caught in 60 seeds")
        print("simulate: \(bug.rawValue) caught at seed \(seed)")
    }
}
