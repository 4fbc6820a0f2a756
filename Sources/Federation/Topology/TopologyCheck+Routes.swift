/// Whether what is routed to a tenancy can be taken there: it is of the organisation, has the line, and its node works.
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
        guard let organisation, let tenancy, let owner = owners[tenancy]?.value.organisation, owner != organisation,
            !Topology.successors(of: organisation, participants.compactMap(\.value.whole)).contains(owner)
        else { return false }
        add(
            entry.place("tenancy"), "wrong-organisation", "\"\(tenancy)\" is of \(owner), not of \(organisation)",
            "name a tenancy of \(organisation)")
        return true
    }

    /// The first entry that covers a pair is the one that holds: a later one that covers it again would never be asked.
    /// "all" after entries with subjects is the rest.
    mutating func checkSpecial() {
        var covered: [Pair: Int] = [:]
        var all: [String: Int] = [:]
        for entry in special {
            guard let organisation = entry.value.organisation else { continue }
            var earlier: [Int] = []
            var twice: [String] = []
            if entry.value.isAll, let other = all.updateValue(entry.offset, forKey: organisation) {
                (earlier, twice) = ([other], ["all"])
            }
            for subject in entry.value.subjects ?? [] {
                let pair = Pair(organisation: organisation, subject: subject)
                guard let other = covered.updateValue(entry.offset, forKey: pair) ?? all[organisation] else { continue }
                earlier.append(other)
                twice.append(subject)
            }
            guard !twice.isEmpty else { continue }
            add(
                entry.place("subjects"), "two-special",
                "\(organisation) \(Spelling.some(twice)): covered by an earlier entry, so this one is never asked",
                "leave one of the two, and put \"all\" behind the entries with subjects", also: earlier)
        }
    }

    /// SPECIAL goes to line 2, PERSONAL of MSE to line 2.1, of the others to line 2.
    mutating func checkLines() {
        let byID = tenanciesByID
        func lines(_ tenancy: String?) -> [String]? { tenancy.flatMap { byID[$0]?.value.lines } }
        var lacking: [String: (lines: Set<String>, places: [Int])] = [:]
        func need(_ line: String, of tenancy: String?, at place: Int) {
            guard let tenancy, let lines = lines(tenancy), !lines.contains(line) else { return }
            lacking[tenancy, default: ([], [])].lines.insert(line)
            lacking[tenancy, default: ([], [])].places.append(place)
        }
        for entry in special { need("2", of: entry.value.tenancy, at: entry.offset) }
        for home in homes {
            guard let organisation = home.value.organisation else { continue }
            need(organisation == "MSE" ? "2.1" : "2", of: home.value.tenancy, at: home.offset)
        }
        for (tenancy, lack) in lacking {
            guard let entry = byID[tenancy] else { continue }
            let lines = lack.lines.sorted().joined(separator: " and ")
            add(
                entry.place("lines"), "line-missing",
                "\(tenancy) has no line \(lines), and what is routed there goes to it",
                "add line \(lines), or name another tenancy where this one is named", also: lack.places)
        }
        let bare = homes.filter { home in
            lines(home.value.tenancy).map { $0.contains("2.1") && !$0.contains("2") } ?? false
                && !isSpecialElsewhere(home)
        }
        for (organisation, homes) in Dictionary(grouping: bare, by: \.value.organisation) {
            add(
                homes[0].place("tenancy"), "line-missing",
                "SPECIAL of \(organisation ?? "") goes home, to a tenancy without line 2",
                "add line 2 to its lines, or name a tenancy in special", also: homes.map(\.offset))
        }
    }

    /// Whether no special appeal needs this home, or that cannot be known.
    private func isSpecialElsewhere(_ home: Placed<Home>) -> Bool {
        guard let organisation = home.value.organisation, let subjects = home.value.subjects, lists["special"] != nil
        else {
            return true
        }
        let entries = special.filter { $0.value.organisation ?? organisation == organisation }
        if entries.contains(where: { $0.value.organisation == nil || $0.value.subjects == nil }) { return true }
        return Set(entries.flatMap { $0.value.subjects ?? [] }).isSuperset(of: subjects)
    }

    /// The centre hands over to others: what it handed to itself would never leave.
    mutating func checkCentre() {
        guard let centre = firstNodes.first(where: { $0.value.segment == "centre" })?.value.id else { return }
        for tenancy in tenancies where tenancy.value.node == centre {
            add(
                tenancy.place("node"), "tenancy-at-centre",
                "\(tenancy.name ?? "a tenancy") is at \(centre), which hands over to others",
                "name a node of the participant")
        }
    }

    /// Nothing is routed to a retired node, but for homes that end.
    mutating func checkRetired() {
        let byID = tenanciesByID
        let used =
            homes.filter { $0.value.to == nil && !$0.faulty.contains("to") }
            .map { (tenancy: $0.value.tenancy, offset: $0.offset) }
            + special.map { (tenancy: $0.value.tenancy, offset: $0.offset) }
        for node in firstNodes where node.value.state == .retired {
            let uses = used.filter { use in use.tenancy.flatMap { byID[$0]?.value.node } == node.value.id }
            guard let id = node.value.id, !uses.isEmpty else { continue }
            let names = Set(uses.compactMap(\.tenancy)).sorted()
            add(
                node.place("state"), "node-retired", "\(id) is retired, but appeals go to \(Spelling.some(names))",
                "name a tenancy at another node, or let its homes end", also: uses.map(\.offset))
        }
    }
}
