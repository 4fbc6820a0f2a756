import ContactCentre
import Testing

@Suite("Participants")
struct OrganisationTests {
    @Test("The five participants have the codes of the topology")
    func codes() {
        #expect(Organisation.allCases.map(\.rawValue) == ["OSZN", "PFR", "FSS", "MSE", "ROSTRUD"])
    }
}
