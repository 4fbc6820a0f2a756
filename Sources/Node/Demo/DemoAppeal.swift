import ContactCentre
import Federation

/// All that the stores hold of one appeal.
struct DemoAppeal {
    enum Place { case firstLine, answered, waiting, inFlight }

    /// By node.
    private(set) var rows: [String: AppealRecord] = [:]
    private var events: [String: [AppealEventRecord]] = [:]
    /// Nodes, once an entry of a queue there, and which queue.
    private var queued: [(node: String, scope: String)] = []
    /// What was said, by node.
    private var texts: [String: [UInt8]] = [:]
    /// Nodes, once a citizen record there.
    private var citizens: [String] = []
    /// Nodes, once a row beyond the first there.
    private var secondRows: [String] = []
    /// The SPECIAL answer's text is at the centre.
    private var hasAnswer = false
    /// Nodes where its number leads elsewhere, or nowhere.
    private var unnumbered: [String] = []
    /// An envelope with it is kept somewhere.
    private var isCarried = false

    /// - Parameter stores: by node.
    /// - Returns: by id.
    static func collect(_ stores: [String: DemoStore]) -> [String: DemoAppeal] {
        var appeals: [String: DemoAppeal] = [:]
        for (node, store) in stores {
            for row in store.appeals {
                if let number = AppealNumber(row.number), store.numbers[number.key] != row.id {
                    appeals[row.id, default: DemoAppeal()].unnumbered.append(node)
                }
                if appeals[row.id, default: DemoAppeal()].rows.updateValue(row, forKey: node) != nil {
                    appeals[row.id, default: DemoAppeal()].secondRows.append(node)
                }
            }
            for event in store.events {
                appeals[event.appeal, default: DemoAppeal()].events[node, default: []].append(event)
            }
            for entry in store.queued { appeals[entry.id, default: DemoAppeal()].queued.append((node, entry.scope)) }
            for (id, text) in store.texts { appeals[id, default: DemoAppeal()].texts[node] = text }
            if node == Demo.centre {
                for id in store.answers { appeals[id, default: DemoAppeal()].hasAnswer = true }
            }
            for id in store.citizens { appeals[id, default: DemoAppeal()].citizens.append(node) }
            for id in store.carried { appeals[id, default: DemoAppeal()].isCarried = true }
        }
        return appeals
    }

    /// What became of it: it is lost when anything is missing.
    struct Verdict {
        var place: Place
        /// Why it is lost, in words; empty when it is not.
        var losses: [String] = []
        /// One for each effect beyond the first.
        var doubles: [String] = []
    }

    /// - Parameter tenancies: by id.
    func verdict(_ tenancies: [String: Topology.Tenancy]) -> Verdict {
        let tenancy = rows[Demo.centre]?.tenancy.flatMap { tenancies[$0] }
        let home = tenancy?.node.text
        var verdict = Verdict(place: place(tenancy))
        if let loss = whereaboutsLoss(home) { verdict.losses.append(loss) }
        let owners = rows.filter { $0.value.owner == $0.key }.keys.sorted()
        if owners.count > 1 { verdict.doubles.append("owned by \(owners.joined(separator: " and "))") }
        verdict.doubles += secondRows.map { "at \($0): a second row of it" }
        let histories = Set(rows.keys).union(events.keys).sorted().map { node in
            DemoHistory(events[node] ?? [], at: node, until: rows[node]?.state)
        }
        for history in histories {
            verdict.losses += history.gaps
            verdict.doubles += history.doubles
        }
        checkQueues(home, &verdict)
        checkTexts(&verdict)
        if let tenancy = rows[Demo.centre]?.tenancy, let home, let row = rows[home], row.tenancy != tenancy {
            verdict.losses.append("at \(home): it is of \(row.tenancy ?? "nobody"), the centre gave it to \(tenancy)")
        }
        checkCitizens(histories, &verdict)
        checkAnswers(home, &verdict)
        for node in unnumbered.sorted() { verdict.losses.append("at \(node): its number does not lead to it") }
        // With a hole in a history its events cannot be counted against another's.
        if histories.allSatisfy(\.gaps.isEmpty) { compare(histories, &verdict) }
        return verdict
    }

    // MARK: Where it is

    private func isWaiting(_ row: AppealRecord) -> Bool {
        [.queuedL1, .queuedL2, .queuedL21].contains(row.state)
    }

    private func place(_ tenancy: Topology.Tenancy?) -> Place {
        guard let centre = rows[Demo.centre] else { return .inFlight }
        if centre.state.isFinal { return centre.outcome == "first-line" ? .firstLine : .answered }
        guard centre.state == .handedOver, let tenancy, !tenancy.open, let row = rows[tenancy.node.text], isWaiting(row)
        else { return .inFlight }
        return .waiting
    }

    /// Somebody owns it, or it is on its way to somebody.
    private func whereaboutsLoss(_ home: String?) -> String? {
        guard let centre = rows[Demo.centre] else { return "the centre has no row of it" }
        let state = centre.state
        switch state {
        case .received, .queuedL1, .activeL1, .returnedL1:
            return centre.owner == Demo.centre ? nil : "at the centre it is \(state.rawValue), and nobody owns it"
        case .escalating where isCarried, .resolved where centre.outcome == "first-line",
            .closed where centre.outcome == "first-line":
            return nil
        case .escalating, .handedOver, .resolved, .closed:
            guard let home, let row = rows[home], row.ownershipEpoch >= centre.ownershipEpoch else {
                return "at the centre it is \(state.rawValue), and its home \(home ?? "nowhere") has no row of it"
            }
            let isDone = row.state.isFinal || row.owner != home
            if state.isFinal ? row.state.isFinal && row.owner == home : !isDone || isCarried { return nil }
            return
                "at the centre it is \(state.rawValue), at its home \(home) \(row.state.rawValue), and no word is under way"
        case .queuedL2, .queuedL21, .identityCheck, .active:
            return "at the centre it is \(state.rawValue), which is a state of homes"
        }
    }

