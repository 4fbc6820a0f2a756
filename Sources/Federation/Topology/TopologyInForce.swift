/// The topology that a node goes by. Everything in the node looks here; it changes as a whole.
package final class TopologyInForce: Sendable {
    private let state: Monitor<Topology>

    package init(_ topology: Topology) { state = Monitor(topology) }

    package var current: Topology { state.changeQuietly { $0 } }

    func replace(with topology: Topology) { state.changeQuietly { $0 = topology } }
}
