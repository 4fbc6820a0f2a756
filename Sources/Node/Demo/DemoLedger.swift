import ContactCentre
import Federation

/// Compares what the channels were told with what the stores hold. Whatever is not as it should be is a finding.
struct DemoLedger {
    private(set) var figures = Demo.Ledger()
    /// In words, with the appeal or node that it is about.
    private(set) var findings: [String] = []

    var isClean: Bool { findings.isEmpty }

    init(journal: DemoJournal, stores: [String: DemoStore], tenancies: [Topology.Tenancy]) {
        let tenancies = Dictionary(tenancies.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let appeals = DemoAppeal.collect(stores)
        let ids = journal.ids
        figures.submitted = ids.count
        for double in journal.doubles { noteDouble(double) }
        for id in ids.sorted() { judge(id, (appeals[id] ?? DemoAppeal()).verdict(tenancies)) }
        // What no channel was told of would be a second effect of one key.
        for id in appeals.keys.sorted() where !ids.contains(id) { noteDouble("\(id): no channel was told of it") }
        countNumbers(appeals)
        for (name, store) in stores {
            figures.escalated += store.events.count { $0.event == .escalated }
            guard name != Demo.centre else { continue }
            figures.returned += store.events.count { $0.event == .returned }
            figures.moved += store.events.count { $0.event == .passedOn }
        }
    }

    private mutating func noteDouble(_ finding: String) {
        figures.duplicated += 1
        findings.append("doubled: \(finding)")
    }

    private mutating func judge(_ id: String, _ verdict: DemoAppeal.Verdict) {
        for double in verdict.doubles { noteDouble("\(id): \(double)") }
        guard verdict.losses.isEmpty else {
            figures.lost += 1
            findings.append("lost: \(id): \(verdict.losses.joined(separator: "; "))")
            return
        }
        switch verdict.place {
        case .firstLine: figures.resolvedFirstLine += 1
        case .answered: figures.answered += 1
        case .waiting: figures.waiting += 1
        case .inFlight: figures.inFlight += 1
        }
    }

    /// A number is said on the phone: it is one appeal's.
    private mutating func countNumbers(_ appeals: [String: DemoAppeal]) {
        var holders: [String: String] = [:]
        for (id, appeal) in appeals.sorted(by: { $0.key < $1.key }) {
            for number in Set(appeal.rows.values.map(\.number)) {
                guard let other = holders[number] else {
                    holders[number] = id
                    continue
                }
                noteDouble("\(id): its number \(number) is that of \(other) too")
            }
        }
    }

    /// Holds it against what the demo was asked for, when all has drained. What it finds stands before single appeals.
    mutating func compare(with record: DemoRecord, _ stores: [String: DemoStore]) {
        figures.kills = record.kills
        figures.cuts = record.cuts
        figures.changes = record.changes
        figures.inFlightAtKill = record.inFlightAtKill ?? 0
        figures.seconds = record.seconds
        if let waits = record.waits, let most = waits.last {
            figures.acceptedWithinP99 = waits[(waits.count - 1) * 99 / 100]
            figures.acceptedWithinMost = most
        }
        var found: [String] = []
        if figures.submitted != record.appeals {
            found.append("\(record.appeals) appeals were asked for, \(figures.submitted) accepted")
        }
        if figures.inFlight > 0 { found.append("\(figures.inFlight) in flight, though everything had drained") }
        findings = found + compareKnowledge(entries: record.entries, stores) + findings
    }

    /// Converged: it has applied the last published number, and the same entries can be read.
    private mutating func compareKnowledge(entries: Int, _ stores: [String: DemoStore]) -> [String] {
        let centre = stores[Demo.centre] ?? DemoStore()
        let published = centre.knowledge[centre.life] ?? 0
        figures.nodes = stores.count
        figures.knowledgePublished = published
        figures.nodesConverged = 0
        var found: [String] = []
        if centre.entries.count < entries {
            found.append("\(entries) knowledge entries were asked for, \(centre.entries.count) are at the centre")
        }
        for (name, store) in stores.sorted(by: { $0.key < $1.key }) {
            let applied = store.knowledge[centre.life] ?? 0
            guard applied == published, store.entries == centre.entries else {
                found.append(
                    "\(name): knowledge through \(applied) of \(published), \(store.entries.count) entries to read, \(centre.entries.count) at the centre"
                )
                continue
            }
            figures.nodesConverged += 1
        }
        return found
    }
}
