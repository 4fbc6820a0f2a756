import ContactCentre
import Federation
import Testing

@Suite("Routing")
struct RouterTests {
    static func topology(_ name: String) throws -> Topology {
        try Topology.read(try file(name))
    }

    static func file(_ name: String) throws -> [UInt8] {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        return try Files.read(root + "/topology/" + name, maximum: 1 << 20)
    }

    @Test("Each of the 445 pairs has exactly one home, and each route an explanation")
    func pairs() throws {
        let topology = try RouterTests.topology("federation.json")
        let router = Router(topology)
        var routes = 0
        for organisation in topology.organisations {
            for subject in topology.subjects {
                let homes = topology.homes.filter { $0.organisation == organisation && $0.subjects.contains(subject) }
                #expect(homes.count == 1, "\(organisation) \(subject)")
                for reason in EscalationReason.allCases {
                    let route = router.route(
                        organisation: organisation, subject: subject, reason: reason, on: "2026-11-24")
                    #expect(route?.explanation.isEmpty == false && route?.isLive == false)
                    if reason == .personal { #expect(route?.tenancy.id == homes.first?.tenancy) }
                    routes += 1
                }
            }
        }
        #expect(routes == 890)
    }

    @Test(
        "An appeal goes where the scheme says",
        arguments: [
            ("OSZN", "77", EscalationReason.personal, "OSZN/77"), ("PFR", "50", .personal, "PFR/77"),
            ("PFR", "47", .special, "PFR/78"), ("FSS", "01", .personal, "FSS/centre"),
            ("MSE", "66", .personal, "MSE/66"),
            ("MSE", "66", .special, "MSE/centre"), ("ROSTRUD", "27", .special, "ROSTRUD/centre"),
        ])
    func scheme(_ organisation: String, _ subject: String, _ reason: EscalationReason, _ tenancy: String) throws {
        let router = Router(try RouterTests.topology("federation.json"))
        let route = router.route(organisation: organisation, subject: subject, reason: reason, on: "2026-11-24")
        #expect(route?.tenancy.id == tenancy)
        #expect(
            router.route(organisation: organisation, subject: "99", reason: reason, on: "2026-11-24") == nil
                || reason == .special)
        #expect(router.route(organisation: organisation, subject: subject, reason: .personal, on: "2021-12-31") == nil)
    }
}
