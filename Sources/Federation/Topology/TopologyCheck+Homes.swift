/// Pairs of which nothing can be said; nil: any.
struct Doubt {
    var organisation: String?
    var subjects: [String]?
}

/// One home, at any date, for each pair of an organisation and a subject that the file
/// covers: every organisation that has a home, with every subject that has one.
extension TopologyDraft {
    struct Pair: Hashable, Comparable {
        var organisation: String
        var subject: String
        var text: String { "\(organisation) \(subject)" }
        static func < (left: Pair, right: Pair) -> Bool { left.text < right.text }
    }

    private struct Span {
        var home: Topology.Home
        /// Which of the homes it is.
        var index: Int
    }

    func isDoubtful(_ pair: Pair) -> Bool {
        doubts.contains { doubt in
            doubt.organisation ?? pair.organisation == pair.organisation
                && doubt.subjects?.contains(pair.subject) ?? true
        }
    }

    mutating func checkHomes() {
        let spans = spans()
        checkCover(spans)
    }

    private mutating func spans() -> [Pair: [Span]] {
        var spans: [Pair: [Span]] = [:]
        for (index, entry) in homes.enumerated() {
            guard let home = entry.value.whole, !entry.faulty.contains("to") else {
                doubts.append(Doubt(organisation: entry.value.organisation, subjects: entry.value.subjects))
                continue
            }
            var clashes: [(pair: Pair, other: Int)] = []
            for subject in home.subjects {
                let pair = Pair(organisation: home.organisation, subject: subject)
                if let other = spans[pair]?.first(where: { $0.home.overlaps(home) }) {
                    clashes.append((pair, other.index))
                }
                spans[pair, default: []].append(Span(home: home, index: index))
            }
            tell(clashes, index)
        }
        return spans
    }

    private mutating func tell(_ clashes: [(pair: Pair, other: Int)], _ index: Int) {
        guard let first = clashes.first else { return }
        let other = homes[first.other]
        add(
            homes[index].place("subjects"), "two-homes",
            "\(Spelling.some(clashes.map(\.pair.text))): a home at \(other.value.tenancy ?? "another tenancy") already",
            "leave one of the two, or end the other before this begins", also: clashes.map { homes[$0.other].offset })
        // Unless it is a mere copy, it may be meant for a pair that seems to have none.
        if first.other == index || other.value != homes[index].value {
            doubts.append(Doubt(organisation: first.pair.organisation))
        } else {
            doubts += clashes.map { Doubt(organisation: $0.pair.organisation, subjects: [$0.pair.subject]) }
        }
    }

    private mutating func checkCover(_ spans: [Pair: [Span]]) {
        let organisations = Set(homes.compactMap(\.value.organisation)).sorted()
        var subjects = Set(homes.compactMap(\.value.subjects).joined()).sorted()
        // What most organisations do not have was named wrongly where it is named.
        var strays: [Int: [String]] = [:]
        for subject in subjects {
            let without = organisations.filter { lacksHome($0, subject, spans) }
            guard without.count * 2 > organisations.count,
                let index = homes.firstIndex(where: { $0.value.subjects?.contains(subject) ?? false })
            else { continue }
            strays[index, default: []].append(subject)
        }
        for (index, named) in strays {
            add(
                homes[index].place("subjects"), "no-home",
                "most organisations have no home for \(Spelling.some(named))",
                "correct the subject, or add it to a home of each organisation")
            doubts.append(Doubt(organisation: homes[index].value.organisation))
            subjects.removeAll { named.contains($0) }
        }
        for organisation in organisations {
            let missing = subjects.filter { lacksHome(organisation, $0, spans) }
            guard !missing.isEmpty, let home = homes.first(where: { $0.value.organisation == organisation }) else {
                continue
            }
            add(
                home.place("subjects"), "no-home", "\(organisation) has no home for \(Spelling.some(missing))",
                "add the subjects to a home of \(organisation)")
        }
    }

    private func lacksHome(_ organisation: String, _ subject: String, _ spans: [Pair: [Span]]) -> Bool {
        let pair = Pair(organisation: organisation, subject: subject)
        return spans[pair] == nil && !isDoubtful(pair)
    }
}

extension Topology.Home {
    fileprivate func overlaps(_ other: Topology.Home) -> Bool {
        (other.to.map { from < $0 } ?? true) && (to.map { other.from < $0 } ?? true)
    }
}
