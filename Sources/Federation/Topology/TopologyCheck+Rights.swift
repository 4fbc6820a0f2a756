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

    private struct Need {
        var kind: MessageKind
        var from: String
        var to: String
        var place: Int
    }

    /// What the centre hands over must be able to go there, and what became of it must be able to come back; so must what
    /// homes pass on to each other.
    private mutating func checkHomesHaveRights(_ matrix: Rights) {
        var missing: [String] = []
        var places: [Int] = []
        for need in needs() where !matrix.allows(need.kind, Rights.Pair(from: need.from, to: need.to)) {
            let text = "\(need.kind) from \(need.from) to \(need.to)"
            if !missing.contains(text) {
                missing.append(text)
                if !places.contains(need.place) { places.append(need.place) }
            }
        }
        guard let first = places.first else { return }
        add(
            first, "home-without-rights",
            "homes are there, and this is not allowed: \(missing.joined(separator: ", "))",
            "name it in rights", also: Array(places.dropFirst()))
    }

    private func needs() -> [Need] {
        let centres = firstNodes.filter { $0.value.segment == "centre" }
        guard centres.count == 1, let centre = centres[0].value.id else { return [] }
        var segments: [NodeID: String] = [:]
        for node in firstNodes { if let id = node.value.id { segments[id] = node.value.segment } }
        var seats: [String: Placed<Tenancy>] = [:]
        for tenancy in tenancies { if let id = tenancy.value.id { seats[id] = seats[id] ?? tenancy } }
        func need(_ kinds: [MessageKind], _ from: NodeID?, _ to: NodeID?, _ place: Int) -> [Need] {
            guard let from, let to, from != to, let one = segments[from], let other = segments[to] else { return [] }
            return kinds.map { Need(kind: $0, from: one, to: other, place: place) }
        }
        func seat(_ tenancy: String?) -> NodeID? { tenancy.flatMap { seats[$0]?.value.node } }
        let used = Set(homes.compactMap(\.value.tenancy)).union(special.compactMap(\.value.tenancy))
        var needs: [Need] = []
        for tenancy in tenancies where used.contains(tenancy.value.id ?? "") {
            let (home, place) = (tenancy.value.node, tenancy.place("node"))
            needs += need([.escalation, .status], centre, home, place)
            needs += need([.answer, .returned, .status], home, centre, place)
        }
        // Line 2 of MSE passes on to line 2.1, a home that ends to the next.
        for entry in special where entry.value.organisation == "MSE" {
            for home in homes where home.value.organisation == "MSE" {
                needs += need([.escalation], seat(entry.value.tenancy), seat(home.value.tenancy), home.offset)
            }
        }
        for ending in homes {
            guard let to = ending.value.to else { continue }
            for next in homes where next.value.organisation == ending.value.organisation {
                guard let from = next.value.from, from >= to,
                    !Set(ending.value.subjects ?? []).isDisjoint(with: next.value.subjects ?? [])
                else { continue }
                needs += need([.escalation], seat(ending.value.tenancy), seat(next.value.tenancy), next.offset)
            }
        }
        return needs
    }
}
