import ContactCentre

/// The events of one appeal at one node, held against the table of transitions: they must lead from its first state there
/// to the one that its row says, each once.
struct DemoHistory {
    private struct Step: Hashable {
        var from: AppealState?
        var event: AppealEvent
        var to: AppealState

        init(_ edge: AppealTransitions.Edge) { (from, event, to) = (edge.from, edge.event, edge.to) }
        init(_ record: AppealEventRecord) { (from, event, to) = (record.from, record.event, record.to) }
    }

    private static let edges = Set(AppealTransitions.edges.map(Step.init))

    let node: String
    /// The events that fit.
    private(set) var steps: [AppealEventRecord] = []
    /// Each is a second effect.
    private(set) var doubles: [String] = []
    /// Each stands for events that must have been there.
    private(set) var gaps: [String] = []

    /// - Parameters:
    ///   - events: in their order.
    ///   - end: the state of the row; nil when there is none.
    init(_ events: [AppealEventRecord], at node: String, until end: AppealState?) {
        self.node = node
        var state: AppealState = node == Demo.centre ? .received : .handedOver
        var known: Set<AppealEventRecord> = []
        // Under the ownership of now; a new one begins when an appeal comes, or comes back.
        var seen: Set<Step> = []
        for event in events {
            let step = Step(event)
            // What was only noted, such as that a message is held elsewhere, moves nothing.
            if event.from == event.to, !DemoHistory.edges.contains(step) { continue }
            let fits = DemoHistory.edges.contains(step) && (event.from == state || comesAgain(event, after: state))
            if !known.insert(event).inserted || !fits && seen.contains(step) {
                doubles.append("at \(node): \(event.event.rawValue) a second time")
                continue
            }
            if fits {
                if begins(event) { seen = [] }
                steps.append(event)
            } else {
                gaps.append(
                    "at \(node): \(event.event.rawValue) from \(event.from?.rawValue ?? "nothing"), and no event led there"
                )
            }
            seen.insert(step)
            state = event.to
        }
        if let end, end != state {
            gaps.append("at \(node): it is \(end.rawValue), and its events end with \(state.rawValue)")
        } else if end == nil, !events.isEmpty {
            gaps.append("at \(node): there are events of it, and no row")
        }
    }

    func count(_ event: AppealEvent) -> Int { steps.count { $0.event == event } }

    /// Arrivals at a home.
    var arrivals: Int { steps.count { $0.event == .queued && $0.from == .handedOver } }

    /// What a home has given back may come to it once more.
    private func comesAgain(_ event: AppealEventRecord, after state: AppealState) -> Bool {
        node != Demo.centre && [.returnedL1, .handedOver].contains(state) && event.from == .handedOver
    }

    private func begins(_ event: AppealEventRecord) -> Bool {
        event.event == .rejected
            || event.event == .queued && (event.from == .handedOver || event.from == .returnedL1)
    }
}
