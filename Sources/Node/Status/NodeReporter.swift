import ContactCentre
import Federation

/// Says every few seconds how this node is, and says it here to whoever asks.
final class NodeReporter: Sendable {
    private struct Counted {
        /// The number of the last event when the queues were counted: nothing moves in a queue without one.
        var event: UInt64 = .max
        var second: Int64 = 0
        var queues: [QueueSummary] = []
    }

    private static let periodMilliseconds = 5_000
    /// Appeals become overdue without an event.
    private static let mostSeconds: Int64 = 60

    private let node: FederationNode
    private let counted = Monitor(Counted())
    private enum Life { case running, stopping, ended }
    private let life = Monitor(Life.running)

    init(_ node: FederationNode) {
        self.node = node
        Threads.start("reporter") { [self] in
            repeat {
                do { try say() } catch {
                    Log.write(LinkLoop.Event(code: "report-failed", peer: nil, detail: "\(type(of: error))"))
                }
            } while life.wait(
                milliseconds: NodeReporter.periodMilliseconds, until: { $0 != .running }, then: { _ in true }) == nil
            life.change { $0 = .ended }
        }
    }

    /// Before the node's links and store are let go of.
    func stop() {
        life.change { $0 = .stopping }
        life.wait(until: { $0 == .ended }, then: { _ in })
    }

    /// Something has changed that others should not hear of late.
    func sayNow() { try? say() }

    /// Of a damaged store nothing is said but that, by its links and its state.
    private func say() throws {
        if node.store.health.damage == nil { node.links.report(try report()) }
    }

    func report() throws -> NodeReport {
        try node.report(
            queues: try queues().map { queue in
                NodeReport.Queue(
                    name: NodeReport.name(of: queue.tenancy), waiting: UInt32(clamping: queue.waiting),
                    overdue: UInt32(clamping: queue.overdue), oldest: queue.oldest)
            })
    }

    /// What is seen from here; at the centre that is every node.
    func observation() throws -> FederationObservation {
        FederationObservation(
            now: Clocks.wall(), topology: node.topology, here: node.id, own: try report(),
            links: node.links.standings(), reports: node.links.reportsOfOthers(),
            mail: try node.mail().mapValues { NodeCondition.Mail(waiting: $0.waiting, oldest: $0.oldest) },
            denied: Set(node.trust.state.denied.map(\.node)))
    }

    private func queues() throws -> [QueueSummary] {
        let before = counted.changeQuietly { $0 }
        let now = Clocks.wall()
        let second = now.milliseconds / 1000
        let found = try node.store.read { transaction throws(StoreError) -> (event: UInt64, queues: [QueueSummary])? in
            let event = try Events.last(in: transaction)
            if event == before.event, second - before.second < NodeReporter.mostSeconds { return nil }
            return (event, try QueueSummary.list(at: now, in: transaction))
        }
        guard let found else { return before.queues }
        counted.changeQuietly { $0 = Counted(event: found.event, second: second, queues: found.queues) }
        return found.queues
    }
}
