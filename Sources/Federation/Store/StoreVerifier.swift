import Glibc

/// What a look at every page of a store has found.
package struct StoreReport: Sendable, Codable, Equatable {
    package struct Table: Sendable, Codable, Equatable {
        package var name: String
        package var rows: UInt64
        /// Sum of XXH3-64 over its rows, 16 hexadecimal digits.
        package var digest: String
    }

    package struct Damage: Sendable, Codable, Equatable {
        /// Nil: what all tables rest on.
        package var table: String?
        package var detail: String
    }

    /// The commit that was looked at.
    package var commit: UInt64 = 0
    package var pages: UInt64 = 0
    package var tables: [Table] = []
    /// False for a store that a release without digests has written last: only its pages could be checked.
    package var hasDigests = false
    package var damage: [Damage] = []

    package init() {}
}

/// Reads a store through, page by page, beside the process that has it open or alone: meta pages, free list, every table's
/// tree, order of keys, counts and digests. It reads the file itself, and lets LMDB only hold the snapshot.
package enum StoreVerifier {
    /// - Parameters:
    ///   - growth: it gives up when the file has grown by so many bytes: every page that is given up meanwhile is held.
    ///   - progress: told now and then how many pages of how many were seen.
    /// - Throws: when it could not look; what it has found is in the report.
    package static func verify(
        directory: String, growth: Int = .max, progress: @escaping (_ seen: UInt64, _ of: UInt64) -> Void = { _, _ in }
    ) throws(StoreError) -> StoreReport {
        var report = StoreReport()
        let engine: LMDBEngine
        do throws(StoreError) { engine = try LMDBEngine(directory: directory, tables: [], readOnly: true) } catch {
            guard error.code == .damaged else { throw error }
            report.damage = [StoreReport.Damage(detail: error.detail)]
            return report
        }
        defer { engine.close() }
        let before = try engine.fileBytes()
        for _ in 0..<100 {
            let reader = try engine.beginLMDBRead()
            defer { reader.end() }
            let held: (meta: PageFile.Meta, isCopy: Bool)?
            do throws(PageFault) { held = try snapshot(reader.commit, in: directory) } catch {
                if error.isOfReading { throw error.asStoreError }
                report.damage = [StoreReport.Damage(detail: error.detail)]
                return report
            }
            guard let held else { continue }
            let file: PageFile
            do throws(PageFault) { file = try PageFile(directory: directory) } catch { throw error.asStoreError }
            let walk = PageWalk(file, held.meta) { seen throws(StoreError) in
                progress(seen, held.meta.lastPage + 1)
                guard try engine.fileBytes() - before > growth else { return }
                throw StoreError(
                    .tooSlow, "the store has grown too much while it was read",
                    remedy: "verify it at a quieter time, or on a faster disk")
            }
            try look(walk, &report, isCopy: held.isCopy)
            return report
        }
        throw StoreError(.engine, "the store is written too fast to be looked at", remedy: "try again")
    }

    /// The meta page of a commit that is held; nil when a writer that has gone on twice has written over it.
    private static func snapshot(
        _ commit: UInt64, in directory: String
    ) throws(PageFault) -> (meta: PageFile.Meta, isCopy: Bool)? {
        let (current, other) = try PageFile(directory: directory).metas()
        guard current.commit == commit else { return other.commit == commit ? (other, false) : nil }
        // Both snapshots are whole for as long as the newer one is held.
        try PageCheck.requireNewest(other, in: directory)
        return (current, current.commit == 1 && other.commit == 0)
    }

    private static func look(_ walk: PageWalk, _ report: inout StoreReport, isCopy: Bool) throws(StoreError) {
        (report.commit, report.pages) = (walk.meta.commit, walk.meta.lastPage + 1)
        var noted: DigestRecord?
        var trees: [(name: String, record: PageFile.TreeRecord)] = []
        try step(&report, walk) { () throws(PageFault) in try walk.walkFree() }
        try step(&report, walk) { () throws(PageFault) in
            try walk.walk(walk.meta.main, PageWalk.listOfTables) { row throws(PageFault) in
                if row.isTable {
                    trees.append((String(decoding: row.key, as: UTF8.self), PageFile.TreeRecord(row.value)))
                } else if row.key.elementsEqual(DigestRecord.key), let record = DigestRecord(decoding: Array(row.value))
                {
                    noted = record
                } else {
                    throw PageFault("a row of the list of tables cannot be read")
                }
            }
        }
        // What a damaged list of tables says of them is not followed.
        guard report.damage.isEmpty else { return }
        var found: [String: TableDigest] = [:]
        for (name, record) in trees {
            var digest = TableDigest()
            try step(&report, walk) { () throws(PageFault) in
                guard record.flags == 0, record.pad == 0 else { throw PageFault("its record has flags", table: name) }
                try walk.walk(record, name) { row throws(PageFault) in
                    guard !row.isTable else { throw PageFault("a row is a table") }
                    digest.add(TableDigest.of(row.key, row.value))
                }
            }
            found[name] = digest
            let text = String(digest.sum, radix: 16)
            report.tables.append(
                StoreReport.Table(
                    name: name, rows: digest.rows, digest: String(repeating: "0", count: 16 - text.count) + text))
        }
        guard report.damage.isEmpty else { return }
        if let noted { compare(noted, found, walk.meta.commit, &report, isCopy: isCopy) }
        guard report.damage.isEmpty, walk.seenCount != walk.meta.lastPage + 1 else { return }
        report.damage.append(
            StoreReport.Damage(
                table: PageWalk.freeList,
                detail:
                    "of \(walk.meta.lastPage + 1) pages \(walk.seenCount) are in use or free: the others are nobody's"))
    }

    /// One fault ends the walk of its tree, not of the others.
    private static func step(
        _ report: inout StoreReport, _ walk: PageWalk, _ body: () throws(PageFault) -> Void
    ) throws(StoreError) {
        do throws(PageFault) { try body() } catch {
            try walk.requireNotStopped()
            if error.isOfReading { throw error.asStoreError }
            report.damage.append(StoreReport.Damage(table: error.table, detail: error.detail))
        }
    }

    private static func compare(
        _ noted: DigestRecord, _ found: [String: TableDigest], _ commit: UInt64, _ report: inout StoreReport,
        isCopy: Bool
    ) {
        if noted.commit == commit {
            report.hasDigests = true
            for fault in noted.differences(from: found) {
                report.damage.append(StoreReport.Damage(table: fault.table, detail: fault.detail))
            }
            return
        }
        do throws(PageFault) {
            try noted.requireExplained(found, isCopy: isCopy)
            report.hasDigests = isCopy
        } catch { report.damage.append(StoreReport.Damage(table: error.table, detail: error.detail)) }
    }
}
