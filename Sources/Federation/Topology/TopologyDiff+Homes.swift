/// Whose appeals go elsewhere, and from which day on.
extension TopologyDiff {
    private struct Pair: Hashable {
        var organisation: String
        var subject: String
    }

    private struct Move: Hashable, Comparable {
        var day: String
        var organisation: String
        var from: String?
        var to: String?

        static func < (left: Move, right: Move) -> Bool {
            (left.day, left.organisation, left.from ?? "", left.to ?? "")
                < (right.day, right.organisation, right.from ?? "", right.to ?? "")
        }
    }

    private static let always = "0000-00-00"

    private static func home(_ pair: Pair, on day: String, in topology: Topology) -> String? {
        topology.homes.first {
            $0.organisation == pair.organisation && $0.subjects.contains(pair.subject) && $0.from <= day
                && $0.to.map { day < $0 } ?? true
        }?.tenancy
    }

    mutating func homes() {
        var pairs: Set<Pair> = []
        for home in live.homes + next.homes {
            for subject in home.subjects { pairs.insert(Pair(organisation: home.organisation, subject: subject)) }
        }
        var moves: [Move: Set<String>] = [:]
        let days = Set((live.homes + next.homes).flatMap { [$0.from] + ($0.to.map { [$0] } ?? []) }).sorted()
        for pair in pairs {
            var last: (String?, String?) = (nil, nil)
            for day in days {
                let (before, after) = (
                    TopologyDiff.home(pair, on: day, in: live), TopologyDiff.home(pair, on: day, in: next)
                )
                defer { last = (before, after) }
                guard before != after, last != (before, after) else { continue }
                let move = Move(day: day, organisation: pair.organisation, from: before, to: after)
                moves[move, default: []].insert(pair.subject)
            }
        }
        for (move, subjects) in moves.sorted(by: { $0.key < $1.key }) { tell(move, subjects.sorted()) }
        special()
    }

    private mutating func tell(_ move: Move, _ subjects: [String]) {
        func place(_ tenancy: String?, in topology: Topology) -> (words: String, node: Topology.Node?) {
            guard let tenancy, let node = topology.tenancy(tenancy).flatMap({ topology.node($0.node) }) else {
                return ("nowhere", nil)
            }
            return ("\(tenancy) on \(node.id)", node)
        }
        let (old, new) = (place(move.from, in: live), place(move.to, in: next))
        let whose = "\(move.organisation) \(TopologyDiff.list(subjects))"
        add(
            "home-moves", move.to == nil,
            "from \(move.day) on \(whose) \(subjects.count == 1 ? "is" : "are") at home at \(new.words), not at \(old.words)"
        )
        guard let node = new.node, node.state != .live else { return }
        add(
            "home-not-live", old.node?.state == .live,
            "\(node.id) is \(node.state.rawValue): what is handed over for \(whose) is refused and stays at the first line"
        )
    }

    /// SPECIAL goes to the first entry that lists the subject.
    private mutating func special() {
        func target(_ organisation: String, _ subject: String, _ topology: Topology) -> String? {
            topology.special.first { $0.organisation == organisation && $0.subjects?.contains(subject) ?? true }?
                .tenancy
        }
        var changes: [Move: [String]] = [:]
        for organisation in Set(live.special.map(\.organisation) + next.special.map(\.organisation)).sorted() {
            for subject in Set(live.subjects + next.subjects).sorted() {
                let (before, after) = (target(organisation, subject, live), target(organisation, subject, next))
                guard before != after else { continue }
                changes[
                    Move(day: TopologyDiff.always, organisation: organisation, from: before, to: after), default: []
                ].append(subject)
            }
        }
        for (move, subjects) in changes.sorted(by: { $0.key < $1.key }) {
            add(
                "special-moves", false,
                "special questions of \(move.organisation) for \(TopologyDiff.list(subjects)) go to \(move.to ?? "the home"), "
                    + "they went to \(move.from ?? "the home")")
        }
    }

    mutating func participants() {
        for entry in next.participants {
            guard let old = live.participants.first(where: { $0.id == entry.id }) else {
                add("participant-comes", false, "\(entry.id) takes part\(entry.from.map { " from \($0) on" } ?? "")")
                continue
            }
            guard old != entry else { continue }
            let words =
                entry.to.map { "ends on \($0)\(entry.successor.map { ", \($0) goes on" } ?? "")" } ?? "has no end"
            add("participant-changes", entry.to != nil && entry.successor == nil, "\(entry.id) \(words)")
        }
        for old in live.participants where !next.participants.contains(where: { $0.id == old.id }) {
            add("participant-goes", true, "\(old.id) takes part no more, though nothing says since when")
        }
    }

    mutating func tenancies() {
        for tenancy in next.tenancies {
            guard let old = live.tenancy(tenancy.id) else {
                add(
                    "tenancy-comes", false,
                    "\(tenancy.id) is new, on \(tenancy.node)\(tenancy.open ? "" : ", not open yet")")
                continue
            }
            if old.node != tenancy.node {
                add(
                    "tenancy-moves", true,
                    "\(tenancy.id) is on \(tenancy.node), it was on \(old.node): its open appeals do not follow; name a new "
                        + "tenancy and a dated home instead")
            }
            if old.open != tenancy.open {
                add(
                    tenancy.open ? "tenancy-opens" : "tenancy-closes", !tenancy.open,
                    "\(tenancy.id) \(tenancy.open ? "opens" : "closes")")
            }
            if old.lines != tenancy.lines {
                add(
                    "tenancy-lines", false,
                    "\(tenancy.id) has lines \(tenancy.lines.joined(separator: ", ")), it had \(old.lines.joined(separator: ", "))"
                )
            }
            if old.dueMinutes != tenancy.dueMinutes {
                add(
                    "tenancy-due", false,
                    "\(tenancy.id) answers within \(tenancy.dueMinutes) min, it was \(old.dueMinutes)")
            }
        }
        let gone = live.tenancies.filter { next.tenancy($0.id) == nil }.map(\.id).sorted()
        if !gone.isEmpty {
            add("tenancy-goes", true, "\(TopologyDiff.list(gone)) \(gone.count == 1 ? "is" : "are") not there any more")
        }
    }
}
