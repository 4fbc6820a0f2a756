import FederationTestKit

@testable import Federation

/// Messages that end the process, a topology that comes to one node after the other, and the people who decide about
/// what is held.
extension World {
    /// What an application that traps would do: the process is gone in the midst of a commit.
    func trapped(_ node: SimulatedNode, _ trap: CountingApplication.Trap) {
        traps[trap.message, default: 0] += 1
        if traps[trap.message] ?? 0 > Inbox.mostTries {
            violations.append(
                "\(now): message \(trap.message.id.low) has ended \(node.name) \(Inbox.mostTries + 1) times")
        }
        if bug == .triesInTheProcess { node.attempts = MemoryAttempts() }
        crash(node.name, "ended by a message")
    }

    /// Each node gets the newer topology at an instant of its own.
    func newTopology(_ node: SimulatedNode) {
        guard node.topologyVersion.changeQuietly({ $0 }) < 2 else { return }
        node.topologyVersion.changeQuietly { $0 = 2 }
        moveHomes(node)
        releaseParked(node)
    }

    /// As a node does when it starts and when a newer topology is applied.
    func releaseParked(_ node: SimulatedNode) {
        guard node.isUp, let inbox = node.inbox else { return }
        var last: UInt64 = 0
        var count = 0
        let life = node.life
        let job = WriteJob(.essential) { transaction in
            (count, last) = try inbox.releaseParked(after: last, limit: 4, in: transaction)
        } completion: { [unowned self] _ in
            if count > 0 { met("parked released", count) }
            if count == 4, node.life == life { releaseParked(node) }
        }
        enqueue(node, job)
    }

    /// The fault is mended, and an administrator decides about everything that is held.
    func decide(_ node: SimulatedNode) {
        guard node.isUp, let inbox = node.inbox else { return }
        node.application?.isMended = true
        let held = try? Store.read(node.engine) { transaction throws(StoreError) in
            try Quarantine.list(limit: 1000, .held, in: transaction)
        }
        for (number, row) in held ?? [] where row.reason == .quarantined {
            let decision = World.decision(row.header.id)
            let job = WriteJob(.essential) { transaction in
                _ = try inbox.decide(number, decision, by: "uid/0", why: "mended", in: transaction)
            } completion: { [unowned self] result in
                if case .success = result { met("quarantine \(decision.rawValue)") }
            }
            enqueue(node, job)
        }
    }

    /// Whether something is held that only a person ends.
    func somebodyMustDecide() -> Bool {
        nodes.values.contains { node in
            let held = try? Store.read(node.engine) { transaction throws(StoreError) in
                try Quarantine.list(limit: 1000, .held, in: transaction)
            }
            return held?.contains { $0.row.reason == .quarantined } ?? false
        }
    }

    static func decision(_ id: ID128) -> Inbox.Decision { id.low % 2 == 0 ? .release : .return }

    /// Messages that somebody has given back to their origin.
    func returned() -> Set<CountingApplication.Message> {
        var found: Set<CountingApplication.Message> = []
        for node in nodes.values {
            let rows = try? Store.read(node.engine) { transaction throws(StoreError) in
                try Quarantine.list(limit: 1000, in: transaction)
            }
            for (_, row) in rows ?? [] where row.state == .returned {
                found.insert(.init(origin: row.header.stream.origin, id: row.header.id))
            }
        }
        return found
    }
}
