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
    private let environment: OpaquePointer
    private let handles: [Table: MDB_dbi]
    private let tables: [MDB_dbi]
    private let pageSize: Int
    private let isClosed = Monitor(false)

    /// Opens the environment in an existing folder and makes the tables that are missing.
    /// - Parameter readOnly: a look from outside at a store that another process may have open.
    package init(directory: String, tables names: [Table], readOnly: Bool = false) throws(StoreError) {
        var environment: OpaquePointer?
        try LMDBEngine.check(mdb_env_create(&environment), "mdb_env_create")
        guard let environment else { throw StoreError(.engine, "mdb_env_create gave nothing", remedy: "free memory") }
        do throws(StoreError) {
            try LMDBEngine.check(mdb_env_set_mapsize(environment, 1 << 40), "mdb_env_set_mapsize")
            try LMDBEngine.check(mdb_env_set_maxdbs(environment, 64), "mdb_env_set_maxdbs")
            try LMDBEngine.check(mdb_env_set_maxreaders(environment, 512), "mdb_env_set_maxreaders")
            let flags = UInt32(MDB_NOTLS) | (readOnly ? UInt32(MDB_RDONLY) : 0)
            try LMDBEngine.check(mdb_env_open(environment, directory, flags, 0o600), "opening \(directory)")
            var dead: CInt = 0
            if !readOnly { try LMDBEngine.check(mdb_reader_check(environment, &dead), "mdb_reader_check") }
            var transaction: OpaquePointer?
            let begin = mdb_txn_begin(environment, nil, readOnly ? UInt32(MDB_RDONLY) : 0, &transaction)
            try LMDBEngine.check(begin, "mdb_txn_begin")
            var handles: [Table: MDB_dbi] = [:]
            for name in names {
                var handle: MDB_dbi = 0
                let status = mdb_dbi_open(transaction, name.name, readOnly ? 0 : UInt32(MDB_CREATE), &handle)
                if status == MDB_NOTFOUND && readOnly { continue }
                if status != 0 { mdb_txn_abort(transaction) }
                try LMDBEngine.check(status, "opening table \(name.name)")
                handles[name] = handle
            }
            try LMDBEngine.check(mdb_txn_commit(transaction), "mdb_txn_commit")
            var statistics = MDB_stat()
            mdb_env_stat(environment, &statistics)
            self.handles = handles
            self.tables = Array(handles.values)
            pageSize = Int(statistics.ms_psize)
            self.environment = environment
        } catch {
            mdb_env_close(environment)
            throw error
        }
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

    package func beginRead() throws(StoreError) -> any EngineReader {
        try requireOpen()
        var transaction: OpaquePointer?
        try LMDBEngine.check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction), "mdb_txn_begin")
        return LMDBReader(transaction, handles)
    }

    package func beginWrite() throws(StoreError) -> any EngineWriter {
        try requireOpen()
        var transaction: OpaquePointer?
        try LMDBEngine.check(mdb_txn_begin(environment, nil, 0, &transaction), "mdb_txn_begin")
        return LMDBWriter(transaction, environment, handles, tables, pageSize: pageSize)
    }

    /// Zeros behind the last page. LMDB never shortens its file and writes no page before it needs one.
    package func keepReserve(_ bytes: Int) -> Int {
        var facts = MDB_envinfo()
        var descriptor = mdb_filehandle_t()
        var file = stat()
        guard mdb_env_info(environment, &facts) == 0, mdb_env_get_fd(environment, &descriptor) == 0,
            fstat(descriptor, &file) == 0
        else { return 0 }
        let used = (facts.me_last_pgno + 1) * pageSize
        var end = max(Int(file.st_size), used)
        let goal = used + bytes
        // A part at a time: the sync of the next commit takes it along.
        guard goal - end >= LMDBEngine.reserveStep || end - used < bytes / 2 else { return 100 }
        let part = [UInt8](repeating: 0, count: min(LMDBEngine.reserveStep, goal - end))
        let written = part.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(end)) }
        if written > 0 { end += written }
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
        case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_BAD_TXN, MDB_PANIC:
            throw StoreError(.damaged, said, remedy: "stop the node and restore the store from a backup")
        default:
            throw StoreError(.engine, said, remedy: "see the system's log for the disk; the node may be started again")
        }
    }
}

