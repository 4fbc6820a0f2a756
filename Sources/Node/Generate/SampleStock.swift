import ContactCentre
import Federation

/// Years of work in a centre's store: appeals that are closed, and such as wait, made by the same operations by which they
/// would have come, only with another clock. For measuring; the node must be stopped.
struct SampleStock {
    struct Count: Codable, Equatable {
        var closed = 0
        var queued = 0
        var otherwise = 0
        /// Rows of the first line's queue.
        var inQueue = 0
        /// Numbers that lead to an appeal.
        var numbers = 0
        var events = 0
    }

    /// Appeals in one commit.
    private static let group = 1000
    private static let person = Operator(name: "generator", desk: .firstLine)
    /// Closed appeals are spread over so many days that 10,400 are of each (mission, item 3).
    private static let aDay = 10_400

    private let store: Store
    private let desk: Desk<Outbox>
    private let sample: SampleAppeals
    private let clock: Monitor<Timestamp>

    /// - Throws: `not-the-centre`; `store-in-use` when the node runs.
    init(_ folder: NodeFolder, seed: UInt64) throws {
        let settings = try folder.settings()
        let topology = try folder.trust.load().inForce.topology
        guard let id = NodeID(settings.node), topology.centre == id else {
            throw FederationError(
                "not-the-centre", "\(settings.node) has no first line", remedy: "name the folder of the centre")
        }
        let clock = Monitor(Clocks.wall())
        self.clock = clock
        store = try Store.open(
            directory: folder.storeFolder, tables: ContactCentreTables.all, limits: settings.limits,
            newIncarnation: Incarnation(bits: Random.id128()), clock: { clock.changeQuietly { $0 } })
        desk = Desk(
            node: id, centre: id, router: Router(topology),
            sender: Outbox(
                node: id, incarnation: store.incarnation,
                permit: { topology.allows($0, from: id, to: $1) ? topology.version : nil }),
            random: Random.id128)
        sample = try SampleAppeals(seed: seed, subjects: topology.subjects)
    }

    func close() { store.close() }

    /// Closes appeals of the past, then lets others wait since just now.
    func make(closed: Int, queued: Int, progress: (Int) -> Void) throws {
        let now = Clocks.wall().milliseconds
        let aDay = Int64(SampleStock.aDay)
        for start in stride(from: 0, to: closed, by: SampleStock.group) {
            // The last is closed now, 72 h after its answer.
            let age = Int64(closed - start) * 86_400_000 / aDay + 73 * 3_600_000
            clock.change { $0 = Timestamp(milliseconds: now - age) }
            try commit(start..<min(start + SampleStock.group, closed), isAnswered: true)
            try letPass()
            progress(min(start + SampleStock.group, closed))
        }
        clock.change { $0 = Timestamp(milliseconds: now) }
        try letPass()
        for start in stride(from: 0, to: queued, by: SampleStock.group) {
            try commit(
                closed + start..<closed + min(start + SampleStock.group, queued), isAnswered: false)
            progress(closed + min(start + SampleStock.group, queued))
        }
    }

    private func commit(_ numbers: Range<Int>, isAnswered: Bool) throws {
        try store.write(.intake) { [desk, sample] transaction in
            for number in numbers {
                let one = sample.submission(number)
                let intake = Intake(
                    channel: .form, site: one.site, organisation: one.organisation, subject: one.subject,
                    topic: one.topic, history: try History(one.said))
                let appeal = try desk.accept(intake, in: transaction)
                guard isAnswered, let id = AppealID(appeal.id) else { continue }
                let (_, claim) = try desk.claim(id, by: SampleStock.person, in: transaction)
                _ = try desk.resolve(
                    id, claim: claim.number, entry: nil, reason: "general", by: SampleStock.person, in: transaction)
            }
        }
    }

    private func letPass() throws {
        while try store.write(
            .essential, { [desk] transaction in try desk.passTime(limit: 4 * SampleStock.group, in: transaction) })
        {}
    }

    /// Every row is looked at.
    func count() throws -> Count {
        try store.read { transaction throws(StoreError) in
            var count = Count()
            try AppealLookup.eachState(in: transaction) { state in
                switch state {
                case .closed: count.closed += 1
                case .queuedL1: count.queued += 1
                default: count.otherwise += 1
                }
            }
            count.inQueue = try transaction.count(.queue)
            count.numbers = try transaction.count(.numbers)
            count.events = try transaction.count(.events)
            return count
        }
    }
}
