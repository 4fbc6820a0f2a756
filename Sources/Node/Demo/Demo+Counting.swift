import Federation

extension Demo {
    /// The ledger, when nothing is under way and nobody has anything to do: every appeal is resolved, or waits where nobody
    /// works.
    func drained() throws -> DemoLedger? {
        let before = try stores()
        guard isQuiet(before) else { return nil }
        let stores = try wholeStores()
        // Each store is read at an instant of its own; where nothing has moved since, they are of one instant.
        guard stores.allSatisfy({ $0.value.lastEvent == before[$0.key]?.lastEvent && $0.value.kept == 0 }) else {
            return nil
        }
        let ledger = try ledger(stores)
        return ledger.figures.inFlight == 0 && ledger.figures.nodesConverged == ledger.figures.nodes ? ledger : nil
    }

    func stores() throws -> [String: DemoStore] { try nodes.mapValues { try $0.readStore() } }

    /// As far as can be said without reading every row.
    func isQuiet(_ stores: [String: DemoStore]) -> Bool {
        stores.values.allSatisfy { $0.kept == 0 } && hasConverged(stores) && isIdle(stores)
    }

    /// Every node has applied what the centre has published: cheap to ask, before every entry is read.
    private func hasConverged(_ stores: [String: DemoStore]) -> Bool {
        guard let centre = stores[Demo.centre] else { return false }
        let published = centre.knowledge[centre.life] ?? 0
        return stores.values.allSatisfy { $0.knowledge[centre.life] ?? 0 == published }
    }

    /// Nothing waits, but where nobody works.
    private func isIdle(_ stores: [String: DemoStore]) -> Bool {
        let closed = Set(topology.tenancies.filter { !$0.open }.map(\.node.text))
        return stores.allSatisfy { closed.contains($0.key) || $0.value.unfinished == 0 }
    }

    /// From the journals and stores as they are now.
    func ledger() throws -> DemoLedger { try ledger(try wholeStores()) }

    private func ledger(_ stores: [String: DemoStore]) throws -> DemoLedger {
        var ledger = DemoLedger(
            journal: try DemoJournal.read(in: options.directory, channels: record.channels), stores: stores,
            tenancies: try tenancies())
        ledger.compare(with: record, stores)
        return ledger
    }

    private func wholeStores() throws -> [String: DemoStore] { try nodes.mapValues { try $0.readStore(whole: true) } }

    /// The figures for people, or as JSON; what is wrong goes to standard error, one line a finding.
    func show(_ ledger: DemoLedger, _ command: ParsedCommand) {
        Output.print(command, ledger.figures, words(ledger.figures))
        let shown = 10
        for finding in ledger.findings.prefix(shown) { Output.error("ledger: \(finding)") }
        if ledger.findings.count > shown { Output.error("ledger: and \(ledger.findings.count - shown) more") }
    }

    private func words(_ ledger: Ledger) -> String {
        let waits = ledger.acceptedWithinP99.map {
            "\naccepted within       \($0) ms, 99 of 100; the slowest \(ledger.acceptedWithinMost ?? 0) ms"
        }
        let changes = ledger.changes == 0 ? "" : ", \(ledger.changes) changes of release"
        return """

            submitted            \(ledger.submitted)    accepted by the centre, as the channels' journals say
              first line         \(ledger.resolvedFirstLine)
              answered           \(ledger.answered)    by line 2 or 2.1
              waiting            \(ledger.waiting)    at a tenancy that is not open
              in flight          \(ledger.inFlight)
              lost               \(ledger.lost)
            duplicated           \(ledger.duplicated)
            escalated, returned  \(ledger.escalated), \(ledger.returned); \(ledger.moved) followed their home to another node
            knowledge            \(ledger.knowledgePublished) entries, applied through the last by \(ledger.nodesConverged) of \(ledger.nodes) nodes
            \(ledger.kills) kills with at least \(ledger.inFlightAtKill) envelopes under way, \(ledger.cuts) cuts\(changes), \(ledger.seconds) s\(waits ?? "")
            """
    }
}
