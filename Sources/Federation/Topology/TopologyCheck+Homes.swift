/// Pairs of which nothing can be said; nil: any.
struct Doubt {
    var organisation: String?
    var subjects: [String]?
}

/// One home, at any date from the file's first day on, for each pair of an organisation and a subject that the file
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
        let certain = spans.filter { !isDoubtful($0.key) }.mapValues { $0.sorted { $0.home.from < $1.home.from } }
        checkBeginnings(certain)
        checkGaps(certain)
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

    /// All pairs have a home from the earliest day on. When most begin later, it is the earliest day that is wrong.
    private mutating func checkBeginnings(_ spans: [Pair: [Span]]) {
        let firsts = spans.compactMapValues(\.first)
        guard let earliest = firsts.values.map(\.home.from).min() else { return }
        // A participant that begins later has no homes before.
        let beginnings = Dictionary(
            participants.map { ($0.value.id ?? "", $0.value.from ?? "") }, uniquingKeysWith: { first, _ in first })
        let late = Dictionary(
            grouping: firsts.filter { $0.value.home.from > max(earliest, beginnings[$0.key.organisation] ?? "") }
        ) { $0.value.home.from }
        guard late.values.map(\.count).reduce(0, +) * 2 <= firsts.count else {
            let early = Set(firsts.values.filter { $0.home.from == earliest }.map { homes[$0.index].place("from") })
            let next = late.keys.min() ?? earliest
            return add(
                early.min() ?? 0, "home-gap", "it begins on \(earliest), but most pairs have no home before \(next)",
                "let it begin on \(next), or add the homes from \(earliest) to \(next)", also: early.sorted())
        }
        for (day, firsts) in late {
            let places = Set(firsts.map { homes[$0.value.index].place("from") }).sorted()
            add(
                places[0], "home-gap",
                "\(Spelling.some(firsts.map(\.key.text).sorted())): no home from \(earliest), when the first begin, to "
                    + day, "let it begin on \(earliest), or add a home from \(earliest) to \(day)", also: places)
        }
    }

    /// No day without a home between two homes, nor after the last.
    private mutating func checkGaps(_ spans: [Pair: [Span]]) {
        struct Gap: Hashable {
            var index: Int
            var end: String?
        }
        var gaps: [Gap: [Pair]] = [:]
        for (pair, spans) in spans {
            for (index, span) in spans.enumerated() {
                let next = index + 1 < spans.count ? spans[index + 1].home.from : nil
                guard let to = span.home.to, next.map({ to < $0 }) ?? true else { continue }
                gaps[Gap(index: span.index, end: next), default: []].append(pair)
            }
        }
        for (gap, pairs) in gaps {
            let home = homes[gap.index]
            let to = home.value.to ?? ""
            let names = Spelling.some(pairs.sorted().map(\.text))
            if let end = gap.end {
                add(
                    home.place("to"), "home-gap", "\(names): no home from \(to) to \(end)",
                    "let this one end on \(end), or the next begin on \(to)")
            } else {
                add(
                    home.place("to"), "home-gap", "\(names): no home from \(to) on, without end",
                    "remove \"to\", or add a home from \(to)")
            }
        }
    }
}

extension Topology.Home {
    fileprivate func overlaps(_ other: Topology.Home) -> Bool {
        (other.to.map { from < $0 } ?? true) && (to.map { other.from < $0 } ?? true)
    }
}
