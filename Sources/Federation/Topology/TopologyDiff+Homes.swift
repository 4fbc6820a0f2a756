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
        /// The day on which it is again as it was to be; nil: no such day.
        var until: String?
        var organisation: String
        var from: String?
        var to: String?

        private var order: [String] { [day, organisation, from ?? "", to ?? "", until ?? ""] }

        static func < (left: Change, right: Change) -> Bool { left.order.lexicographicallyPrecedes(right.order) }
    }

    private func goal(_ pair: Pair, _ isSpecial: Bool, on day: String, in topology: Topology) -> Topology.Destination? {
        topology.destination(of: pair.organisation, pair.subject, isSpecial: isSpecial, on: day)
    }

    private func home(_ pair: Pair, on day: String, in topology: Topology) -> String? {
        goal(pair, false, on: day, in: topology)?.tenancy
    }

    /// Where special questions of a pair go other than home.
    private func centre(_ pair: Pair, on day: String, in topology: Topology) -> String? {
        // Before it takes part nobody asks.
        guard topology.participants.contains(where: { $0.id == pair.organisation && $0.from ?? "" <= day }),
            let goal = goal(pair, true, on: day, in: topology)
        else { return nil }
        return goal.isCentre ? goal.tenancy : nil
    }

    /// Whether special questions of a subject do not go home on a day, before or after.
    package func hasSpecial(_ organisation: String, _ subject: String, on day: String) -> Bool {
        let pair = Pair(organisation: organisation, subject: subject)
        return [live, next].contains { centre(pair, on: day, in: $0) != nil }
    }

    static func node(of tenancy: String?, in topology: Topology) -> Topology.Node? {
        tenancy.flatMap(topology.tenancy).flatMap { topology.node($0.node) }
    }

    mutating func homes() {
        var pairs: Set<Pair> = []
        for home in live.homes + next.homes {
            for subject in home.subjects { pairs.insert(Pair(organisation: home.organisation, subject: subject)) }
        }
        let homes = (live.homes + next.homes).flatMap { [$0.from, $0.to] }
        let participants = (live.participants + next.participants).flatMap { [$0.from, $0.to] }
        let days = Set((homes + participants).compactMap(\.self).filter { $0 > today } + [today]).sorted()
        for (change, subjects) in changes(of: pairs.sorted(), on: days, home) { tell(change, subjects) }
        for (change, subjects) in changes(of: specialPairs, on: days, centre) { tellSpecial(change, subjects) }
        secondLines(pairs.sorted(), on: days)
    }

    /// What differs, by the first day on which it does.
    private func changes(
        of pairs: [Pair], on days: [String], _ place: (Pair, String, Topology) -> String?
    ) -> [(key: Change, value: [String])] {
        var changes: [Change: [String]] = [:]
        for pair in pairs {
            let places = days.map { (from: place(pair, $0, live), to: place(pair, $0, next)) }
            for (index, (from, to)) in places.enumerated()
            where from != to && (index == 0 || places[index - 1] != (from, to)) {
                let end = places.indices.first { $0 > index && places[$0] != (from, to) }
                let until = end.flatMap { places[$0].from == places[$0].to ? days[$0] : nil }
                changes[
                    Change(day: days[index], until: until, organisation: pair.organisation, from: from, to: to),
                    default: []
                ].append(pair.subject)
            }
        }
        return changes.sorted { $0.key < $1.key }
    }

    private func when(_ change: Change) -> String {
        switch (change.day == today, change.until) {
        case (true, nil): "at once "
        case (true, let until?): "until \(until) "
        case (false, nil): "from \(change.day) on "
        case (false, let until?): "from \(change.day) until \(until) "
        }
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
                    names: [change.from, change.to].compactMap(\.self),
                    text: when(change) + words)))
        follow(change, subjects, isSpecial: false, whose: "\(change.organisation) ")
    }

    private mutating func add(_ move: Move) {
        moves.append(move)
        let finding = move.finding
        add(finding.code, finding.isLoss, of: finding.names, finding.text)
    }

    private mutating func tellSpecial(_ change: Change, _ subjects: [String]) {
        let whose = "special questions of \(change.organisation) for "
        let homes = Set(
            subjects.compactMap {
                home(Pair(organisation: change.organisation, subject: $0), on: change.day, in: live)
            })
        let before = change.from ?? (homes.isEmpty ? nil : "the home")
        add(
            Move(
                day: change.day, organisation: change.organisation, subjects: subjects, isSpecial: true,
                from: change.from, to: change.to, oldTenancies: change.from.map { [$0] } ?? homes.sorted(),
                finding: Finding(
                    code: "special-moves", isLoss: false, names: [change.from, change.to].compactMap(\.self),
                    text: "\(when(change))\(whose)\(Words.list(subjects)) go to \(change.to ?? "the home"), "
                        + (before.map { "they went to \($0)" } ?? "there were none"))))
        follow(change, subjects, isSpecial: true, whose: whose)
    }

    /// What whoever goes elsewhere finds there: some come from a node that is live, others not.
    private mutating func follow(_ change: Change, _ subjects: [String], isSpecial: Bool, whose: String) {
        struct Step: Hashable {
            var isFromLive: Bool
            var to: Topology.Node
        }
        var steps: [Step: [String]] = [:]
        var closed: [String: [String]] = [:]
        for subject in subjects {
            let pair = Pair(organisation: change.organisation, subject: subject)
            let (from, to) = (
                goal(pair, isSpecial, on: change.day, in: live), goal(pair, isSpecial, on: change.day, in: next)
            )
            guard let to, let new = TopologyDiff.node(of: to.tenancy, in: next) else { continue }
            if from.flatMap({ live.tenancy($0.tenancy)?.open }) == true, next.tenancy(to.tenancy)?.open == false {
                closed[to.tenancy, default: []].append(subject)
            }
            let old = TopologyDiff.node(of: from?.tenancy, in: live)
            steps[Step(isFromLive: old?.state == .live, to: new), default: []].append(subject)
        }
        for (step, subjects) in steps.sorted(by: { $0.value[0] < $1.value[0] }) where step.to.state != .live {
            // It is refused: who had a second line before loses it.
            let words =
                "\(step.to.id) is \(step.to.state.rawValue): what is handed over for \(whose)\(Words.list(subjects)) is "
                + "refused and stays at the first line"
            add(
                step.isFromLive ? "home-taken-away" : "home-not-yet", step.isFromLive, of: [step.to.id.text],
                words + (step.isFromLive ? "" : " until it is live"))
        }
        for (tenancy, subjects) in closed.sorted(by: { $0.key < $1.key }) {
            add(
                "home-not-open", true, of: [tenancy],
                "\(tenancy) is not open: nobody works there yet on \(whose)\(Words.list(subjects)), and somebody did before"
            )
        }
    }

    private var specialPairs: [Pair] {
        let special = (live.special + next.special).map(\.organisation)
        let organisations = Set(live.organisations + next.organisations + special).sorted()
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
                look(home(pair, on: day, in: live), home(pair, on: day, in: next), pair.organisation, pair.subject)
            }
        }
        for pair in specialPairs {
            for day in days {
                look(
                    centre(pair, on: day, in: live), centre(pair, on: day, in: next),
                    "special questions of \(pair.organisation) for", pair.subject)
            }
        }
        for (loss, whose) in lost.sorted(by: { $0.key.node < $1.key.node }) {
            let names = whose.sorted { $0.key < $1.key }.map { "\($0.key) \(Words.list($0.value.sorted()))" }
            add(
                loss.isTakenAway ? "home-taken-away" : "second-line-lost", true, of: [loss.node.text],
                "\(loss.node) is \(next.node(loss.node)?.state.rawValue ?? "gone"), and with it the second line of "
                    + "\(names.joined(separator: ", ")): what is handed over is refused and stays at the first line"
                    + (loss.isTakenAway ? "" : ", what is open there waits until it is live again"))
        }
    }

    /// Tenancies at nodes that are live no more, and may be again.
    package var resting: [String] {
        live.tenancies.filter { tenancy in
            live.node(tenancy.node)?.state == .live && next.tenancy(tenancy.id)?.node == tenancy.node
                && [.planned, .suspended].contains(next.node(tenancy.node)?.state)
        }.map(\.id).sorted()
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
