package import Federation

/// Why an appeal leaves the first line.
package enum EscalationReason: String, Sendable, CaseIterable, Codable {
    /// It needs personal data.
    case personal = "PERSONAL"
    /// It needs special knowledge, and no personal data.
    case special = "SPECIAL"
}

/// Where an appeal goes.
package struct Route: Sendable, Hashable {
    package var tenancy: Topology.Tenancy
    package var node: Topology.Node
    /// The rule that was used, in Russian, for the operator.
    package var explanation: String

    /// A planned or suspended node takes no appeal: `home-not-live`.
    package var isLive: Bool { node.state == .live }
}

/// `route(organisation, subject, reason)`: PERSONAL goes to the pair's home; SPECIAL to the participant's competence
/// centre that lists the subject, else to the home.
package struct Router: Sendable {
    private let inForce: TopologyInForce
    private var topology: Topology { inForce.current }

    package init(_ topology: Topology) { inForce = TopologyInForce(topology) }

    /// Follows what is in force at a node.
    package init(following inForce: TopologyInForce) { self.inForce = inForce }

    /// - Parameter date: ISO 8601 (`2026-11-24`): homes are dated.
    /// - Returns: nil when the topology covers no such pair.
    package func route(organisation: String, subject: String, reason: EscalationReason, on date: String) -> Route? {
        guard
            let goal = topology.destination(of: organisation, subject, isSpecial: reason == .special, on: date)
        else { return nil }
        let rule =
            switch (reason, goal.isCentre) {
            case (_, true): "вопрос специальных знаний: центр компетенций \(goal.tenancy)"
            case (.personal, _):
                "персональные данные: домашний узел пары \(organisation)/\(subject) — \(goal.tenancy)"
            case (.special, _): "вопрос специальных знаний, центра компетенций для субъекта нет: \(goal.tenancy)"
            }
        return route(to: goal.tenancy, rule)
    }

    /// Whether a tenancy of one organisation may have appeals of another: its own, or a predecessor's.
    package func isServed(_ organisation: String, by other: String) -> Bool {
        topology.isServed(organisation, by: other)
    }

    /// The version of the topology in force.
    package var version: UInt64 { topology.version }

    /// Whether a tenancy of a node is one where appeals of the pair are at home, were, or will be.
    package func mayHold(_ tenancy: String, at node: NodeID, organisation: String, subject: String) -> Bool {
        guard let entry = topology.tenancy(tenancy), entry.node == node,
            topology.isServed(organisation, by: entry.organisation)
        else {
            return false
        }
        return topology.homes.contains {
            $0.tenancy == tenancy && $0.organisation == organisation && $0.subjects.contains(subject)
        }
            || topology.special.contains {
                $0.tenancy == tenancy && topology.isServed(organisation, by: $0.organisation)
                    && $0.subjects?.contains(subject) ?? true
            }
    }

    /// Whether a tenancy may take over an appeal that another has, as far as the topology goes: a home that has not ended,
    /// or, of what needs special knowledge only, the centre that lists the subject.
    package func mayFollow(
        _ tenancy: String, at node: NodeID, organisation: String, subject: String, reason: EscalationReason,
        on date: String
    ) -> Bool {
        guard mayHold(tenancy, at: node, organisation: organisation, subject: subject) else { return false }
        let isHome = topology.homes.contains {
            $0.tenancy == tenancy && $0.organisation == organisation && $0.subjects.contains(subject)
                && date < $0.to ?? "9999-12-31"
        }
        return isHome || reason == .special
    }

    /// Whether a node has a tenancy from which appeals of the pair may be passed on.
    package func mayPass(_ organisation: String, _ subject: String, from node: NodeID) -> Bool {
        topology.tenancies.contains {
            $0.node == node && mayHold($0.id, at: node, organisation: organisation, subject: subject)
        }
    }

    package func tenancy(_ id: String) -> Topology.Tenancy? { topology.tenancy(id) }

    private func route(to id: String, _ rule: String) -> Route? {
        guard let tenancy = topology.tenancy(id), let node = topology.node(tenancy.node) else { return nil }
        return Route(tenancy: tenancy, node: node, explanation: "\(rule), узел \(node.id), \(Router.words(node.state))")
    }

    private static func words(_ state: Topology.NodeState) -> String {
        switch state {
        case .planned: "запланирован"
        case .live: "работает"
        case .suspended: "приостановлен"
        case .retired: "выведен"
        }
    }
}
