import FederationTestKit

@testable import ContactCentre
@testable import Federation

/// People at the centre and in the regions, on the real desks: appeals come, are escalated, passed on, given back and
/// answered, while the newer topology moves a home from one region to the other, at each node at an instant of its own.
extension World {
    private static func topologyText(_ homes: String) -> String {
        """
        { "format": 2, "version": 1, "federation": "ekc.test",
          "segments": [ {"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"} ],
          "nodes": [
            {"id": "centre", "segment": "centre", "state": "live", "addresses": []},
            {"id": "relay", "segment": "oszn", "state": "live", "addresses": ["127.0.0.1:0"]},
            {"id": "region-a", "segment": "oszn", "subject": "77", "state": "live", "addresses": []},
            {"id": "region-b", "segment": "oszn", "subject": "78", "state": "live", "addresses": []} ],
          "rights": [
            {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
            {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]}],
          "tenancies": [
            {"id": "OSZN/77", "organisation": "OSZN", "node": "region-a", "lines": ["2"], "open": true, "dueMinutes": 9},
            {"id": "OSZN/78", "organisation": "OSZN", "node": "region-b", "lines": ["2"], "open": true, "dueMinutes": 9},
            {"id": "MSE/77", "organisation": "MSE", "node": "region-a", "lines": ["2.1"], "open": true, "dueMinutes": 9},
            {"id": "MSE/centre", "organisation": "MSE", "node": "region-b", "lines": ["2"], "open": true, "dueMinutes": 9} ],
          "homes": [ \(homes),
            {"organisation": "MSE", "subjects": ["77"], "tenancy": "MSE/77", "from": "1960-01-01"} ],
          "special": [ {"organisation": "MSE", "subjects": "all", "tenancy": "MSE/centre"} ],
          "links": [ {"dials": "centre", "listens": "relay"}, {"dials": "region-a", "listens": "relay"},
            {"dials": "region-b", "listens": "relay"} ] }
        """
    }

