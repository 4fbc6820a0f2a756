import CLMDB
import CLinux
import Glibc

/// The store's tables in one LMDB environment: `data.mdb` and `lock.mdb` in a folder.
///
/// `MDB_NOTLS`, so that read transactions may be opened on any thread; never NOSYNC, WRITEMAP or NOMEMINIT. The map is
/// 1 TiB from the start: it is address space, the limit is the store's own quota.
package final class LMDBEngine: StorageEngine, @unchecked Sendable {
    // Safe because: the environment and the handles are set up once, in `init`; LMDB itself allows readers on any
    // thread and one writer at a time.
    // `digests`, `commit` and `seenBytes` are touched only by whoever has the write transaction.
    struct Handle {
        var database: MDB_dbi
        /// Among the tables that are open.
        var place: Int
    }

    private let environment: OpaquePointer
    let handles: [Table: Handle]
    let opened: [Handle]
    let pageSize: Int
    private let isClosed = Monitor(false)
    private var digests: DigestLedger
    /// The last transaction that has changed something.
    private var commit: UInt64
    /// The longest that the file was: the writer's too.
    private var seenBytes: off_t = 0

    /// Opens the environment in an existing folder and makes the tables that are missing.
    /// - Parameter readOnly: a look from outside at a store that another process may have open.
    package init(directory: String, tables names: [Table], readOnly: Bool = false) throws(StoreError) {
        var check: PageCheck?
        // Nobody goes on writing on what is known to be damaged.
        if !readOnly, let refusal = StoreHealth(directory: directory).refusal { throw refusal }
        if !readOnly { try LMDBEngine.createIfMissing(in: directory) }
        if readOnly, !Files.exists(PageFile.path(in: directory)) {
            throw StoreError(
                .unusable, "there is no \(PageFile.path(in: directory))",
                remedy: "see what has become of the disk, or name the folder of a node that has run")
        }
        // What may not be read LMDB says itself.
        if access(PageFile.path(in: directory), R_OK) == 0 {
            check = try LMDBEngine.checked { () throws(PageFault) in
                guard readOnly else { return try PageCheck.beforeWriting(directory) }
                try PageCheck.beforeReading(directory)
                return nil
            }
        }
        let isLocked = Files.exists(directory + "/lock.mdb")
        let environment = try LMDBEngine.environment(directory, UInt32(MDB_NOTLS) | (readOnly ? UInt32(MDB_RDONLY) : 0))
        // A look by root leaves no lock that the node's user may not open.
        if readOnly, !isLocked { LMDBEngine.giveLock(in: directory) }
        do throws(StoreError) {
            var dead: CInt = 0
            if !readOnly { try LMDBEngine.check(mdb_reader_check(environment, &dead), "mdb_reader_check") }
            var transaction: OpaquePointer?
            let begin = mdb_txn_begin(environment, nil, readOnly ? UInt32(MDB_RDONLY) : 0, &transaction)
            try LMDBEngine.check(begin, "mdb_txn_begin")
            do throws(StoreError) {
                let tables = try LMDBEngine.open(names, in: transaction, create: !readOnly)
                handles = tables
                opened = Array(tables.values)
                commit = UInt64(mdb_txn_id(transaction)) - (readOnly ? 0 : 1)
                let known = try check.map { check throws(StoreError) in try check.digestsNow(transaction) }
                digests = DigestLedger(names: names.map(\.name), known ?? [:])
                // Of this very commit, and of every table that is open: else they are written now.
                if let check, check.digests?.commit != commit || names.contains(where: { known?[$0.name] == nil }) {
                    commit += 1
                    try LMDBEngine.write(digests.record(commit: commit), in: transaction)
                }
            } catch {
                mdb_txn_abort(transaction)
                throw error
            }
            try LMDBEngine.check(mdb_txn_commit(transaction), "mdb_txn_commit")
            var statistics = MDB_stat()
            mdb_env_stat(environment, &statistics)
            pageSize = Int(statistics.ms_psize)
            self.environment = environment
        } catch {
            mdb_env_close(environment)
            throw error
        }
    }

    private static func giveLock(in directory: String) {
        var facts = stat()
        guard stat(PageFile.path(in: directory), &facts) == 0, facts.st_uid != geteuid() else { return }
        _ = chown(directory + "/lock.mdb", facts.st_uid, facts.st_gid)
    }

    deinit { close() }

    /// Closes the environment. No transaction may be open; later ones are refused.
    package func close() {
        let wasOpen = isClosed.change { closed in
            defer { closed = true }
            return !closed
        }
        if wasOpen { mdb_env_close(environment) }
    }

    private func requireOpen() throws(StoreError) {
        if isClosed.changeQuietly({ $0 }) { throw StoreError.stopping }
    }

    package func beginRead() throws(StoreError) -> any EngineReader { try beginLMDBRead() }

    func beginLMDBRead() throws(StoreError) -> LMDBReader {
        try requireOpen()
        var transaction: OpaquePointer?
        try LMDBEngine.check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction), "mdb_txn_begin")
        return LMDBReader(transaction, handles)
    }

    package func beginWrite() throws(StoreError) -> any EngineWriter {
        try requireOpen()
        var transaction: OpaquePointer?
        try LMDBEngine.check(mdb_txn_begin(environment, nil, 0, &transaction), "mdb_txn_begin")
        guard UInt64(mdb_txn_id(transaction)) == commit + 1 else {
            mdb_txn_abort(transaction)
            throw StoreError(
                .inUse, "another process has written to this store",
                remedy: "end that process, and start the node again")
        }
        return LMDBWriter(transaction, self, digests)
    }

    func committed(_ digests: DigestLedger, _ commit: UInt64) {
        self.digests = digests
        self.commit = commit
    }

    /// Zeros behind the last page. LMDB never shortens its file and writes no page before it needs one.
    package func keepReserve(_ bytes: Int) throws(StoreError) -> Int {
        var facts = MDB_envinfo()
        var descriptor = mdb_filehandle_t()
        var file = stat()
        guard mdb_env_info(environment, &facts) == 0, mdb_env_get_fd(environment, &descriptor) == 0,
            fstat(descriptor, &file) == 0
        else { return 0 }
        guard file.st_size >= seenBytes else {
            throw StoreError(
                .damaged, "the file is cut short: it has \(file.st_size) bytes of \(seenBytes), while it is open",
                remedy: "stop the node and restore the store from a backup")
        }
        seenBytes = file.st_size
        let used = (facts.me_last_pgno + 1) * pageSize
        var end = max(Int(file.st_size), used)
        let goal = used + bytes
        // A part at a time: the sync of the next commit takes it along.
        guard goal - end >= LMDBEngine.reserveStep || end - used < bytes / 2 else { return 100 }
        let part = [UInt8](repeating: 0, count: min(LMDBEngine.reserveStep, goal - end))
        let written = part.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(end)) }
        if written > 0 { end += written }
        seenBytes = max(seenBytes, off_t(end))
        return written == part.count ? 100 : (end - used) * 100 / max(1, bytes)
    }

    private static let reserveStep = 1 << 20

    package func roomBytes() -> Int {
        var facts = MDB_envinfo()
        var descriptor = mdb_filehandle_t()
        var file = stat()
        var disk = statvfs()
        guard mdb_env_info(environment, &facts) == 0, mdb_env_get_fd(environment, &descriptor) == 0,
            fstat(descriptor, &file) == 0, fstatvfs(descriptor, &disk) == 0
        else { return 0 }
        return Int(disk.f_bavail) * Int(disk.f_frsize) + max(0, Int(file.st_size) - (facts.me_last_pgno + 1) * pageSize)
    }

    package func fileBytes() throws(StoreError) -> Int {
        try requireOpen()
        var facts = MDB_envinfo()
        try LMDBEngine.check(mdb_env_info(environment, &facts), "mdb_env_info")
        return (facts.me_last_pgno + 1) * pageSize
    }

    package func forgetReaders() {
        var dead: CInt = 0
        mdb_reader_check(environment, &dead)
    }

    package func copy(to descriptor: CInt) throws(StoreError) {
        try requireOpen()
        try LMDBEngine.check(mdb_env_copyfd2(environment, descriptor, UInt32(MDB_CP_COMPACT)), "mdb_env_copyfd2")
    }

    /// The one place where LMDB's status becomes an error.
    static func check(_ status: CInt, _ what: @autoclosure () -> String) throws(StoreError) {
        guard status != 0 else { return }
        let said = "\(what()): \(String(cString: mdb_strerror(status)))"
        switch status {
        case ENOENT, EACCES, EPERM, ENOTDIR, EROFS:
            throw StoreError(.unusable, said, remedy: "make the folder, owned and writable by the node's user")
        case ENOSPC, EDQUOT:
            throw StoreError(.full, said, remedy: "free disk space; nothing accepted is lost")
        case MDB_VERSION_MISMATCH, MDB_INVALID:
            throw StoreError(.damaged, said, remedy: "this is not a store of ours: restore the folder from a backup")
        case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_PANIC:
            throw StoreError(.damaged, said, remedy: "stop the node and restore the store from a backup")
        default:
            throw StoreError(.engine, said, remedy: "see the system's log for the disk; the node may be started again")
        }
    }
}
