/// Rights across a topology file: each names segments that are there, once; links and homes have those that they need.
extension TopologyDraft {
    struct Right: Hashable {
        var from: [String]?
        var to: [String]?
        var kinds: [String]?
    }

    static func right(_ entry: inout EntryReader) -> Right {
        Right(
            from: entry.names("from"), to: entry.names("to"),
            kinds: entry.kinds("kinds"))
    }

    /// The matrix, as far as it could be read.
    var matrix: Rights {
        var matrix = Rights()
        for right in rights { for (pair, kind) in TopologyDraft.cells(right.value) { matrix.allow(kind, pair) } }
        return matrix
    }

    private static func cells(_ right: Right) -> [(Rights.Pair, MessageKind)] {
        var cells: [(Rights.Pair, MessageKind)] = []
        for from in right.from ?? [] {
            for to in right.to ?? [] {
                for kind in (right.kinds ?? []).compactMap(MessageKind.init(name:)) {
                    cells.append((Rights.Pair(from: from, to: to), kind))
                }
            }
        }
        return cells
    }

    mutating func checkRights() {
        guard lists["rights"] != nil else { return }
        var seen: [Rights.Pair: [MessageKind: Int]] = [:]
        for right in rights {
            for (pair, kind) in TopologyDraft.cells(right.value) {
                if let other = seen[pair]?[kind] {
                    add(
                        right.offset, "right-twice", "\(kind) from \(pair.from) to \(pair.to) is allowed already",
                        "leave one of the two", also: [other])
                    break
                }
                seen[pair, default: [:]][kind] = right.offset
            }
        }
        // What an entry with a fault allows cannot be known.
        guard rights.allSatisfy({ $0.faulty.isEmpty }) else { return }
        checkJoined(matrix)
        checkHomesHaveRights(matrix)
    }

    private func segment(of node: NodeID?) -> String? { firstNodes.first { $0.value.id == node }?.value.segment }

    private mutating func checkJoined(_ matrix: Rights) {
        var told: Set<Set<String>> = []
        for link in links {
            guard let one = segment(of: link.value.dials), let other = segment(of: link.value.listens), one != other,
                !matrix.joins(one, other), told.insert([one, other]).inserted
            else { continue }
            add(
                link.offset, "link-without-rights", "no right joins segments \(one) and \(other)",
                "remove the link, or name in rights what may go between them")
        }
    }

    /// What the centre hands over must be able to go there, and what became of it must be able to come back.
    private mutating func checkHomesHaveRights(_ matrix: Rights) {
        guard let centre = firstNodes.first(where: { $0.value.segment == "centre" })?.value.segment else { return }
        let used = Set(homes.compactMap(\.value.tenancy)).union(special.compactMap(\.value.tenancy))
        var missing: [String] = []
        var places: [Int] = []
        var told: Set<String> = []
        for tenancy in tenancies {
            guard let id = tenancy.value.id, used.contains(id), let home = segment(of: tenancy.value.node),
                home != centre, told.insert(home).inserted
            else { continue }
            let there = [MessageKind.escalation].filter { !matrix.allows($0, Rights.Pair(from: centre, to: home)) }
            let back = [MessageKind.answer, .returned, .status].filter {
                !matrix.allows($0, Rights.Pair(from: home, to: centre))
            }
            missing += there.map { "\($0) from \(centre) to \(home)" } + back.map { "\($0) from \(home) to \(centre)" }
            if !there.isEmpty || !back.isEmpty { places.append(tenancy.place("node")) }
        }
        guard let first = places.first else { return }
        add(
            first, "home-without-rights",
            "homes are there, and this is not allowed: \(missing.joined(separator: ", "))",
            "name it in rights", also: Array(places.dropFirst()))
    }
}
