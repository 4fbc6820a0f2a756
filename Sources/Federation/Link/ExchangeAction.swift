/// A session of this process: numbered by the shell, never used twice.
package typealias SessionNumber = UInt64

/// What the shell is to do. In the order given.
package enum ExchangeAction: Sendable, Hashable {
    /// Bytes of whole frames, after everything sent before in this session.
    case send(SessionNumber, [UInt8])
    /// After what was sent before: end the session.
    case close(SessionNumber, code: String, detail: String)
    /// Do this in the store and say `workDone` when it is durable.
    case submit(ExchangeWork, WorkTag)
    /// The same, but nobody waits: it may go with the next commit.
    case submitLazily(ExchangeWork, WorkTag)
    /// There may be envelopes to send: call `pump` as soon as the session has room.
    case pump(SessionNumber)
    /// A node has said how it is.
    case reported(NodeID, NodeReport)
    /// Worth a line in the log.
    case note(code: String, peer: NodeID, detail: String)
}

/// Whose work it was.
package enum WorkTag: Sendable, Hashable {
    case receive(SessionNumber)
    case receipts
    case bookkeeping
    case tokenProposed(SessionNumber, SessionToken)
    case tokenAccepted(SessionNumber, SessionToken)
}

/// Who is next on the way from one node to another. Every node computes the same.
package protocol Routes: Sendable {
    /// Nil when there is no way, or either is unknown.
    func nextHop(from: NodeID, to: NodeID) -> NodeID?
    var topologyVersion: UInt64 { get }
    /// Who publishes for every node: the centre.
    var publisher: NodeID? { get }
    /// What the rights say of a message that has come over the link of its origin.
    func verdict(on header: EnvelopeHeader) -> RightVerdict
}

/// What the exchange reads from the store, while it decides and while it sends.
package protocol OutboxReading {
    /// The pack that holds a position, or nil: when it is not there, or is not what was written.
    func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack?
}

/// The state of a link, for people.
package struct LinkStatus: Sendable, Hashable {
    package enum Phase: String, Sendable { case greeting, running, metadataOnly, refused }
    package var peer: NodeID
    package var phase: Phase
    package var refusal: String?
}
