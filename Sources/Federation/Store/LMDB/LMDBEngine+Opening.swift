import CLMDB
import Glibc

/// From a folder to an environment of which every table's digest is known.
extension LMDBEngine {
    static func environment(_ directory: String, _ flags: UInt32) throws(StoreError) -> OpaquePointer {
        var made: OpaquePointer?
        try check(mdb_env_create(&made), "mdb_env_create")
        guard let environment = made else {
            throw StoreError(.engine, "mdb_env_create gave nothing", remedy: "free memory")
        }
        do throws(StoreError) {
            try check(mdb_env_set_mapsize(environment, Int(PageFile.mapBytes)), "mdb_env_set_mapsize")
            try check(mdb_env_set_maxdbs(environment, 64), "mdb_env_set_maxdbs")
            try check(mdb_env_set_maxreaders(environment, 512), "mdb_env_set_maxreaders")
            try check(mdb_env_open(environment, directory, flags, 0o600), "opening \(directory)")
        } catch {
            mdb_env_close(environment)
            throw error
        }
        return environment
    }

    static func checked<Result>(_ body: () throws(PageFault) -> Result) throws(StoreError) -> Result {
        do throws(PageFault) { return try body() } catch { throw error.asStoreError }
    }

    /// A new file is made beside its place, and has its name only when all of it is on the disk: what a power cut leaves of
    /// it would be no store.
    static func createIfMissing(in directory: String) throws(StoreError) {
        let (place, draft) = (PageFile.path(in: directory), directory + "/creating")
        guard !Files.exists(place), Files.exists(directory) else { return }
        // LMDB makes its lock beside a file that is there: it was.
        guard !Files.exists(directory + "/lock.mdb") else {
            throw StoreError(
                .damaged, "\(place) is gone", remedy: "see what has become of the disk, or put a backup back")
        }
        func clear() {
            for file in [PageFile.path(in: draft), draft + "/lock.mdb"] { unlink(file) }
            rmdir(draft)
        }
        clear()
        guard mkdir(draft, 0o700) == 0 else {
            throw StoreError(
                .unusable, "\(draft): \(String(cString: strerror(errno)))",
                remedy: "make the folder, owned and writable by the node's user")
        }
        defer { clear() }
        let environment = try environment(draft, UInt32(MDB_NOTLS))
        do throws(StoreError) {
            var transaction: OpaquePointer?
            try check(mdb_txn_begin(environment, nil, 0, &transaction), "mdb_txn_begin")
            try write(DigestRecord(commit: 1, tables: [:]), in: transaction)
            try check(mdb_txn_commit(transaction), "mdb_txn_commit")
        } catch {
            mdb_env_close(environment)
            throw error
        }
        mdb_env_close(environment)
        do throws(FederationError) {
            try Files.rename(PageFile.path(in: draft), to: place)
            try Files.syncFolder(of: directory)
        } catch { throw StoreError(.unusable, error.detail, remedy: error.remedy) }
    }

    static func open(
        _ names: [Table], in transaction: OpaquePointer?, create: Bool
    ) throws(StoreError) -> [Table: Handle] {
        var handles: [Table: Handle] = [:]
        for (place, name) in names.enumerated() {
            var database: MDB_dbi = 0
            let status = mdb_dbi_open(transaction, name.name, create ? UInt32(MDB_CREATE) : 0, &database)
            if status == MDB_NOTFOUND && !create { continue }
            try check(status, "opening table \(name.name)")
            handles[name] = Handle(database: database, place: place)
        }
        return handles
    }

    static func write(_ record: DigestRecord, in transaction: OpaquePointer?) throws(StoreError) {
        var main: MDB_dbi = 0
        try check(mdb_dbi_open(transaction, nil, 0, &main), "opening the list of tables")
        let status = DigestRecord.key.withUnsafeBytes { keyBytes in
            record.encoded().withUnsafeBytes { valueBytes in
                var key = MDB_val(keyBytes)
                var value = MDB_val(valueBytes)
                return mdb_put(transaction, main, &key, &value, 0)
            }
        }
        try check(status, "writing the tables' digests")
    }

    /// Every table that the file has, whoever has made it.
    fileprivate static func tables(in transaction: OpaquePointer?) throws(StoreError) -> [String] {
        var main: MDB_dbi = 0
        var cursor: OpaquePointer?
        try check(mdb_dbi_open(transaction, nil, 0, &main), "opening the list of tables")
        try check(mdb_cursor_open(transaction, main, &cursor), "mdb_cursor_open")
        defer { mdb_cursor_close(cursor) }
        var names: [String] = []
        var key = MDB_val()
        while case let status = mdb_cursor_get(cursor, &key, nil, MDB_NEXT), status != MDB_NOTFOUND {
            try check(status, "walking the list of tables")
            guard !key.buffer.elementsEqual(DigestRecord.key) else { continue }
            names.append(String(decoding: key.buffer, as: UTF8.self))
        }
        return names
    }

    fileprivate static func digest(of name: String, in transaction: OpaquePointer?) throws(StoreError) -> TableDigest {
        var (database, cursor) = (MDB_dbi(), OpaquePointer?.none)
        try check(mdb_dbi_open(transaction, name, 0, &database), "opening table \(name)")
        try check(mdb_cursor_open(transaction, database, &cursor), "mdb_cursor_open")
        defer { mdb_cursor_close(cursor) }
        var digest = TableDigest()
        var (key, value) = (MDB_val(), MDB_val())
        while case let status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT), status != MDB_NOTFOUND {
            try check(status, "walking \(name)")
            digest.add(TableDigest.of(key.buffer, value.buffer))
        }
        return digest
    }
}

extension PageCheck {
    /// The digests of every table. They are counted anew when the last commit was not by a release that keeps them, and
    /// when the file is a copy.
    func digestsNow(_ transaction: OpaquePointer?) throws(StoreError) -> [String: TableDigest] {
        if let digests, digests.commit == commit { return digests.tables }
        var found: [String: TableDigest] = [:]
        for name in try LMDBEngine.tables(in: transaction) {
            found[name] = try LMDBEngine.digest(of: name, in: transaction)
        }
        if let digests {
            try LMDBEngine.checked { () throws(PageFault) in try digests.requireExplained(found, isCopy: isCopy) }
        }
        return found
    }
}

extension DigestRecord {
    /// Each table that has not what is noted of it.
    func differences(from found: [String: TableDigest]) -> [PageFault] {
        Set(found.keys).union(tables.keys).sorted().compactMap { name in
            let (counted, noted) = (found[name] ?? TableDigest(), tables[name] ?? TableDigest())
            guard counted != noted else { return nil }
            let what =
                counted.rows == noted.rows
                ? "its \(counted.rows) rows are not those that were written"
                : "it has \(counted.rows) rows, and \(noted.rows) were written"
            return PageFault(what, table: name)
        }
    }

    /// The note is of another commit than what was counted. An earlier release does not keep digests, but counts each of its
    /// starts in `meta` before it writes anything else: where `meta` is as noted, none has.
    func requireExplained(_ found: [String: TableDigest], isCopy: Bool) throws(PageFault) {
        let differing = differences(from: found)
        guard !differing.contains(where: { $0.table == Table.meta.name }) else { return }
        if let first = differing.first { throw first }
        guard !isCopy else { return }
        throw PageFault("the meta pages are of another transaction than the tables, of which the last is \(commit)")
    }
}
