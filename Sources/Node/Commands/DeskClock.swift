import CLinux
import ContactCentre
import Federation

/// Lets time pass for appeals: leases, closing, the text that must go, homes that move. It looks once a second and writes
/// when something is due.
final class DeskClock: Sendable {
    /// Homes are looked at again when one of the two has changed.
    private struct Looked: Equatable {
        var version: UInt64
        var day: String
    }

    /// What a burst took goes back to the machine.
    private static let trimSeconds = 30

    private let stopping = Monitor(false)
    private let node: FederationNode
    private let desk: Desk<Outbox>

    init(_ node: FederationNode, _ desk: Desk<Outbox>) {
        self.node = node
        self.desk = desk
        Threads.start("desk-clock") { [self] in
            var looked: Looked?
            var turns = 0
            while true {
                node.inForce.wait(milliseconds: 1_000, whileVersion: looked?.version ?? node.topology.version)
                if stopping.changeQuietly({ $0 }) { return }
                guard node.store.health.damage == nil else { continue }
                do {
                    let now = Looked(
                        version: node.topology.version, day: Calendar8601.date(Clocks.wall()))
                    if now != looked { try lookForMoved() }
                    looked = now
                    try letPass()
                    turns += 1
                    if turns % DeskClock.trimSeconds == 0 { malloc_trim(0) }
                } catch {
                    Log.write(LinkLoop.Event(code: "time-failed", peer: nil, detail: "\(type(of: error))"))
                }
            }
        }
    }

    private func letPass() throws {
        while try node.store.read({ transaction throws(StoreError) in
            try desk.isSomethingDue(at: Clocks.wall(), in: transaction)
        }), try node.store.write(.essential, { [desk] transaction in try desk.passTime(in: transaction) }),
            !stopping.changeQuietly({ $0 })
        {}
    }

    private func lookForMoved() throws {
        var last: [UInt8]? = []
        var count = 0
        while let start = last, !stopping.changeQuietly({ $0 }) {
            let (found, next) = try node.store.read { transaction throws(StoreError) in
                try desk.moved(after: start, at: Clocks.wall(), in: transaction)
            }
            if !found.isEmpty {
                try node.store.write(.essential) { [desk] transaction in try desk.pass(found, in: transaction) }
            }
            count += found.count
            last = next
        }
        guard count > 0 else { return }
        Log.write(
            LinkLoop.Event(code: "homes-moved", peer: nil, detail: "\(count) open appeals follow their homes"))
    }

    func stop() { stopping.change { $0 = true } }
}