    private static let before = topologyText(
        #"{"organisation": "OSZN", "subjects": ["77"], "tenancy": "OSZN/77", "from": "1960-01-01"}"#)
    private static let after = topologyText(
        #"{"organisation": "OSZN", "subjects": ["77"], "tenancy": "OSZN/77", "from": "1960-01-01", "to": "1970-01-01"}, "#
            + #"{"organisation": "OSZN", "subjects": ["77"], "tenancy": "OSZN/78", "from": "1970-01-01"}"#
    ).replacing("\"version\": 1", with: "\"version\": 2")

    private func topology(_ text: String) -> Topology? {
        do { return try Topology.read(Array(text.utf8)) } catch {
            violations.append("the topology: \(error)")
            return nil
        }
    }

    private static let people: [String: [Operator]] = [
        "centre": [Operator(name: "first", desk: .firstLine)],
        "region-a": [
            Operator(name: "a", desk: .secondLine(tenancy: "OSZN/77", line: "2")),
            Operator(name: "mse-a", desk: .secondLine(tenancy: "MSE/77", line: "2.1")),
        ],
        "region-b": [
            Operator(name: "b", desk: .secondLine(tenancy: "OSZN/78", line: "2")),
            Operator(name: "mse-b", desk: .secondLine(tenancy: "MSE/centre", line: "2")),
        ],
    ]

    private var offices: [SimulatedNode] {
        World.people.keys.sorted().compactMap { NodeID($0).flatMap { nodes[$0] } }
    }

    func openDesk(_ node: SimulatedNode) {
        guard let outbox = node.outbox, let centre = NodeID("centre") else { return }
        if node.homes == nil { node.homes = topology(World.before).map { TopologyInForce($0) } }
        guard let homes = node.homes else { return }
        nonisolated(unsafe) let world = self
        let desk = Desk(
            node: node.name, centre: centre, router: Router(following: homes), sender: outbox,
            random: { world.randomID() })
        node.desk = desk
        node.application?.office = ContactCentreApplication(desk)
        lookForMoved(node)
    }

    func openOffices() {
        for number in 0..<40 { at(Int64(draw(0..<4000))) { [unowned self] in accept(number) } }
        every(30) { [unowned self] in for node in offices { work(node) } }
        every(200) { [unowned self] in for node in offices { passTime(node) } }
    }

    /// The newer topology is here.
    func moveHomes(_ node: SimulatedNode) {
        guard let homes = node.homes, let next = topology(World.after) else { return }
        homes.replace(with: next, denied: [])
        lookForMoved(node)
    }

    private func write(
        _ node: SimulatedNode, _ body: @escaping (Desk<Outbox>, borrowing WriteTransaction) throws -> Void
    ) {
        guard node.isUp, let desk = node.desk else { return }
        enqueue(
            node,
            WriteJob(.essential) { transaction in
                try body(desk, transaction)
            } completion: { _ in
            })
    }

    private func lookForMoved(_ node: SimulatedNode) {
        write(node) { desk, transaction in
            try desk.pass(try desk.moved(after: [], at: transaction.now, in: transaction).found, in: transaction)
        }
    }

    private func passTime(_ node: SimulatedNode) {
        write(node) { desk, transaction in while try desk.passTime(in: transaction) {} }
    }

    /// As a node does that was put back.
    func reconcile(_ node: SimulatedNode) {
        write(node) { desk, transaction in
            guard try transaction.number(MetaKey.reconcile) != 0 else { return }
            var last: [UInt8]? = []
            while let start = last { last = try desk.askWhatIsMine(after: start, in: transaction) }
            try transaction.setNumber(MetaKey.reconcile, 0)
        }
    }

    private func accept(_ number: Int) {
        guard let node = NodeID("centre").flatMap({ nodes[$0] }), node.isUp, let desk = node.desk else { return }
        let life = node.life
        var told: String?
        let job = WriteJob(.intake) { transaction in
            let history = try History([Utterance(at: "1970-01-01T00:00:00.000Z", author: .citizen, text: "Когда?")])
            let intake = Intake(
                channel: .chat, site: nil, organisation: number % 3 == 0 ? "MSE" : "OSZN", subject: "77", topic: nil,
                history: history)
            told = try desk.accept(intake, in: transaction).id
        } completion: { [unowned self] result in
            guard case .success = result, node.life == life, let told else { return }
            appeals.append(told)
        }
        enqueue(node, job)
    }

    /// Each person does the next thing: with what is held, or with the first that waits.
    private func work(_ node: SimulatedNode) {
        guard node.isUp, let desk = node.desk else { return }
        for person in World.people[node.name.text] ?? [] {
            let mood = draw(0..<8)
            let held = try? Store.read(node.engine) { transaction throws(StoreError) in
                try desk.held(by: person, in: transaction).first
            }
            var done: String?
            let job = WriteJob(.people) { transaction in
                let (appeal, claim) =
                    if let held, let claim = held.claim { (held.appeal, claim) } else {
                        try desk.claim(nil, by: person, in: transaction)
                    }
                guard let id = AppealID(appeal.id) else { return }
                done = try World.act(desk, appeal, id, claim.number, mood, person, in: transaction)
            } completion: { [unowned self] result in
                if case .success = result, let done { met("appeal \(done)") }
            }
            enqueue(node, job)
        }
    }

    private static let citizen = CitizenRecord(
        name: "Образцова", birthDate: "1960-02-29", snils: "112-233-445 95", phone: nil, address: nil)

    private static func act(
        _ desk: Desk<Outbox>, _ appeal: AppealRecord, _ id: AppealID, _ claim: Int, _ mood: Int, _ person: Operator,
        in transaction: borrowing WriteTransaction
    ) throws -> String? {
        switch (appeal.state, mood) {
        case (_, 0): return "claimed"
        case (_, 1):
            _ = try desk.release(id, claim: claim, by: person, in: transaction)
            return "released"
        case (.activeL1, 2):
            _ = try desk.resolve(id, claim: claim, entry: nil, reason: "general", by: person, in: transaction)
            return "resolved"
        case (.activeL1, _):
            let reason: EscalationReason = appeal.organisation == "MSE" && mood < 7 ? .special : .personal
            _ = try desk.escalate(id, claim: claim, reason: reason, by: person, in: transaction)
            return "escalated"
        case (.identityCheck, 2):
            _ = try desk.refuseIdentity(id, claim: claim, by: person, in: transaction)
            return "refused"
        case (.active, 3) where appeal.reason == .special, (.active, 4) where appeal.reason == .special:
            _ = try desk.passToSubject(id, claim: claim, by: person, in: transaction)
            return "passed"
        default:
            if appeal.state == .identityCheck {
                _ = try desk.confirmIdentity(id, claim: claim, citizen: citizen, by: person, in: transaction)
            }
            if mood == 5, appeal.returns < 2 {
                _ = try desk.giveBack(id, claim: claim, code: "general", by: person, in: transaction)
                return "given back"
            }
            _ = try desk.answer(id, claim: claim, text: "Да.", delivery: "call", by: person, in: transaction)
            return "answered"
        }
    }

    // MARK: Promises

    private func records(_ node: SimulatedNode, _ text: String) -> AppealRecord? {
        guard let id = AppealID(text) else { return nil }
        return try? Store.read(node.engine) { transaction throws(StoreError) in
            try AppealLookup.appeal(id, in: transaction)
        }
    }

    func appealsAreDone() -> Bool {
        guard let centre = NodeID("centre").flatMap({ nodes[$0] }) else { return true }
        return appeals.allSatisfy { text in
            guard let appeal = records(centre, text), appeal.state == .resolved else { return false }
            return offices.allSatisfy { node in
                guard let record = records(node, text) else { return true }
                return record.state.isFinal || record.owner == nil && record.state != .escalating
            }
        }
    }

    /// Each appeal that a channel was told of is done, at one place, once.
    func checkAppeals() {
        guard let centre = NodeID("centre").flatMap({ nodes[$0] }), !appeals.isEmpty else { return }
        for text in appeals {
            guard let appeal = records(centre, text), appeal.state == .resolved else {
                let isKept = offices.contains { node in
                    node.name != centre.name
                        && AppealID(text).map { node.engine.committed[.text]?.index(of: $0.key) != nil } ?? false
                }
                if hasBeenPutBack.count < 2 || isKept {
                    violations.append("appeal \(text) is not done: \(story(text))")
                }
                // Who had it and who had passed it on have both forgotten it: gap-lost says so.
                met("appeal lost with two disks")
                continue
            }
            checkPlace(of: text, appeal)
            let answers = offices.reduce(0) { $0 + self.answers(text, at: $1) }
            if answers > 1 {
                if hasBeenPutBack.isEmpty { violations.append("appeal \(text) was answered \(answers) times") }
                met("appeal answered twice after a restore")
            }
        }
        for node in offices {
            for table in [Table.queue, .claims] where node.engine.committed[table]?.keys.isEmpty == false {
                let left = node.engine.committed[table]?.keys.count ?? 0
                // Accepted, but nobody was told: it waits, too.
                if node.name != centre.name { violations.append("\(node.name): \(left) rows left in \(table.name)") }
            }
        }
        let moved = appeals.filter { text in
            offices.contains { records($0, text)?.home == "region-b" && $0.name.text == "region-a" }
        }
        met("appeal followed its home", moved.count)
    }

    /// Until the centre has told it, a home that was put back works on what it has given back, passed on or answered; when
    /// two were put back, a text may be gone.
    private func checkPlace(of text: String, _ appeal: AppealRecord) {
        let home = appeal.home ?? "centre"
        let isRight = offices.allSatisfy { node in
            let isHome = node.name.text == home
            guard let record = records(node, text) else { return !isHome }
            return (record.owner == node.name.text) == isHome
                && (!isHome || record.ownershipEpoch == appeal.ownershipEpoch)
        }
        guard !isRight else { return }
        if hasBeenPutBack.isEmpty { violations.append("appeal \(text) is not at \(home) alone: \(story(text))") }
        met("appeal at two places after a restore")
    }

    /// What each node knows of it, for who must find out.
    private func story(_ text: String) -> String {
        offices.map { node in
            guard let id = AppealID(text), let record = records(node, text) else { return "\(node.name): nothing" }
            let events = try? Store.read(node.engine) { transaction throws(StoreError) in
                try AppealLookup.events(of: id, in: transaction)
            }
            let steps = (events ?? []).map { "\($0.at) \($0.event)→\($0.to.rawValue) \($0.actor) \($0.code ?? "")" }
            return "\(node.name) (home \(record.home ?? "-"), owner \(record.owner ?? "-"), epoch "
                + "\(record.ownershipEpoch)): " + steps.joined(separator: ", ")
        }.joined(separator: "; ")
    }

    private func answers(_ text: String, at node: SimulatedNode) -> Int {
        guard let id = AppealID(text) else { return 0 }
        let events = try? Store.read(node.engine) { transaction throws(StoreError) in
            try AppealLookup.events(of: id, in: transaction)
        }
        return (events ?? []).filter { [.answered, .identityRefused].contains($0.event) && $0.role == .secondLine }
            .count
    }
}
