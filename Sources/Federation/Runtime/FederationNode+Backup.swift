/// Backups of a node that runs.
extension FederationNode {
    /// Makes a copy, reads it through, and lets origins know what is safe. It blocks as long as the disk needs.
    package func backUp(
        to folder: String, progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws -> Backup.Manifest {
        let growth = max(64 << 20, settings.limits.quota / 10)
        let (manifest, streams) = try Backup(folder).create(
            from: store, tables: tables, node: id, now: Clocks.wall(), growth: growth, progress: progress)
        let node = id
        try store.write(.essential) { transaction in try BackupMark.note(streams, of: node, in: transaction) }
        return manifest
    }

    /// Asks origins again for what is still missing here. At every start.
    package func askForGaps() throws {
        try store.write(.essential) { [inbox] transaction in try inbox.askAgain(in: transaction) }
    }
}
