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
