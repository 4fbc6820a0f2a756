import Federation
import SampleData

@testable import ContactCentre
@testable import Node

/// The stores of a small demo that has drained: `a` resolved by the first line, `b` answered at subject-77, `c` waiting at
/// subject-78, which is not open, `d` given back by cc-fss once and answered there.
struct LedgerScene {
    var journal = DemoJournal()
    var stores: [String: DemoStore] = [:]
    private var instant: Int64 = 0

    init() throws {
        for id in ["a", "b", "c", "d"] {
            journal.sent.insert("key-\(id)")
            journal.accepted.append(DemoJournal.Acceptance(key: "key-\(id)", id: id))
        }
        let escalated: [AppealEvent] = [.queued, .claimed, .escalated, .handedOver]
        try add("a", at: "centre", [.queued, .claimed, .resolved], owner: "centre", epoch: 1, outcome: "first-line")
        try add("b", at: "centre", escalated + [.answered], tenancy: "OSZN/77", epoch: 2, outcome: "answered")
        try add(
            "b", at: "subject-77", [.queued, .claimed, .identityConfirmed, .answered], owner: "subject-77",
            tenancy: "OSZN/77", epoch: 2, outcome: "answered")
        try add("c", at: "centre", escalated, tenancy: "OSZN/78", epoch: 2)
        try add("c", at: "subject-78", [.queued], owner: "subject-78", tenancy: "OSZN/78", epoch: 2)
        try add(
            "d", at: "centre", escalated + [.returned] + escalated + [.answered], .special, tenancy: "FSS/centre",
            epoch: 4, outcome: "answered")
        try add(
            "d", at: "cc-fss", [.queued, .claimed, .returned, .queued, .claimed, .answered], .special, owner: "cc-fss",
            tenancy: "FSS/centre", epoch: 4, outcome: "answered")
        stores["subject-77"]?.citizens = ["b"]
        stores["subject-78"]?.queued = [("c", "OSZN/78 2")]
        for (id, nodes) in [
            ("b", ["centre", "subject-77"]), ("c", ["centre", "subject-78"]), ("d", ["centre", "cc-fss"]),
        ] {
            let said = try History([Utterance(at: "2026-11-24T09:15:00.123Z", author: .citizen, text: "text of \(id)")])
            for node in nodes { stores[node]?.texts[id] = said.bytes }
        }
        stores["centre"]?.answers = ["d"]
    }

    private mutating func add(
        _ id: String, at node: String, _ events: [AppealEvent], _ reason: EscalationReason = .personal,
        owner: String? = nil, tenancy: String? = nil, epoch: Int, outcome: String? = nil
    ) throws {
        var state: AppealState = node == "centre" ? .received : .handedOver
        for event in events {
            if node != "centre", state == .returnedL1 { state = .handedOver }
            let next = try AppealTransitions.next(state, event, reason: reason, line: node == "centre" ? nil : "2")
            record(id, at: node, event, from: state, to: next)
            state = next
        }
        stores[node, default: DemoStore()].appeals.append(
            AppealRecord(
                id: id, number: "number of \(id)", channel: .form, receivedAt: 0, organisation: "OSZN", subject: "77",
                state: state, owner: owner, ownershipEpoch: epoch, reason: reason, tenancy: tenancy, place: 0,
                outcome: outcome, answer: node != "centre" && outcome == "answered" ? "Ответ." : nil))
    }

    /// One more event, at the end.
    mutating func record(
        _ id: String, at node: String, _ event: AppealEvent, from: AppealState, to: AppealState
    ) {
        instant += 1
        stores[node, default: DemoStore()].events.append(
            AppealEventRecord(
                appeal: id, from: from, to: to, event: event, actor: "somebody", role: .system, at: instant, node: node)
        )
    }

    mutating func change(_ id: String, at node: String, _ edit: (inout AppealRecord) -> Void) {
        guard let index = stores[node]?.appeals.firstIndex(where: { $0.id == id }) else { return }
        if var row = stores[node]?.appeals[index] {
            edit(&row)
            stores[node]?.appeals[index] = row
        }
    }

    mutating func remove(_ id: String, at node: String) { stores[node]?.appeals.removeAll { $0.id == id } }

    mutating func removeEvents(_ id: String, at node: String, _ event: AppealEvent? = nil) {
        stores[node]?.events.removeAll { $0.appeal == id && (event == nil || $0.event == event) }
    }

    /// An appeal that has gone on to another state at the centre, its events with it, and not further.
    mutating func setBack(_ id: String, to state: AppealState, dropping events: Set<AppealEvent>) {
        stores["centre"]?.events.removeAll { $0.appeal == id && events.contains($0.event) }
        change(id, at: "centre") { row in
            row.state = state
            row.outcome = nil
        }
    }

    func ledger() throws -> DemoLedger {
        DemoLedger(
            journal: journal, stores: stores, tenancies: try Topology.read(SampleData.demoTopology).tenancies)
    }
}
