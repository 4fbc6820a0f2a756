/// Who takes part, and with which tenancies.
extension TopologyDiff {
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
                    "tenancy-comes", false, of: [tenancy.id],
                    "\(tenancy.id) is new, on \(tenancy.node)\(tenancy.open ? "" : ", not open yet")")
                continue
            }
            if old.node != tenancy.node {
                add(
                    "tenancy-moves", true, of: [tenancy.id],
                    "\(tenancy.id) is on \(tenancy.node), it was on \(old.node): its open appeals do not follow; name a new "
                        + "tenancy and a dated home instead")
            }
            if old.open != tenancy.open {
                add(
                    tenancy.open ? "tenancy-opens" : "tenancy-closes", !tenancy.open, of: [tenancy.id],
                    "\(tenancy.id) \(tenancy.open ? "opens" : "closes")")
            }
            if old.lines != tenancy.lines {
                add(
                    "tenancy-lines", false, of: [tenancy.id],
                    "\(tenancy.id) has lines \(tenancy.lines.joined(separator: ", ")), it had \(old.lines.joined(separator: ", "))"
                )
            }
            if old.dueMinutes != tenancy.dueMinutes {
                add(
                    "tenancy-due", false, of: [tenancy.id],
                    "\(tenancy.id) answers within \(tenancy.dueMinutes) min, it was \(old.dueMinutes) min")
            }
        }
        fallbacks()
        let gone = live.tenancies.filter { next.tenancy($0.id) == nil }.map(\.id).sorted()
        if !gone.isEmpty {
            add(
                "tenancy-goes", true, of: gone,
                "\(Words.list(gone)) \(gone.count == 1 ? "is" : "are") not there any more")
        }
    }

    private mutating func fallbacks() {
        let changed = next.tenancies.filter { tenancy in
            live.tenancy(tenancy.id).map { $0.fallback != tenancy.fallback } ?? false
        }
        for (isGone, tenancies) in Dictionary(grouping: changed, by: { $0.fallback == nil }).sorted(by: {
            !$0.key && $1.key
        }) {
            let names = tenancies.map(\.id).sorted()
            let (tell, their) = names.count == 1 ? ("tells", "its node is") : ("tell", "their nodes are")
            add(
                "tenancy-fallback", false, of: names,
                "\(Words.list(names)) \(tell) operators \(isGone ? "nothing any more" : "something else") to say while \(their) "
                    + "not live")
        }
    }
}
