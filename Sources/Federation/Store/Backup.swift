import FoundationEssentials
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
    /// There while a copy is being made in it.
    private var draftMark: String { folder + "/unfinished" }
    private var dataFile: String { storeFolder + "/data.mdb" }
    private static let part = 1 << 20

    package init(_ folder: String) {
        var folder = folder[...]
        while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
        self.folder = String(folder)
    }

    // MARK: Making one

    /// Copies a store that may be in use, and reads the copy through. It takes as long as the disk needs, and gives up when
    /// the store has meanwhile grown by so many bytes: a copy holds on to every page that is given up while it runs.
    /// - Parameters:
    ///   - growth: bytes.
    ///   - progress: told how many bytes there are so far; what it throws ends the copy.
    /// - Returns: what it is, and the streams as they are in it.
    package func create(
        from store: Store, tables: [Table], node: NodeID, now: Timestamp, growth: Int,
        progress: @escaping @Sendable (Int) throws -> Void = { _ in }
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
    private func copy(_ store: Store, growth: Int, _ progress: @escaping @Sendable (Int) throws -> Void) throws {
        let before = try store.engine.fileBytes()
        let file = try Files.create(dataFile, mode: 0o600)
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw FederationError.unwritable(dataFile) }
        let (source, sink) = (ends[0], ends[1])
        let written = Monitor<Result<Void, any Error>?>(nil)
        let path = dataFile
        Threads.start("backup-write") {
            let result = Result {
                try Backup.write(from: source, to: file, path) { count in
                    try progress(count)
                    guard try store.engine.fileBytes() - before <= growth else {
                        throw FederationError(
                            "backup-too-slow", "the store has grown too much while it was copied",
                            remedy: "make the backup at a quieter time, or on a faster disk")
                    }
                }
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
        from source: CInt, to file: CInt, _ path: String, _ progress: (Int) throws -> Void
    ) throws {
        var buffer = [UInt8](repeating: 0, count: part)
        var total = 0
        while true {
            let count = Glibc.read(source, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                guard count == 0, fsync(file) == 0 else { throw FederationError.unwritable(path) }
                return
            }
            guard buffer[..<count].withUnsafeBytes({ Files.writeAll($0, to: file) }) else {
                throw FederationError.unwritable(path)
            }
            total += count
            try progress(total)
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

    /// Of one that was never finished.
    private func remove() throws(FederationError) {
        for path in [dataFile, storeFolder + "/lock.mdb", manifestFile, draftMark] where Files.exists(path) {
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
    /// - Parameter progress: told what is being done.
    /// - Returns: where the old store is now, if there was one.
    package func restore(
        to place: NodeFolder, node: NodeID, tables: [Table], reason: String, actor: UInt32, now: Timestamp,
        progress: (String) -> Void = { _ in }
    ) throws -> String? {
        progress("reading \(folder)")
        let manifest = try check(for: node)
        let lives = max(try place.livesBegun(), Backup.livesBegun(by: place.storeFolder))
        try Backup.removeUnfinished(beside: place.storeFolder)
        let isThere = Files.exists(place.storeFolder)
        let lock = isThere ? try StoreLock(directory: place.storeFolder) : nil
        defer { lock?.release() }
        let aside = Backup(place.storeFolder + "-aside-\(now.milliseconds)")
        guard !Files.exists(aside.folder) else {
            throw FederationError("file-exists", "\(aside.folder) is there already", remedy: "try again")
        }
        try Files.makeFolder(aside.storeFolder, mode: 0o700)
        do {
            try Files.write([], to: aside.draftMark)
            progress("copying \(manifest.bytes >> 20) MiB")
            try Files.copy(dataFile, to: aside.dataFile, inParts: Backup.part)
            guard try aside.digest() == (manifest.bytes, manifest.digest) else {
                throw FederationError.unwritable(aside.dataFile)
            }
            progress("reading every row of the copy")
            let found = try aside.readThrough(tables).counts
            guard found == manifest.tables else {
                throw FederationError(
                    "backup-damaged", "\(folder) holds other rows than backup.json says",
                    remedy: "use another backup: this one was altered")
            }
            let engine = try LMDBEngine(directory: aside.storeFolder, tables: Table.exchange + tables)
            defer { engine.close() }
            let opened = try NewIncarnation.open(
                engine, node: node, as: Incarnation(bits: Random.id128()), reason: reason, actor: actor, now: now,
                isBackup: true, livesBefore: lives)
            // Before it is in its place: a number that nobody uses harms nobody.
            try place.setLivesBegun(opened.life)
            try Files.remove(aside.draftMark)
            try Files.syncFolder(of: aside.draftMark)
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

    /// What the store that is replaced knows, if it can still be read.
    private static func livesBegun(by store: String) -> UInt64 {
        guard Files.exists(store + "/data.mdb"),
            let engine = try? LMDBEngine(directory: store, tables: [.meta], readOnly: true)
        else { return 0 }
        defer { engine.close() }
        return
            (try? Store.read(engine) { transaction throws(StoreError) in
                try transaction.number(MetaKey.incarnationCount)
            }) ?? 0
    }

    /// Copies that something has ended before they were put in their place.
    private static func removeUnfinished(beside store: String) throws(FederationError) {
        let slash = store.lastIndex(of: "/").map { store.index(after: $0) } ?? store.startIndex
        let (parent, prefix) = (String(store[..<slash]), store[slash...] + "-aside-")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: parent.isEmpty ? "." : parent)) ?? []
        for name in names where name.hasPrefix(prefix) {
            let aside = Backup(parent + name)
            if Files.exists(aside.draftMark) { try aside.remove() }
        }
    }
}