/// A read or write transaction's cursorless access; the subclass adds writing.
class LMDBReader: EngineReader {
    fileprivate var transaction: OpaquePointer?
    fileprivate let handles: [Table: MDB_dbi]

    fileprivate init(_ transaction: OpaquePointer?, _ handles: [Table: MDB_dbi]) {
        self.transaction = transaction
        self.handles = handles
    }

    fileprivate func handle(_ table: Table) throws(StoreError) -> MDB_dbi {
        guard let handle = handles[table] else {
            throw StoreError(.engine, "table \(table.name) is not open", remedy: "open the store with its tables")
        }
        return handle
    }

    func withValue(_ table: Table, _ key: RawSpan, _ body: (RawSpan) -> Void) throws(StoreError) -> Bool {
        let handle = try handle(table)
        var value = MDB_val()
        let status = key.withUnsafeBytes { bytes in
            var key = MDB_val(bytes)
            return mdb_get(transaction, handle, &key, &value)
        }
        if status == MDB_NOTFOUND { return false }
        try LMDBEngine.check(status, "reading \(table.name)")
        body(value.buffer.bytes)
        return true
    }

    func scan(_ table: Table, from key: RawSpan, _ body: (RawSpan, RawSpan) -> Bool) throws(StoreError) {
        try walk(table, from: key, first: MDB_SET_RANGE, then: MDB_NEXT, body)
    }

    func scanBackwards(_ table: Table, from key: RawSpan, _ body: (RawSpan, RawSpan) -> Bool) throws(StoreError) {
        let cursor = try openCursor(table)
        defer { mdb_cursor_close(cursor) }
        var found = MDB_val()
        var value = MDB_val()
        var status = key.withUnsafeBytes { bytes in
            found = MDB_val(bytes)
            let status = mdb_cursor_get(cursor, &found, &value, MDB_SET_RANGE)
            if status == MDB_NOTFOUND { return mdb_cursor_get(cursor, &found, &value, MDB_LAST) }
            guard status == 0, !equal(found.buffer, bytes) else { return status }
            return mdb_cursor_get(cursor, &found, &value, MDB_PREV)
        }
        while status == 0 {
            guard body(found.buffer.bytes, value.buffer.bytes) else { return }
            status = mdb_cursor_get(cursor, &found, &value, MDB_PREV)
        }
        guard status == MDB_NOTFOUND else { return try LMDBEngine.check(status, "walking \(table.name)") }
    }

    private func walk(
        _ table: Table, from key: RawSpan, first: MDB_cursor_op, then: MDB_cursor_op,
        _ body: (RawSpan, RawSpan) -> Bool
    ) throws(StoreError) {
        let cursor = try openCursor(table)
        defer { mdb_cursor_close(cursor) }
        var found = MDB_val()
        var value = MDB_val()
        var status = key.withUnsafeBytes { bytes in
            // An empty key has no bytes to point at and no place of its own: it means the beginning.
            guard bytes.count > 0 else { return mdb_cursor_get(cursor, &found, &value, MDB_FIRST) }
            found = MDB_val(bytes)
            return mdb_cursor_get(cursor, &found, &value, first)
        }
        while status == 0 {
            guard body(found.buffer.bytes, value.buffer.bytes) else { return }
            status = mdb_cursor_get(cursor, &found, &value, then)
        }
        guard status == MDB_NOTFOUND else { return try LMDBEngine.check(status, "walking \(table.name)") }
    }

