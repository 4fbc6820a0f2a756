import Federation
import Testing

@testable import Node

@Suite("What a demo takes of the machine")
struct DemoNeedsTests {
    private static let needs = DemoNeeds(nodes: 103, desks: 268, entries: 30_000, appeals: 5000)

    @Test("The country in figures")
    func figures() {
        #expect(DemoNeedsTests.needs.descriptors == 998)
        #expect(DemoNeedsTests.needs.memory >> 20 == 1492)
        #expect((8000...12_000).contains(DemoNeedsTests.needs.disk >> 20))
    }

    @Test(
        "What is missing is named, the first of it",
        arguments: [
            (DemoNeeds(descriptors: 997, memory: .max, disk: .max), "too-few-descriptors"),
            (DemoNeeds(descriptors: 998, memory: 1 << 30, disk: .max), "too-little-memory"),
            (DemoNeeds(descriptors: 998, memory: 2 << 30, disk: 7 << 30), "too-little-disk"),
        ])
    func lacking(_ machine: DemoNeeds, _ code: String) {
        #expect { try DemoNeedsTests.needs.require(machine, in: "/tmp") } throws: {
            ($0 as? FederationError)?.code == code
        }
    }

    @Test("The newer topology of each scheme differs by the home that moves", arguments: [10, 103])
    func schemes(_ count: Int) throws {
        let scheme = try #require(DemoScheme.of(count))
        let (old, new) = (
            try Topology.read(scheme.file(port: 7410)),
            try Topology.read(scheme.file(port: 7410, movedOn: "2026-11-25"))
        )
        #expect(old.nodes.count == count && new.nodes == old.nodes && new.version == 2)
        #expect(old.nodes.allSatisfy { $0.state == .live })
        #expect(new.tenancies.count == old.tenancies.count + 1 && new.homes.count == old.homes.count + 1)
        #expect(new.homes.contains { $0.tenancy == DemoScheme.newHome && $0.from == "2026-11-25" })
        #expect(scheme.behindTheLine.allSatisfy { name in old.nodes.contains { $0.id.text == name } })
    }
}
