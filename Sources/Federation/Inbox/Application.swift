/// A refusal by the destination. It travels back to the origin in the receipt, with its code.
package struct Rejection: Error, Sendable, Hashable {
    /// Kebab-case, such as `stale-owner`.
    package var code: String
    package init(_ code: String) { self.code = code }

    /// Something newer stands where this would have its effect.
    package static let superseded = "stale-owner"
}

/// What the exchange carries messages for. Every call is made on the writer's thread, in the transaction that moves
/// the watermark: effect and mark become durable together or not at all.
package protocol Application: AnyObject, Sendable {
    /// An envelope for this node has come, once and in order. What is thrown undoes what was written and goes back to
    /// the origin: a `Rejection` as its code; any other error means that this node cannot work, and stops it.
    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws
    /// An envelope of this node has taken effect at its destination.
    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError)
    /// An envelope of this node was refused by its destination: what it carried is this node's again.
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError)
    /// An envelope of this node is kept undecided by its destination. `applied` or `rejected` comes when a person, or a
    /// newer topology there, has decided.
    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError)
    /// An envelope that waited here undecided has just been applied: what has become of it in the meantime may be asked.
    func released(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws
    /// A destination has lost what it had applied, and this node does not have it any more: some of what is believed to be
    /// there is not.
    func lost(at destination: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError)
    /// An envelope of this node has just been sent once more to its destination, whose store was put back from a backup:
    /// what has become of it since may be said behind it.
    func refilled(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws
}

/// Whoever has nothing to say or to ask says and asks nothing.
extension Application {
    package func released(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {}
    package func refilled(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {}
    package func lost(at destination: NodeID, in transaction: borrowing WriteTransaction) throws(StoreError) {}
}

/// Accepts a message for a destination: mints its position in this transaction. It is sent when that is durable.
package protocol Sender: Sendable {
    /// - Throws: `store-full` when the destination's room is used up, `store-engine` when the store fails.
    func send(
        _ kind: MessageKind, id: ID128, to destination: NodeID, body: EnvelopeBody,
        in transaction: borrowing WriteTransaction
    ) throws(StoreError)

    /// Whether the topology lets this node send that there.
    func mayReach(_ destination: NodeID, with kind: MessageKind) -> Bool

    /// Whether a message would find a place beside what waits for its destination already: asked by what has time.
    func hasRoom(
        for kind: MessageKind, to destination: NodeID, purpose: WritePurpose, in transaction: borrowing WriteTransaction
    ) -> Bool
}
