import CLMDB
import Glibc

/// A read or write transaction's cursorless access; the subclass adds writing.
class LMDBReader: EngineReader {
    fileprivate var transaction: OpaquePointer?
    private let handles: [Table: LMDBEngine.Handle]

    init(_ transaction: OpaquePointer?, _ handles: [Table: LMDBEngine.Handle]) {
        self.transaction = transaction
        self.handles = handles
    }

    /// The commit that is seen.
    var commit: UInt64 { UInt64(mdb_txn_id(transaction)) }

    fileprivate func handle(_ table: Table) throws(StoreError) -> LMDBEngine.Handle {
        guard let handle = handles[table] else {
            throw StoreError(.engine, "table \(table.name) is not open", remedy: "open the store with its tables")
        }
        return handle
    }

    func withValue(_ table: Table, _ key: RawSpan, _ body: (RawSpan) -> Void) throws(StoreError) -> Bool {
        let handle = try handle(table).database
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

    fileprivate func openCursor(_ table: Table) throws(StoreError) -> OpaquePointer? {
        var cursor: OpaquePointer?
        try LMDBEngine.check(mdb_cursor_open(transaction, try handle(table).database, &cursor), "mdb_cursor_open")
        return cursor
    }

    func size(_ table: Table) throws(StoreError) -> TableSize {
        var statistics = MDB_stat()
        try LMDBEngine.check(mdb_stat(transaction, try handle(table).database, &statistics), "mdb_stat")
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

/// Parts are no transactions of LMDB's: each of those takes lists of megabytes, and there is a part or two a message. What a
/// part writes over is kept until it ends, and put back when it is undone.
final class LMDBWriter: LMDBReader, EngineWriter {
    /// One row as it was: where it stands in `kept`.
    private struct Undo {
        var database: MDB_dbi
        var key: Range<Int>
        /// Nil: there was no such key.
        var value: Range<Int>?
    }

    private let engine: LMDBEngine
    private var digests: DigestLedger
    private var undo: [Undo] = []
    private var kept: [UInt8] = []
    /// How much of `undo` and of `kept` is of what is around each open part, outermost first.
    private var parts: [(undo: Int, kept: Int)] = []
    /// A part could not be undone: nothing of the transaction may become durable.
    private var fault: CInt = 0
    /// One a table, by its place, until the transaction ends and closes them.
    private var cursors: [OpaquePointer?]

    init(_ transaction: OpaquePointer?, _ engine: LMDBEngine, _ digests: DigestLedger) {
        self.engine = engine
        self.digests = digests
        cursors = Array(repeating: nil, count: engine.handles.count)
        super.init(transaction, engine.handles)
    }

    private func cursor(_ table: Table) throws(StoreError) -> (handle: LMDBEngine.Handle, cursor: OpaquePointer?) {
        let handle = try handle(table)
        if let open = cursors[handle.place] { return (handle, open) }
        let cursor = try openCursor(table)
        cursors[handle.place] = cursor
        return (handle, cursor)
    }

    private func keep(_ database: MDB_dbi, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?) {
        guard !parts.isEmpty else { return }
        func range(of bytes: UnsafeRawBufferPointer) -> Range<Int> {
            let start = kept.count
            kept.append(contentsOf: bytes)
            return start..<kept.count
        }
        undo.append(Undo(database: database, key: range(of: key), value: value.map(range)))
    }

    /// Looks the key up once: what is there goes out of the table's digest and is written over in its place.
    func put(_ table: Table, _ key: RawSpan, _ value: RawSpan) throws(StoreError) {
        let (handle, cursor) = try cursor(table)
        let status = key.withUnsafeBytes { keyBytes in
            value.withUnsafeBytes { valueBytes in
                let row = TableDigest.of(keyBytes, valueBytes)
                var key = MDB_val(keyBytes)
                var value = MDB_val(valueBytes)
                var old: UInt64?
                var status = mdb_cursor_put(cursor, &key, &value, UInt32(MDB_NOOVERWRITE))
                if status == MDB_KEYEXIST {
                    old = TableDigest.of(keyBytes, value.buffer)
                    keep(handle.database, keyBytes, value.buffer)
                    value = MDB_val(valueBytes)
                    status = mdb_cursor_put(cursor, &key, &value, UInt32(MDB_CURRENT))
                } else if status == 0 {
                    keep(handle.database, keyBytes, nil)
                }
                if status == 0 { digests.change(handle.place, removed: old, added: row) }
                return status
            }
        }
        try LMDBEngine.check(status, "writing \(table.name)")
    }

    func delete(_ table: Table, _ key: RawSpan) throws(StoreError) -> Bool {
        let (handle, cursor) = try cursor(table)
        let status = key.withUnsafeBytes { bytes in
            var key = MDB_val(bytes)
            var value = MDB_val()
            var status = mdb_cursor_get(cursor, &key, &value, MDB_SET)
            guard status == 0 else { return status }
            let row = TableDigest.of(bytes, value.buffer)
            keep(handle.database, bytes, value.buffer)
            status = mdb_cursor_del(cursor, 0)
            if status == 0 { digests.change(handle.place, removed: row, added: nil) }
            return status
        }
        if status == MDB_NOTFOUND { return false }
        try LMDBEngine.check(status, "deleting from \(table.name)")
        return true
    }

    func beginPart() throws(StoreError) {
        parts.append((undo.count, kept.count))
        digests.beginPart()
    }

    func commitPart() throws(StoreError) {
        parts.removeLast()
        if parts.isEmpty { forget(from: (0, 0)) }
        digests.commitPart()
    }

    func abortPart() {
        let part = parts.removeLast()
        while undo.count > part.undo {
            let row = undo.removeLast()
            let status = kept.withUnsafeBytes { bytes in
                var key = MDB_val(UnsafeRawBufferPointer(rebasing: bytes[row.key]))
                guard let place = row.value else { return mdb_del(transaction, row.database, &key, nil) }
                var value = MDB_val(UnsafeRawBufferPointer(rebasing: bytes[place]))
                return mdb_put(transaction, row.database, &key, &value, 0)
            }
            if status != 0 { fault = status }
        }
        forget(from: part)
        digests.abortPart()
    }

    private func forget(from part: (undo: Int, kept: Int)) {
        undo.removeSubrange(part.undo...)
        kept.removeSubrange(part.kept...)
    }

    func usedBytes() throws(StoreError) -> Int {
        var pages = 0
        for handle in engine.opened {
            var statistics = MDB_stat()
            try LMDBEngine.check(mdb_stat(transaction, handle.database, &statistics), "mdb_stat")
            pages += statistics.ms_branch_pages + statistics.ms_leaf_pages + statistics.ms_overflow_pages
        }
        return pages * engine.pageSize
    }

    func commit() throws(StoreError) {
        try LMDBEngine.check(fault, "undoing a part")
        // A commit of nothing is none, and must not become one: what was undone has left pages that LMDB would write.
        guard digests.changes > 0 else { return end() }
        let commit = self.commit
        try LMDBEngine.write(digests.record(commit: commit), in: transaction)
        let status = mdb_txn_commit(transaction)
        transaction = nil
        try LMDBEngine.check(status, "mdb_txn_commit")
        engine.committed(digests.settled(), commit)
    }
}

extension MDB_val {
    init(_ bytes: UnsafeRawBufferPointer) {
        self.init(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    /// The bytes, valid until the transaction writes or ends.
    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: mv_data, count: mv_size) }
}

private func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    guard let first = left.baseAddress, let second = right.baseAddress else { return true }
    return memcmp(first, second, left.count) == 0
}
