package import Federation

/// The contact centre, as the exchange sees it.
package final class ContactCentreApplication: Application {
    /// The domain's tables.
    package static let tables = [Knowledge.table]

    package init() {}

    package func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {
        switch envelope.header.kind {
        case .entry: try Knowledge.apply(envelope.body, in: transaction)
        case .receipt, .topology, .escalation, .answer, .returned, .status, .probe: throw Rejection("kind-unknown")
        }
    }

    package func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}

    package func rejected(
        _ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {}
}