    private func openCursor(_ table: Table) throws(StoreError) -> OpaquePointer? {
        var cursor: OpaquePointer?
        try LMDBEngine.check(mdb_cursor_open(transaction, try handle(table), &cursor), "mdb_cursor_open")
        return cursor
    }

    func size(_ table: Table) throws(StoreError) -> TableSize {
        var statistics = MDB_stat()
        try LMDBEngine.check(mdb_stat(transaction, try handle(table), &statistics), "mdb_stat")
        let pages = statistics.ms_branch_pages + statistics.ms_leaf_pages + statistics.ms_overflow_pages
        return TableSize(rows: statistics.ms_entries, bytes: pages * Int(statistics.ms_psize))
    }

    func end() {
        guard let open = transaction else { return }
        mdb_txn_abort(open)
        transaction = nil
    }

    deinit { end() }
}

final class LMDBWriter: LMDBReader, EngineWriter {
    private let environment: OpaquePointer
    private let tables: [MDB_dbi]
    private let pageSize: Int
    /// The transactions around the innermost open part, outermost first.
    private var enclosing: [OpaquePointer?] = []

    fileprivate init(
        _ transaction: OpaquePointer?, _ environment: OpaquePointer, _ handles: [Table: MDB_dbi], _ tables: [MDB_dbi],
        pageSize: Int
    ) {
        self.environment = environment
        self.tables = tables
        self.pageSize = pageSize
        super.init(transaction, handles)
    }

    func put(_ table: Table, _ key: RawSpan, _ value: RawSpan) throws(StoreError) {
        let handle = try handle(table)
        let status = key.withUnsafeBytes { keyBytes in
            value.withUnsafeBytes { valueBytes in
                var key = MDB_val(keyBytes)
                var value = MDB_val(valueBytes)
                return mdb_put(transaction, handle, &key, &value, 0)
            }
        }
        try LMDBEngine.check(status, "writing \(table.name)")
    }

    func delete(_ table: Table, _ key: RawSpan) throws(StoreError) -> Bool {
        let handle = try handle(table)
        let status = key.withUnsafeBytes { bytes in
            var key = MDB_val(bytes)
            return mdb_del(transaction, handle, &key, nil)
        }
        if status == MDB_NOTFOUND { return false }
        try LMDBEngine.check(status, "deleting from \(table.name)")
        return true
    }

    func beginPart() throws(StoreError) {
        var part: OpaquePointer?
        try LMDBEngine.check(mdb_txn_begin(environment, transaction, 0, &part), "mdb_txn_begin (nested)")
        enclosing.append(transaction)
        transaction = part
    }

    func commitPart() throws(StoreError) {
        let status = mdb_txn_commit(transaction)  // frees the handle even when it fails
        transaction = enclosing.removeLast()
        try LMDBEngine.check(status, "mdb_txn_commit (nested)")
    }

    func abortPart() {
        mdb_txn_abort(transaction)
        transaction = enclosing.removeLast()
    }

    func usedBytes() throws(StoreError) -> Int {
        var pages = 0
        for table in tables {
            var statistics = MDB_stat()
            try LMDBEngine.check(mdb_stat(transaction, table, &statistics), "mdb_stat")
            pages += statistics.ms_branch_pages + statistics.ms_leaf_pages + statistics.ms_overflow_pages
        }
        return pages * pageSize
    }

    func commit() throws(StoreError) {
        let status = mdb_txn_commit(transaction)
        transaction = nil
        try LMDBEngine.check(status, "mdb_txn_commit")
    }

    override func end() {
        while let outer = enclosing.popLast() {
            mdb_txn_abort(transaction)
            transaction = outer
        }
        super.end()
    }
}

extension MDB_val {
    fileprivate init(_ bytes: UnsafeRawBufferPointer) {
        self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    /// The bytes, valid until the transaction writes or ends.
    fileprivate var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}

private func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    guard let first = left.baseAddress, let second = right.baseAddress else { return true }
    return memcmp(first, second, left.count) == 0
}
