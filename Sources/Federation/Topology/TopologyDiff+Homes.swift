/// Whose appeals go elsewhere, and from which day on.
extension TopologyDiff {
    /// Appeals of some subjects that are an other tenancy's from a day on.
    package struct Move: Sendable, Hashable {
        package var day: String
        package var organisation: String
        package var subjects: [String]
        /// Special questions; otherwise those at home.
        package var isSpecial: Bool
        /// Tenancies; nil: none, of special questions: the home.
        package var from: String?
        package var to: String?
        /// Where what is open of it may be.
        package var oldTenancies: [String]
        /// What is said of it.
        package var finding: Finding
    }

    private struct Pair: Hashable, Comparable {
        var organisation: String
        var subject: String

        static func < (left: Pair, right: Pair) -> Bool {
            (left.organisation, left.subject) < (right.organisation, right.subject)
        }
    }

    private struct Change: Hashable, Comparable {
        var day: String
        var organisation: String
        var from: String?
        var to: String?

        static func < (left: Change, right: Change) -> Bool {
            (left.day, left.organisation, left.from ?? "", left.to ?? "")
                < (right.day, right.organisation, right.from ?? "", right.to ?? "")
        }
    }

    private static func home(_ pair: Pair, on day: String, in topology: Topology) -> String? {
        topology.homes.first {
            $0.organisation == pair.organisation && $0.subjects.contains(pair.subject) && $0.from <= day
                && $0.to.map { day < $0 } ?? true
        }?.tenancy
    }

    /// SPECIAL goes to the first entry that lists the subject; nil: to the home.
    private static func special(_ pair: Pair, in topology: Topology) -> String? {
        topology.special.first {
            $0.organisation == pair.organisation && $0.subjects?.contains(pair.subject) ?? true
        }?.tenancy
    }

    /// Whether special questions of a subject are at another tenancy than its home's.
    package func hasSpecial(_ organisation: String, _ subject: String) -> Bool {
        TopologyDiff.special(
            Pair(organisation: live.acting(organisation, on: today), subject: subject), in: live) != nil
    }

    static func node(of tenancy: String?, in topology: Topology) -> Topology.Node? {
        tenancy.flatMap(topology.tenancy).flatMap { topology.node($0.node) }
    }

    mutating func homes() {
        var pairs: Set<Pair> = []
        for home in live.homes + next.homes {
            for subject in home.subjects { pairs.insert(Pair(organisation: home.organisation, subject: subject)) }
        }
        let dated = (live.homes + next.homes).flatMap { [$0.from] + ($0.to.map { [$0] } ?? []) }
        let days = Set(dated.filter { $0 > today } + [today]).sorted()
        var changes: [Change: [String]] = [:]
        for pair in pairs.sorted() {
            var last: (String?, String?) = (nil, nil)
            for day in days {
                let (before, after) = (
                    TopologyDiff.home(pair, on: day, in: live), TopologyDiff.home(pair, on: day, in: next)
                )
                defer { last = (before, after) }
                guard before != after, last != (before, after) else { continue }
                changes[
                    Change(day: day, organisation: pair.organisation, from: before, to: after), default: []
                ].append(pair.subject)
            }
        }
        for (change, subjects) in changes.sorted(by: { $0.key < $1.key }) { tell(change, subjects) }
        special()
        secondLines(pairs.sorted(), on: days)
    }

    private mutating func tell(_ change: Change, _ subjects: [String]) {
        func place(_ tenancy: String?, _ node: Topology.Node?) -> String? {
            tenancy.map { $0 + (node.map { " on \($0.id)" } ?? "") }
        }
        let old = TopologyDiff.node(of: change.from, in: live)
        let new = TopologyDiff.node(of: change.to, in: next)
        let whose = "\(change.organisation) \(Words.list(subjects))"
        let (subject, it) = subjects.count == 1 ? ("is", "it") : ("are", "they")
        let (has, was) = subjects.count == 1 ? ("has", "was") : ("have", "were")
        let words =
            switch (place(change.from, old), place(change.to, new)) {
            case (let from, let to?):
                "\(whose) \(subject) at home at \(to), " + (from.map { "not at \($0)" } ?? "\(it) had no home")
            case (let from, nil): "\(whose) \(has) no home any more, \(it) \(was) at \(from ?? "none")"
            }
        add(
            Move(
                day: change.day, organisation: change.organisation, subjects: subjects, isSpecial: false,
                from: change.from, to: change.to, oldTenancies: change.from.map { [$0] } ?? [],
                finding: Finding(
                    code: "home-moves", isLoss: change.to == nil,
                    text: (change.day == today ? "at once " : "from \(change.day) on ") + words)))
        tell(whose, from: old, to: new)
    }

    private mutating func add(_ move: Move) {
        moves.append(move)
        add(move.finding.code, move.finding.isLoss, move.finding.text)
    }

