import ContactCentre
import Federation
import FederationTestKit
import Testing

@testable import Node

@Suite("The demo's ledger")
struct LedgerTests {
    @Test("Each appeal is counted once, where it is")
    func counts() throws {
        let ledger = try LedgerScene().ledger()
        let figures = ledger.figures
        #expect(ledger.findings == [])
        #expect(figures.submitted == 4 && figures.resolvedFirstLine == 1 && figures.answered == 2)
        #expect(figures.waiting == 1 && figures.inFlight == 0 && figures.lost == 0 && figures.duplicated == 0)
        #expect(figures.escalated == 4 && figures.returned == 1)
    }

    /// Something that was done to the stores behind their back, and what the ledger must say.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var lost = 0
        var duplicated = 0
        /// A part of a finding.
        var says: String
        var tamper: @Sendable (inout LedgerScene) -> Void

        init(
            _ name: String, lost: Int = 0, duplicated: Int = 0, says: String,
            _ tamper: @escaping @Sendable (inout LedgerScene) -> Void
        ) {
            (testDescription, self.lost, self.duplicated) = (name, lost, duplicated)
            (self.says, self.tamper) = (says, tamper)
        }
    }

    static let losses: [Case] = [
        Case("not at the centre", lost: 1, says: "a: the centre has no row") { $0.remove("a", at: "centre") },
        Case("answered, gone at home", lost: 1, says: "b: at the centre it is resolved, and its home subject-77") {
            $0.remove("b", at: "subject-77")
        },
        Case("answered, home's row and all that goes with it gone", lost: 1, says: "its home subject-77 has no row") {
            $0.stores["subject-77"] = DemoStore()
        },
        Case("waiting, gone at home", lost: 1, says: "c: at the centre it is handed_over, and its home subject-78") {
            $0.remove("c", at: "subject-78")
        },
        Case("of an ownership before", lost: 1, says: "d: at the centre it is resolved, and its home cc-fss") {
            $0.change("d", at: "cc-fss") { $0.ownershipEpoch = 2 }
        },
        Case("nobody owns it", lost: 1, says: "a: at the centre it is queued_l1, and nobody") {
            $0.setBack("a", to: .queuedL1, dropping: [.claimed, .resolved])
            $0.change("a", at: "centre") { $0.owner = nil }
        },
        Case("escalating, in no outbox", lost: 1, says: "c: at the centre it is escalating") {
            $0.setBack("c", to: .escalating, dropping: [.handedOver])
            $0.stores["subject-78"] = DemoStore()
        },
        Case("answered at home, no word under way", lost: 1, says: "no word is under way") {
            $0.setBack("b", to: .handedOver, dropping: [.answered])
        },
        Case("in no queue", lost: 1, says: "c: at subject-78: it waits") { $0.stores["subject-78"]?.queued = [] },
        Case("no citizen record", lost: 1, says: "there is no citizen record") {
            $0.stores["subject-77"]?.citizens = []
        },
        Case("no answer", lost: 1, says: "the answer is not there") {
            $0.change("b", at: "subject-77") { $0.answer = nil }
        },
        Case("no events at the centre", lost: 4, says: "its events end with received") {
            $0.stores["centre"]?.events = []
        },
        Case("no events at home", lost: 1, says: "at subject-77: it is resolved") {
            $0.removeEvents("b", at: "subject-77")
        },
        Case("not escalated", lost: 1, says: "handedOver from escalating, and no event") {
            $0.removeEvents("c", at: "centre", .escalated)
        },
        Case("not claimed", lost: 1, says: "resolved from active_l1, and no event led there") {
            $0.removeEvents("a", at: "centre", .claimed)
        },
        Case("not closed", lost: 1, says: "it is closed") { $0.change("a", at: "centre") { $0.state = .closed } },
        Case("not returned by the home", lost: 1, says: "d: ") { scene in
            scene.removeEvents("d", at: "cc-fss")
            for (event, from, to) in [
                (AppealEvent.queued, AppealState.handedOver, AppealState.queuedL2), (.claimed, .queuedL2, .active),
                (.answered, .active, .resolved),
            ] { scene.record("d", at: "cc-fss", event, from: from, to: to) }
        },
    ]

    static let doubles: [Case] = [
        Case("two owners", duplicated: 1, says: "c: owned by centre and subject-78") {
            $0.change("c", at: "centre") { $0.owner = "centre" }
        },
        Case("two rows", duplicated: 1, says: "c: at subject-78: a second row") {
            let rows = $0.stores["subject-78"]?.appeals ?? []
            $0.stores["subject-78"]?.appeals += rows
        },
        Case("escalated twice", duplicated: 1, says: "c: at centre: escalated a second time") {
            $0.record("c", at: "centre", .escalated, from: .activeL1, to: .escalating)
        },
        Case("handed over twice", duplicated: 1, says: "handedOver a second time") {
            $0.record("c", at: "centre", .handedOver, from: .escalating, to: .handedOver)
        },
        Case("the same row of an earlier ownership", duplicated: 1, says: "d: at centre: returned a second time") {
            scene in
            let event = scene.stores["centre"]?.events.first { $0.event == .returned }
            if let event { scene.stores["centre"]?.events.append(event) }
        },
        Case("arrived twice", duplicated: 1, says: "c: at subject-78: queued a second time") {
            $0.record("c", at: "subject-78", .queued, from: .handedOver, to: .queuedL2)
        },
        Case("resolved twice", duplicated: 1, says: "a: at centre: resolved") {
            $0.record("a", at: "centre", .resolved, from: .activeL1, to: .resolved)
        },
        Case("answered twice at home", duplicated: 1, says: "b: at subject-77: answered") {
            $0.record("b", at: "subject-77", .answered, from: .active, to: .resolved)
        },
        Case("answered twice at the centre", duplicated: 1, says: "b: at centre: answered") {
            $0.record("b", at: "centre", .answered, from: .handedOver, to: .resolved)
        },
        Case("closed twice", duplicated: 1, says: "a: at centre: closed a second time") {
            $0.change("a", at: "centre") { $0.state = .closed }
            $0.record("a", at: "centre", .closed, from: .resolved, to: .closed)
            $0.record("a", at: "centre", .closed, from: .resolved, to: .closed)
        },
        Case("answered at two nodes", duplicated: 4, says: "b: answered 2 times") { scene in
            // Two owners, two arrivals of one escalation, two citizen records, two answers.
            scene.stores["cc-mse"] = scene.stores["subject-77"]
            scene.change("b", at: "cc-mse") { $0.owner = "cc-mse" }
        },
        Case("a citizen record at two nodes", duplicated: 1, says: "citizen records at") {
            $0.stores["subject-78"]?.citizens = ["b"]
        },
        Case("a citizen record of nobody's making", duplicated: 1, says: "no identity was confirmed") {
            $0.stores["subject-78"]?.citizens = ["c"]
        },
        Case("in two queues of one node", duplicated: 1, says: "c: at subject-78: in a queue") {
            $0.stores["subject-78"]?.queued = [("c", "OSZN/78 2"), ("c", "OSZN/78 2")]
        },
        Case("in a queue at the centre and at home", duplicated: 1, says: "c: at centre: in a queue") {
            $0.stores["centre"]?.queued = [("c", "L1")]
        },
        Case("one key, two ids", lost: 1, duplicated: 1, says: "e: its key key-a gave a too") {
            // The other one is in no store.
            $0.journal.accepted.append(DemoJournal.Acceptance(key: "key-a", id: "e"))
        },
        Case("in a queue where nobody looks", lost: 1, says: "where its people do not look") {
            $0.stores["subject-78"]?.queued = [("c", "NOBODY 2")]
        },
        Case("given to another tenancy", lost: 1, says: "it is of OSZN/99") { scene in
            scene.change("c", at: "subject-78") { $0.tenancy = "OSZN/99" }
            scene.stores["subject-78"]?.queued = [("c", "OSZN/99 2")]
        },
        Case("the home has no text", lost: 1, says: "what was said is not there") {
            $0.stores["subject-78"]?.texts["c"] = nil
        },
        Case("another text at the home", lost: 1, says: "what was said differs") { scene in
            let other = scene.stores["subject-77"]?.texts["b"]
            scene.stores["subject-78"]?.texts["c"] = other
        },
        Case("a text that nobody can read", lost: 1, says: "what was said cannot be read") { scene in
            for node in ["centre", "subject-78"] { scene.stores[node]?.texts["c"] = [1, 2] }
        },
        Case("an empty answer", lost: 1, says: "the answer is not there") { scene in
            scene.change("b", at: "subject-77") { $0.answer = "" }
        },
        Case("the answer's text has gone from the centre", lost: 1, says: "the answer's text is not there") {
            $0.stores["centre"]?.answers = []
        },
        Case("another outcome at the centre", lost: 1, says: "refused, says the centre") { scene in
            scene.change("b", at: "centre") { $0.outcome = "refused" }
        },
        Case("a number that leads nowhere", lost: 1, says: "its number does not lead to it") { scene in
            scene.change("a", at: "centre") { $0.number = "00-0000-0001-3" }
        },
        Case("accepted under a key that was never sent", duplicated: 1, says: "never sent") {
            $0.journal.sent.remove("key-a")
        },
        Case("one id, two keys", duplicated: 1, says: "a: accepted for two keys") {
            $0.journal.sent.insert("another")
            $0.journal.accepted.append(DemoJournal.Acceptance(key: "another", id: "a"))
        },
        Case("told twice", duplicated: 1, says: "a: key key-a was accepted a second time") {
            $0.journal.accepted.append(DemoJournal.Acceptance(key: "key-a", id: "a"))
        },
        Case("two appeals with one number", duplicated: 1, says: "its number number of a is that of a too") {
            $0.change("b", at: "centre") { $0.number = "number of a" }
        },
        Case("no channel was told", duplicated: 1, says: "a: no channel was told") {
            $0.journal.accepted.removeAll { $0.id == "a" }
        },
    ]

    @Test("What is missing is lost, what is too much is doubled, and both are said", arguments: losses + doubles)
    func notices(_ example: Case) throws {
        var scene = try LedgerScene()
        example.tamper(&scene)
        let ledger = try scene.ledger()
        #expect(ledger.figures.lost == example.lost, "\(ledger.findings)")
        #expect(ledger.figures.duplicated == example.duplicated, "\(ledger.findings)")
        #expect(ledger.findings.contains { $0.contains(example.says) }, "\(ledger.findings)")
        let figures = ledger.figures
        let sum = figures.resolvedFirstLine + figures.answered + figures.waiting + figures.inFlight + figures.lost
        #expect(sum == figures.submitted)
    }

    @Test("What is under way is not lost, and is not done with")
    func underWay() throws {
        var scene = try LedgerScene()
        scene.setBack("b", to: .handedOver, dropping: [.answered])
        scene.stores["subject-77"]?.carried = ["b"]
        scene.setBack("c", to: .escalating, dropping: [.handedOver])
        scene.stores["subject-78"] = DemoStore()
        scene.stores["centre"]?.carried = ["c"]
        let ledger = try scene.ledger()
        #expect(ledger.figures.inFlight == 2 && ledger.isClean, "\(ledger.findings)")
    }

    private func record(appeals: Int, entries: Int) -> DemoRecord {
        DemoRecord(
            Demo.Options(
                nodes: 10, appeals: appeals, entries: entries, seed: 1, directory: "", isKept: true, isServed: false))
    }

    @Test("Fewer appeals than were asked for, or any in flight, is not clean")
    func asked() throws {
        var scene = try LedgerScene()
        var ledger = try scene.ledger()
        ledger.compare(with: record(appeals: 4, entries: 0), scene.stores)
        #expect(ledger.isClean, "\(ledger.findings)")
        ledger.compare(with: record(appeals: 5, entries: 0), scene.stores)
        #expect(ledger.findings == ["5 appeals were asked for, 4 accepted"])
        scene.setBack("c", to: .escalating, dropping: [.handedOver])
        var moving = try scene.ledger()
        moving.compare(with: record(appeals: 4, entries: 0), scene.stores)
        #expect(moving.findings == ["1 in flight, though everything had drained"])
    }

    @Test("Converged is who has applied the last number of the centre's life and can read what the centre can")
    func converged() throws {
        func nodesConverged(_ edit: (inout DemoStore) -> Void) throws -> Int {
            var scene = try LedgerScene()
            for name in scene.stores.keys {
                scene.stores[name]?.life = Array(name.utf8)
                scene.stores[name]?.knowledge = [Array("centre".utf8): 3]
                scene.stores[name]?.entries = ["KB-1": Digest.sha256([1]), "KB-2": Digest.sha256([2])]
            }
            edit(&scene.stores["subject-77", default: DemoStore()])
            var ledger = try scene.ledger()
            ledger.compare(with: record(appeals: 4, entries: 2), scene.stores)
            #expect(ledger.figures.knowledgePublished == 3)
            #expect(ledger.isClean == (ledger.figures.nodesConverged == ledger.figures.nodes), "\(ledger.findings)")
            return ledger.figures.nodesConverged
        }
        #expect(try nodesConverged { _ in } == 4)
        #expect(try nodesConverged { $0.entries["KB-1"] = nil } == 3)
        #expect(try nodesConverged { $0.entries["KB-2"] = Digest.sha256([1]) } == 3)
        #expect(try nodesConverged { $0.knowledge = [Array("centre".utf8): 2] } == 3)
        // A long stream of a life before is not what was published last.
        #expect(try nodesConverged { $0.knowledge = [Array("before".utf8): 9] } == 3)
    }

    @Test("A journal that is missing or not understood is no empty one")
    func journals() throws {
        let folder = try TemporaryFolder()
        try Files.write(Array("sent k\naccepted k i\n".utf8), to: DemoJournal.path(folder.path, 0))
        #expect(try DemoJournal.read(in: folder.path, channels: 1).ids == ["i"])
        #expect(throws: FederationError.self) { try DemoJournal.read(in: folder.path, channels: 2) }
        try Files.write(Array("accepted k\n".utf8), to: DemoJournal.path(folder.path, 1))
        #expect(throws: FederationError.self) { try DemoJournal.read(in: folder.path, channels: 2) }
    }
}
