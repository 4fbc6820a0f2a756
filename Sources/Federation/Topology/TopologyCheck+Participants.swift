/// Who takes part, from when to when, and who goes on after: all of it is data.
extension TopologyDraft {
    struct Participant: Hashable {
        var id: String?
        var from: String?
        var to: String?
        var successor: String?

        var whole: Topology.Participant? {
            id.map { Topology.Participant(id: $0, from: from, to: to, successor: successor) }
        }
    }

    static func participant(_ entry: inout EntryReader) -> Participant {
        entry.remarks(texts: ["name"])
        var participant = Participant(
            id: entry.code("id"), from: entry.optionalDate("from"), to: entry.optionalDate("to"),
            successor: entry.code("successor"))
        if let from = participant.from, let to = participant.to, to <= from {
            entry.fault("to", "bad-date", "it ends on \(to), before it begins", "name a later day")
            participant.to = nil
        }
        if participant.successor != nil, participant.to == nil, !entry.faulty.contains("to") {
            entry.fault("successor", "successor-without-end", "somebody goes on, and it has no end", "add \"to\"")
        }
        return participant
    }

    mutating func checkParticipants() {
        var known: [String: Placed<Participant>] = [:]
        for entry in participants {
            guard let id = entry.value.id, known.updateValue(entry, forKey: id) != nil else { continue }
            add(
                entry.place("id"), "duplicate-participant", "participant \"\(id)\" stands twice",
                "remove one of the two")
        }
        for entry in participants {
            guard let id = entry.value.id, let to = entry.value.to, let name = entry.value.successor else { continue }
            guard let next = known[name] else {
                add(
                    entry.place("successor"), "unknown-participant", "\"\(name)\" is no participant",
                    "add it, or name one that is there")
                continue
            }
            let chain = Topology.successors(of: id, participants.compactMap(\.value.whole))
            if known[chain[chain.count - 1]]?.value.successor != nil {
                add(
                    entry.place("successor"), "successor-loop",
                    "\(chain.joined(separator: " → ")) comes back to itself",
                    "let the last have no successor")
            } else if let from = next.value.from, from > to {
                add(
                    entry.place("to"), "successor-late", "\(id) ends on \(to), \(name) begins on \(from)",
                    "let the two days be the same")
            }
        }
        checkEnds(known)
    }

    /// What is a home after its participant has ended is one of the successor's, and none is before.
    private mutating func checkEnds(_ known: [String: Placed<Participant>]) {
        let owners = Dictionary(
            tenancies.map { ($0.value.id ?? "", $0.value.organisation ?? "") }, uniquingKeysWith: { first, _ in first })
        for home in homes {
            guard let organisation = home.value.organisation, let from = home.value.from,
                let owner = home.value.tenancy.flatMap({ owners[$0] })
            else { continue }
            if let begin = known[owner]?.value.from, from < begin {
                add(
                    home.place("from"), "participant-not-yet", "\(owner) takes part from \(begin) on",
                    "begin this home on \(begin)")
            }
            guard let end = known[organisation]?.value.to else { continue }
            if owner == organisation, home.value.to.map({ end < $0 }) ?? true {
                add(
                    home.offset, "participant-ended", "\(organisation) ends on \(end), and this home does not",
                    "end it on \(end), and begin one at a tenancy of \(known[organisation]?.value.successor ?? "its successor")"
                )
            } else if owner != organisation, from < end {
                add(
                    home.place("from"), "successor-early",
                    "\(organisation) is there until \(end), this home is of \(owner)",
                    "begin it on \(end)")
            }
        }
    }
}
