/// The topology that a node goes by, and who is denied. Everything in the node looks here; it changes as a whole.
package final class TopologyInForce: Sendable {
    private struct State {
        var topology: Topology
        var denied: Set<NodeID>
    }

    /// What becomes of a message that has come for this node.
    package enum Admission: Sendable, Hashable {
        case by(RightVerdict)
        /// A security administrator has taken its origin out.
        case originDenied
    }

    private let state: Monitor<State>

    package init(_ topology: Topology, denied: Set<NodeID> = []) {
        state = Monitor(State(topology: topology, denied: denied))
    }

    package var current: Topology { state.changeQuietly { $0.topology } }

    func replace(with topology: Topology, denied: Set<NodeID>) {
        state.change { $0 = State(topology: topology, denied: denied) }
    }

    /// From here on nothing of theirs takes effect, whatever becomes of the topology beside it.
    func deny(_ nodes: Set<NodeID>) { state.change { $0.denied = nodes } }

    /// The version by which it is allowed.
    package func permit(_ kind: MessageKind, from: NodeID, to: NodeID) -> UInt64? {
        state.changeQuietly { $0.topology.allows(kind, from: from, to: to) ? $0.topology.version : nil }
    }

    package func allows(_ kind: MessageKind, from: NodeID, to: NodeID) -> Bool {
        state.changeQuietly { $0.topology.allows(kind, from: from, to: to) }
    }

    /// What is published goes by the right of whoever publishes to the node that reads.
    package func admission(of header: EnvelopeHeader, at node: NodeID) -> Admission {
        state.changeQuietly { state in
            let stream = header.stream
            if state.denied.contains(stream.origin) { return .originDenied }
            return .by(
                state.topology.verdict(
                    on: header.kind, from: stream.origin,
                    to: stream.destination == .everyone ? node : stream.destination,
                    sentUnder: header.topologyVersion))
        }
    }

    /// Waits until another version is in force, or the time is over.
    package func wait(milliseconds: Int, whileVersion version: UInt64) {
        _ = state.wait(milliseconds: milliseconds, until: { $0.topology.version != version }, then: { _ in })
    }
}
