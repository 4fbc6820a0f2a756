/// Whether what is routed to a tenancy can be taken there: it is of the organisation.
extension TopologyDraft {
    /// Those whose own name is sound and stands once.
    private var tenanciesByID: [String: Placed<Tenancy>] {
        let sound = tenancies.filter { $0.name != nil && !$0.faulty.contains("id") }
        return Dictionary(grouping: sound) { $0.name ?? "" }.compactMapValues { $0.count == 1 ? $0[0] : nil }
    }

    /// Homes and special entries name tenancies of their own organisation. Which of the two names is wrong cannot be
    /// known: the organisation counts as unknown from here on.
    mutating func checkOwners() {
        let owners = tenanciesByID
        for (index, home) in homes.enumerated() {
            if isForeign(home, home.value.organisation, home.value.tenancy, owners) {
                homes[index].value.organisation = nil
            } else if home.value.tenancy == "MSE/centre" {
                add(
                    home.place("tenancy"), "home-not-allowed", "MSE/centre takes no personal data",
                    "name the tenancy of line 2.1 in the subject")
                homes[index].value.tenancy = nil
            }
        }
        for (index, entry) in special.enumerated()
        where isForeign(entry, entry.value.organisation, entry.value.tenancy, owners) {
            special[index].value.organisation = nil
        }
    }

    private mutating func isForeign<Entry>(
        _ entry: Placed<Entry>, _ organisation: String?, _ tenancy: String?, _ owners: [String: Placed<Tenancy>]
    ) -> Bool {
        guard let organisation, let tenancy, let owner = owners[tenancy]?.value.organisation, owner != organisation
        else {
            return false
        }
        add(
            entry.place("tenancy"), "wrong-organisation", "\"\(tenancy)\" is of \(owner), not of \(organisation)",
            "name a tenancy of \(organisation)")
        return true
    }
}
