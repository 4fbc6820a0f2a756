/// The topology that a node goes by. Everything in the node looks here; it changes as a whole.
package final class TopologyInForce: Sendable {
    private let state: Monitor<Topology>

    package init(_ topology: Topology) { state = Monitor(topology) }

    package var current: Topology { state.changeQuietly { $0 } }

    func replace(with topology: Topology) { state.change { $0 = topology } }

    /// Waits until another version is in force, or the time is over.
    package func wait(milliseconds: Int, whileVersion version: UInt64) {
        _ = state.wait(milliseconds: milliseconds, until: { $0.version != version }, then: { _ in })
    }
}