    /// What is handed over to a node that is not live is refused: who had a second line before loses it.
    private mutating func tell(_ whose: String, from old: Topology.Node?, to new: Topology.Node?) {
        guard let new, new.state != .live else { return }
        let words = "\(new.id) is \(new.state.rawValue): what is handed over for \(whose) is refused and stays at the "
        if old?.state == .live {
            add("home-taken-away", true, words + "first line")
        } else {
            add("home-not-yet", false, words + "first line until it is live")
        }
    }

    private mutating func special() {
        var changes: [Change: [String]] = [:]
        for pair in specialPairs {
            let (before, after) = (TopologyDiff.special(pair, in: live), TopologyDiff.special(pair, in: next))
            guard before != after else { continue }
            changes[Change(day: today, organisation: pair.organisation, from: before, to: after), default: []]
                .append(pair.subject)
        }
        for (change, subjects) in changes.sorted(by: { $0.key < $1.key }) {
            func whose(_ subjects: [String]) -> String {
                "special questions of \(change.organisation) for \(Words.list(subjects))"
            }
            func home(_ subject: String) -> String? {
                TopologyDiff.home(Pair(organisation: change.organisation, subject: subject), on: today, in: live)
            }
            add(
                Move(
                    day: today, organisation: change.organisation, subjects: subjects, isSpecial: true,
                    from: change.from, to: change.to,
                    oldTenancies: change.from.map { [$0] } ?? Set(subjects.compactMap(home)).sorted(),
                    finding: Finding(
                        code: "special-moves", isLoss: false,
                        text: "\(whose(subjects)) go to \(change.to ?? "the home"), they went to "
                            + (change.from ?? "the home"))))
            guard change.to != nil else { continue }
            // They went home: some of the homes are live, others are not.
            let before = Dictionary(grouping: subjects) { TopologyDiff.node(of: change.from ?? home($0), in: live) }
            let new = TopologyDiff.node(of: change.to, in: next)
            for isLive in [true, false] {
                let some = before.filter { ($0.key?.state == .live) == isLive }
                guard let old = some.first?.key else { continue }
                tell(whose(some.values.joined().sorted()), from: old, to: new)
            }
        }
    }

    private var specialPairs: [Pair] {
        let organisations = Set((live.special + next.special).map(\.organisation)).sorted()
        let subjects = Set(live.subjects + next.subjects).sorted()
        return organisations.flatMap { organisation in
            subjects.map { Pair(organisation: organisation, subject: $0) }
        }
    }

    /// Whose tenancies stay what they are, at nodes that are live no more.
    private mutating func secondLines(_ pairs: [Pair], on days: [String]) {
        struct Loss: Hashable {
            var node: NodeID
            /// The tenancy was at another node, which is live.
            var isTakenAway: Bool
        }
        var lost: [Loss: [String: Set<String>]] = [:]
        func look(_ before: String?, _ after: String?, _ whose: String, _ subject: String) {
            guard let before, before == after, let old = TopologyDiff.node(of: before, in: live), old.state == .live,
                let new = TopologyDiff.node(of: after, in: next), new.state != .live
            else { return }
            lost[Loss(node: new.id, isTakenAway: new.id != old.id), default: [:]][whose, default: []].insert(subject)
        }
        for pair in pairs {
            for day in days {
                look(
                    TopologyDiff.home(pair, on: day, in: live), TopologyDiff.home(pair, on: day, in: next),
                    pair.organisation, pair.subject)
            }
        }
        for pair in specialPairs {
            look(
                TopologyDiff.special(pair, in: live), TopologyDiff.special(pair, in: next),
                "special questions of \(pair.organisation) for", pair.subject)
        }
        for (loss, whose) in lost.sorted(by: { $0.key.node < $1.key.node }) {
            let names = whose.sorted { $0.key < $1.key }.map { "\($0.key) \(Words.list($0.value.sorted()))" }
            add(
                loss.isTakenAway ? "home-taken-away" : "second-line-lost", true,
                "\(loss.node) is \(next.node(loss.node)?.state.rawValue ?? "gone"), and with it the second line of "
                    + "\(names.joined(separator: ", ")): what is handed over is refused and stays at the first line"
                    + (loss.isTakenAway ? "" : ", what is open there waits until it is live again"))
        }
    }

    /// What becomes of the open appeals that a move leaves behind.
    package enum Fate: Hashable, Sendable {
        case follow
        /// Why.
        case stay(String)
        case nobodys
    }

    package func fate(of move: Move) -> Fate {
        let from = move.from ?? move.oldTenancies.first
        let before = TopologyDiff.node(of: from, in: live)
        guard let old = TopologyDiff.node(of: from, in: next), old.id == before?.id, old.state != .retired else {
            return .nobodys
        }
        guard let new = TopologyDiff.node(of: move.to, in: next) else {
            // Special questions go home then.
            return move.isSpecial ? .follow : .stay("there is no other home")
        }
        for node in [new, old] where node.state != .live { return .stay("\(node.id) is \(node.state.rawValue)") }
        guard old.id == new.id || reachAfter.leads(from: old.id, to: new.id) else {
            return .stay("there is no way to \(new.id)")
        }
        return .follow
    }
}
