import Glibc

/// A copy of a store that was consistent, read through and is whole: a folder with `backup.json` and `store/data.mdb`.
/// It was never run: put back, it becomes a new life of the node.
///
/// It is not sealed yet: keep it where the store itself may be kept.
package struct Backup: Sendable {
    /// What `backup.json` says.
    package struct Manifest: TrustRecord, Equatable {
        package var format = 1
        package var node: String
        /// Of the life that was copied, 32 hexadecimal digits.
        package var incarnation: String
        /// Milliseconds since 1970 UTC.
        package var createdAt: Int64
        package var storeFormat: UInt64
        /// Of `store/data.mdb`.
        package var bytes: Int
        /// Running digest over parts of 1 MiB: each over the last and the part (SHA-256), hex.
        package var digest: String
        /// Rows by table.
        package var tables: [String: Int]
    }

    package let folder: String
    package var manifestFile: String { folder + "/backup.json" }
    package var storeFolder: String { folder + "/store" }
    private var dataFile: String { storeFolder + "/data.mdb" }
    private static let part = 1 << 20

    package init(_ folder: String) { self.folder = folder }

    // MARK: Making one

    /// Copies a store that may be in use, and reads the copy through. It takes as long as the disk needs, and gives up when
    /// the store has meanwhile grown by so many bytes: a copy holds on to every page that is given up while it runs.
    /// - Parameters:
    ///   - growth: bytes.
    ///   - progress: told how many bytes there are so far.
    /// - Returns: what it is, and the streams as they are in it.
    package func create(
        from store: Store, tables: [Table], node: NodeID, now: Timestamp, growth: Int,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws -> (manifest: Manifest, streams: [StreamChange]) {
        guard !Files.exists(folder) else {
            throw FederationError(
                "file-exists", "\(folder) is there already", remedy: "name a new folder: a backup is never overwritten")
        }
        if let refusal = store.health.refusal { throw refusal }
        let draft = Backup(folder + ".partial")
        try draft.remove()
        try Files.makeFolder(draft.storeFolder, mode: 0o700)
        do {
            try draft.copy(store, growth: growth, progress)
            let found = try draft.readThrough(tables)
            let (bytes, digest) = try draft.digest()
            let manifest = Manifest(
                node: node.text, incarnation: store.incarnation.text, createdAt: now.milliseconds,
                storeFormat: Store.format, bytes: bytes, digest: digest, tables: found.counts)
            try TrustFile.write(manifest, to: draft.manifestFile)
            try Files.rename(draft.folder, to: folder)
            return (manifest, found.streams)
        } catch {
            try? draft.remove()
            throw error
        }
    }

    /// The copy comes through a pipe: when it must end, nobody reads any more.
    private func copy(_ store: Store, growth: Int, _ progress: @escaping @Sendable (Int) -> Void) throws {
        let before = try store.engine.fileBytes()
        let file = try Files.create(dataFile, mode: 0o600)
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw FederationError.unwritable(dataFile) }
        let (source, sink) = (ends[0], ends[1])
        let written = Monitor<Result<Void, FederationError>?>(nil)
        let path = dataFile
        Threads.start("backup-write") {
            let result = Backup.write(from: source, to: file, path) { count in
                progress(count)
                return try store.engine.fileBytes() - before <= growth
            }
            close(source)
            written.change { $0 = result }
        }
        var failure: StoreError?
        do throws(StoreError) { try store.engine.copy(to: sink) } catch { failure = error }
        close(sink)
        let result = written.wait(until: { $0 != nil }, then: { $0 })
        close(file)
        // Why the file ended early says more than that the pipe broke.
        try result?.get()
        if let failure { throw failure }
    }

    private static func write(
        from source: CInt, to file: CInt, _ path: String, goesOn: (Int) throws -> Bool
    ) -> Result<Void, FederationError> {
        var buffer = [UInt8](repeating: 0, count: part)
        var total = 0
        while true {
            let count = Glibc.read(source, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                return count == 0 && fsync(file) == 0 ? .success(()) : .failure(.unwritable(path))
            }
            guard buffer[..<count].withUnsafeBytes({ Files.writeAll($0, to: file) }) else {
                return .failure(.unwritable(path))
            }
            total += count
            guard (try? goesOn(total)) ?? false else {
                return .failure(
                    FederationError(
                        "backup-too-slow", "the store has grown too much while it was copied",
                        remedy: "make the backup at a quieter time, or on a faster disk"))
            }
        }
    }

    /// Reads every row of the copy, and the streams as what they are.
    private func readThrough(_ tables: [Table]) throws(StoreError) -> (counts: [String: Int], streams: [StreamChange]) {
        defer { unlink(storeFolder + "/lock.mdb") }
        let report = try StoreVerifier.verify(directory: storeFolder)
        if let first = report.damage.first {
            throw StoreError(
                .damaged, "\(first.table.map { "table \($0): " } ?? "")\(first.detail)",
                remedy: "the store itself is damaged: restore an older backup")
        }
        let counts = Dictionary(uniqueKeysWithValues: report.tables.map { ($0.name, Int($0.rows)) })
        let engine = try LMDBEngine(directory: storeFolder, tables: Table.exchange + tables, readOnly: true)
        defer { engine.close() }
        return (
            counts, try Store.read(engine) { transaction throws(StoreError) in try Sessions.streams(in: transaction) }
        )
    }

    private func digest() throws(FederationError) -> (bytes: Int, digest: String) {
        var running = Digest32.zero
        var count = 0
        try Files.read(dataFile, inParts: Backup.part) { part in
            running = running.extended(by: part)
            count += part.count
        }
        return (count, running.withBytes { Hex.encode($0) })
    }

    private func remove() throws(FederationError) {
        for path in [dataFile, storeFolder + "/lock.mdb", manifestFile] where Files.exists(path) {
            guard unlink(path) == 0 else { throw .unwritable(path) }
        }
        for path in [storeFolder, folder] where Files.exists(path) {
            guard rmdir(path) == 0 else { throw .unwritable(path) }
        }
    }

    // MARK: Putting one back

    /// Whether it is what its manifest says, for this node and this release.
    package func check(for node: NodeID) throws(FederationError) -> Manifest {
        let manifest = try TrustFile.read(Manifest.self, manifestFile)
        guard manifest.node == node.text else {
            throw FederationError(
                "backup-of-another", "\(folder) is of \(manifest.node), this is \(node)",
                remedy: "name a backup of this node")
        }
        guard manifest.storeFormat <= Store.format else {
            throw FederationError(
                "backup-newer",
                "\(folder) has store format \(manifest.storeFormat), this release knows \(Store.format)",
                remedy: "run the release that made it")
        }
        let (bytes, digest) = try digest()
        guard bytes == manifest.bytes, digest == manifest.digest else {
            throw FederationError(
                "backup-damaged", "\(dataFile) has \(bytes) bytes and another digest than backup.json says",
                remedy: "use another backup: this one was cut short or altered")
        }
        return manifest
    }

    /// Puts it in the place of a node's store, as a new life. It is made beside the store; the last step exchanges the two
    /// in one, so whatever ends this, the node has the one or the other.
    /// - Returns: where the old store is now, if there was one.
    package func restore(
        to place: NodeFolder, node: NodeID, tables: [Table], reason: String, actor: UInt32, now: Timestamp
    ) throws -> String? {
        let manifest = try check(for: node)
        let isThere = Files.exists(place.storeFolder)
        let lock = isThere ? try StoreLock(directory: place.storeFolder) : nil
        defer { lock?.release() }
        let aside = Backup(place.storeFolder + "-aside-\(now.milliseconds)")
        guard !Files.exists(aside.folder) else {
            throw FederationError("file-exists", "\(aside.folder) is there already", remedy: "try again")
        }
        try Files.makeFolder(aside.storeFolder, mode: 0o700)
        do {
            try Files.copy(dataFile, to: aside.dataFile, inParts: Backup.part)
            guard try aside.digest() == (manifest.bytes, manifest.digest) else {
                throw FederationError.unwritable(aside.dataFile)
            }
            let engine = try LMDBEngine(directory: aside.storeFolder, tables: Table.exchange + tables)
            defer { engine.close() }
            _ = try NewIncarnation.open(
                engine, node: node, as: Incarnation(bits: Random.id128()), reason: reason, actor: actor, now: now,
                isBackup: true)
        } catch {
            try? aside.remove()
            throw error
        }
        if isThere {
            try Files.exchange(aside.storeFolder, place.storeFolder)
            return aside.storeFolder
        }
        try Files.rename(aside.storeFolder, to: place.storeFolder)
        try aside.remove()
        return nil
    }
}
