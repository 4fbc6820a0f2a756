/// What a verified backup holds, noted in the live store: origins need not keep it any longer.
package enum BackupMark {
    /// - Parameter streams: as they are in the backup.
    package static func note(
        _ streams: [StreamChange], of node: NodeID, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        for saved in streams where saved.id.destination == node {
            guard var row = try transaction.group.streams.row(of: saved.id, in: transaction) else { continue }
            // What is being refilled there is not inside it.
            let safe = saved.row.missing == 0 ? saved.row.last : row.safe
            row.safe = max(row.safe, min(safe, row.last))
            transaction.group.streams.update(saved.id, row)
        }
    }
}
