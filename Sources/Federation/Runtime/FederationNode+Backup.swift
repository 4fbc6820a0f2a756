/// Backups of a node that runs.
extension FederationNode {
    /// Makes a copy, reads it through, and lets origins know what is safe. It blocks as long as the disk needs.
    package func backUp(
        to folder: String, progress: @escaping @Sendable (Int) throws -> Void = { _ in }
    ) throws -> Backup.Manifest {
        let folder = Backup(folder).folder
        guard !Files.isInside(folder, self.folder.storeFolder) else {
            throw FederationError(
                "backup-in-store", "\(folder) is inside the store that is copied",
                remedy: "name a folder on another disk")
        }
        let (manifest, streams): (Backup.Manifest, [StreamChange])
        do {
            (manifest, streams) = try Backup(folder).create(
                from: store, tables: tables, node: id, now: Clocks.wall(), growth: settings.limits.growth,
                progress: progress)
        } catch let error as StoreError where error.code == .damaged {
            // The copy, or what was copied.
            store.doubt()
            throw error
        }
        let node = id
        try TrustFile.write(LastBackup(folder: folder, createdAt: manifest.createdAt), to: self.folder.lastBackupFile)
        try store.write(.essential) { transaction in try BackupMark.note(streams, of: node, in: transaction) }
        return manifest
    }

    /// Asks origins again for what is still missing here. At every start.
    package func askForGaps() throws {
        try store.write(.essential) { [inbox] transaction in try inbox.askAgain(in: transaction) }
    }
}

/// Where the newest backup of a node was put: `last-backup` in its folder.
struct LastBackup: TrustRecord {
    var format = 1
    var folder: String
    /// Milliseconds since 1970 UTC.
    var createdAt: Int64
}

/// How many lives the stores of a node have begun: `lives` in its folder. A backup knows only of those before it.
struct LivesBegun: TrustRecord {
    var format = 1
    var lives: UInt64
}

extension NodeFolder {
    var livesFile: String { path + "/lives" }

    /// 0 when none is known of.
    /// - Throws: when the file is there and says nothing: it is not guessed which numbers were given out.
    package func livesBegun() throws(FederationError) -> UInt64 {
        guard Files.exists(livesFile) else { return 0 }
        return try TrustFile.read(LivesBegun.self, livesFile).lives
    }

    package func setLivesBegun(_ lives: UInt64) throws(FederationError) {
        try TrustFile.write(LivesBegun(lives: lives), to: livesFile)
    }

    var lastBackupFile: String { path + "/last-backup" }

    /// How a damaged store is got rid of, in the words of this node.
    package var wayBack: String {
        let command = "stop the node, then: ekc backup restore \(path)"
        guard let last = try? TrustFile.read(LastBackup.self, lastBackupFile) else {
            return "\(command) BACKUP --reason \"…\" (no backup was made here that this node knows of)"
        }
        let isThere = Files.exists(Backup(last.folder).manifestFile) ? "" : "; it is not there any more"
        return "\(command) \(last.folder) --reason \"…\" (the newest backup\(isThere))"
    }
}