    // MARK: Effects

    private func checkQueues(_ home: String?, _ verdict: inout Verdict) {
        for node in Set(rows.keys).union(queued.map(\.node)).sorted() {
            let entries = queued.count { $0.node == node }
            // Where a home has lost its row the entry is what is left, not one too many.
            let due = rows[node].map { $0.owner == node && isWaiting($0) } ?? (node == home)
            for entry in queued where entry.node == node && due && entry.scope != rows[node]?.scope ?? entry.scope {
                verdict.losses.append("at \(node): it waits in queue \(entry.scope), where its people do not look")
            }
            if entries == 0, due { verdict.losses.append("at \(node): it waits, and is in no queue") }
            for _ in 0..<max(0, entries - (due ? 1 : 0)) {
                verdict.doubles.append("at \(node): in a queue where it does not wait, or twice")
            }
        }
    }

    private func checkAnswers(_ home: String?, _ verdict: inout Verdict) {
        for (node, row) in rows where row.outcome == "answered" && node != Demo.centre && row.answer?.isEmpty ?? true {
            verdict.losses.append("at \(node): it is answered, and the answer is not there")
        }
        guard let centre = rows[Demo.centre], centre.state.isFinal, let home, let row = rows[home] else { return }
        if row.state.isFinal, row.outcome != centre.outcome {
            verdict.losses.append(
                "\(centre.outcome ?? "nothing"), says the centre; \(row.outcome ?? "nothing"), says \(home)")
        }
        let isRecent = centre.resolvedAt.map { Clocks.wall().milliseconds - $0 < 23 * 3_600_000 } ?? true
        if centre.reason == .special, centre.outcome == "answered", isRecent, !hasAnswer {
            verdict.losses.append("at the centre: the answer's text is not there")
        }
    }

    /// Who owns it has what was said; and where two have it, it is the same to the byte.
    private func checkTexts(_ verdict: inout Verdict) {
        // A home keeps it; from the centre it goes, 24 h after the appeal has left the first line.
        for (node, row) in rows
        where row.owner == node && (node != Demo.centre || !row.state.isFinal) && texts[node] == nil {
            verdict.losses.append("at \(node): what was said is not there")
        }
        for (node, row) in rows
        where node != Demo.centre && row.owner != node && row.state == .handedOver && texts[node] != nil {
            verdict.doubles.append("at \(node): what was said in an appeal that has left")
        }
        if Set(texts.values).count > 1 { verdict.losses.append("what was said differs between its nodes") }
        for (node, text) in texts where History(bytes: text) == nil {
            verdict.losses.append("at \(node): what was said cannot be read")
        }
    }

    private func checkCitizens(_ histories: [DemoHistory], _ verdict: inout Verdict) {
        for _ in citizens.dropFirst() { verdict.doubles.append("citizen records at \(citizens.sorted())") }
        for history in histories {
            let isConfirmed = history.count(.identityConfirmed) > 0
            let isKept = citizens.contains(history.node)
            // Whoever has passed an appeal on keeps nothing of its citizen.
            let isGone = rows[history.node]?.state == .handedOver
            if isGone, isKept {
                verdict.doubles.append("at \(history.node): a citizen record of an appeal that has left")
            }
            if isConfirmed, !isKept, !isGone {
                verdict.losses.append("at \(history.node): the identity is confirmed, and there is no citizen record")
            } else if isKept, !isConfirmed, history.gaps.isEmpty {
                verdict.doubles.append("at \(history.node): a citizen record, and no identity was confirmed")
            }
        }
    }

    /// What one node has done is held against what the other knows of it.
    private func compare(_ histories: [DemoHistory], _ verdict: inout Verdict) {
        let centre = histories.first { $0.node == Demo.centre }
        let homes = histories.filter { $0.node != Demo.centre }
        func atCentre(_ event: AppealEvent) -> Int { centre?.count(event) ?? 0 }
        func atHomes(_ event: AppealEvent) -> Int { homes.map { $0.count(event) }.reduce(0, +) }
        let arrivals = homes.map(\.arrivals).reduce(0, +)
        let escalations = atCentre(.escalated) - atCentre(.rejected) + atHomes(.passedOn) - atHomes(.passRefused)
        let answers = atHomes(.answered) + atHomes(.identityRefused)
        if arrivals > escalations {
            verdict.doubles.append("it came to homes \(arrivals) times, and was escalated \(escalations) times")
        }
        if answers + atCentre(.resolved) > 1 {
            verdict.doubles.append("answered \(answers + atCentre(.resolved)) times")
        }
        for (event, here, there) in [
            (AppealEvent.handedOver, atCentre(.handedOver) + atCentre(.passedOn), arrivals),
            (.passedOn, atCentre(.passedOn), atHomes(.passedOn)),
            (.returned, atCentre(.returned), atHomes(.returned)), (.answered, atCentre(.answered), answers),
        ] where here > there {
            verdict.losses.append("\(event.rawValue) \(here) times, says the centre; of its homes \(there) times")
        }
    }
}
