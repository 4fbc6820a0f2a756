import FederationTestKit
import Glibc
import Testing

@Suite("Simulation: a home moves under load")
struct MovingSimulationTests {
    @Test("Every appeal is done at one place, once")
    func moves() {
        let seeds = getenv("SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 20
        let first = getenv("FIRST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 1
        var faults: [String: Int] = [:]
        var appeals = 0
        var violated = 0
        for seed in first..<first + seeds {
            var scene = Scene()
            scene.hasAppeals = true
            let world = World(seed: seed, scene: scene)
            world.run(messages: 40)
            appeals += world.appeals.count
            for (kind, count) in world.faults { faults[kind, default: 0] += count }
            for violation in world.violations.prefix(4) { Issue.record("seed \(seed): \(violation)") }
            if !world.violations.isEmpty { violated += 1 }
            if violated > 5 { break }
        }
        #expect(faults["appeal followed its home", default: 0] > 0 && faults["appeal passed", default: 0] > 0)
        let met = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        print("simulate: moving a home: seeds \(seeds), appeals \(appeals), met: \(met); violations \(violated)")
    }
}
