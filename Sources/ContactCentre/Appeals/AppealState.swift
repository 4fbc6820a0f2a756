/// Where an appeal is. Names as in the API.
package enum AppealState: String, Sendable, Codable, CaseIterable {
    case received
    case queuedL1 = "queued_l1"
    case activeL1 = "active_l1"
    case escalating
    case handedOver = "handed_over"
    case queuedL2 = "queued_l2"
    case queuedL21 = "queued_l21"
    case identityCheck = "identity_check"
    case active
    case returnedL1 = "returned_l1"
    case resolved
    case closed

    /// Nothing more happens to the citizen's question; `resolved` is still closed after 72 h.
    package var isFinal: Bool { self == .resolved || self == .closed }
}

/// What can happen to an appeal.
package enum AppealEvent: String, Sendable, Codable, CaseIterable {
    case queued
    case claimed
    /// Given back by the operator.
    case released
    /// The lease has run out.
    case leaseEnded
    case resolved
    case escalated
    /// The home has applied the escalation.
    case handedOver
    /// The home has refused it.
    case rejected
    case identityConfirmed
    case identityRefused
    case answered
    case returned
    case closed
    /// The centre knows its answer, which this node has forgotten.
    case concluded
    /// The centre has it back, which this node has forgotten.
    case withdrawn
    /// A home has it, which the centre has forgotten.
    case reclaimed
    /// To another home: its home has moved, or line 2 has passed it to line 2.1.
    case passedOn
    /// The other home has not taken it.
    case passRefused
    /// No transition: the other node keeps what was sent to it undecided, until a person there has looked.
    case held
}

/// Who may make a transition.
package enum AppealActor: String, Sendable, Codable, CaseIterable {
    case system
    case firstLine
    case secondLine
    case peer
}

/// The one table of transitions; anything else is `unknown-transition`.
package enum AppealTransitions {
    package struct Edge: Sendable, Hashable {
        package var from: AppealState
        package var event: AppealEvent
        package var to: AppealState
        package var actor: AppealActor
        /// Nil: any.
        package var reason: EscalationReason?
        /// Nil: any. The line at the home: 2, or 2.1 for MSE PERSONAL.
        package var line: String?
    }

    package static let edges: [Edge] = {
        var edges: [Edge] = []
        func edge(
            _ from: AppealState, _ event: AppealEvent, _ to: AppealState, _ actor: AppealActor,
            reason: EscalationReason? = nil, line: String? = nil
        ) {
            edges.append(Edge(from: from, event: event, to: to, actor: actor, reason: reason, line: line))
        }
        edge(.received, .queued, .queuedL1, .system)
        edge(.queuedL1, .claimed, .activeL1, .firstLine)
        edge(.activeL1, .released, .queuedL1, .firstLine)
        edge(.activeL1, .leaseEnded, .queuedL1, .system)
        edge(.activeL1, .resolved, .resolved, .firstLine)
        edge(.activeL1, .escalated, .escalating, .firstLine)
        edge(.escalating, .handedOver, .handedOver, .peer)
        edge(.escalating, .rejected, .queuedL1, .peer)
        // A home that was put back from a backup refuses what it had taken before.
        edge(.handedOver, .rejected, .queuedL1, .peer)
        // A centre that was put back from a backup hears who has it.
        edge(.queuedL1, .reclaimed, .handedOver, .peer)
        edge(.activeL1, .reclaimed, .handedOver, .peer)
        // What the centre keeps of an appeal that is at home elsewhere.
        edge(.handedOver, .answered, .resolved, .peer)
        edge(.handedOver, .returned, .returnedL1, .peer)
        edge(.returnedL1, .queued, .queuedL1, .system)
        for (line, queue) in [("2", AppealState.queuedL2), ("2.1", .queuedL21)] {
            edge(.handedOver, .queued, queue, .system, line: line)
            // The centre has refused what the home gave back: it is the home's again.
            edge(.returnedL1, .rejected, queue, .peer, line: line)
            // A home that was put back from a backup hears what had become of it.
            edge(queue, .concluded, .resolved, .peer, line: line)
            edge(queue, .withdrawn, .returnedL1, .peer, line: line)
            // Its home has moved.
            edge(queue, .passedOn, .escalating, .system, line: line)
            edge(.escalating, .passRefused, queue, .peer, line: line)
            edge(queue, .claimed, .identityCheck, .secondLine, reason: .personal, line: line)
            edge(queue, .claimed, .active, .secondLine, reason: .special, line: line)
            for state in [AppealState.identityCheck, .active] {
                edge(state, .released, queue, .secondLine, line: line)
                edge(state, .leaseEnded, queue, .system, line: line)
            }
        }
        for state in [AppealState.identityCheck, .active] {
            edge(state, .concluded, .resolved, .peer)
            edge(state, .withdrawn, .returnedL1, .peer)
        }
        edge(.identityCheck, .identityConfirmed, .active, .secondLine)
        edge(.identityCheck, .identityRefused, .resolved, .secondLine)
        edge(.active, .answered, .resolved, .secondLine)
        edge(.active, .returned, .returnedL1, .secondLine)
        // T13: from line 2, which takes no personal data, to line 2.1 in the subject.
        edge(.active, .passedOn, .escalating, .secondLine, reason: .special, line: "2")
        // The centre hears it of the new home.
        edge(.handedOver, .passedOn, .handedOver, .peer)
        edge(.resolved, .closed, .closed, .system)
        return edges
    }()

    /// The state after an event.
    /// - Throws: `unknown-transition` when the table has no such edge.
    package static func next(
        _ state: AppealState, _ event: AppealEvent, reason: EscalationReason?, line: String?
    ) throws(DomainError) -> AppealState {
        let edge = edges.first {
            $0.from == state && $0.event == event && ($0.reason == nil || $0.reason == reason)
                && ($0.line == nil || $0.line == line)
        }
        guard let edge else {
            throw DomainError(
                .conflict, "unknown-transition", "an appeal that is \(state.rawValue) cannot be \(event.rawValue)",
                remedy: "read the appeal again: somebody else may have acted on it")
        }
        return edge.to
    }
}
