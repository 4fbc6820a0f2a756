/// What is looked at before LMDB may map a file and follow what is in it: short, whatever the store holds.
struct PageCheck {
    /// The digests as the newest commit has left them; nil when no release has written any.
    var digests: DigestRecord?
    /// The transaction that the file is at.
    var commit: UInt64
    /// Two meta pages as a compacting copy leaves them.
    var isCopy: Bool

    /// Meta pages, the length of the file, the free list and the list of tables. The writer of the store calls it before it
    /// writes: nobody else may be at work.
    static func beforeWriting(_ directory: String) throws(PageFault) -> PageCheck {
        let (current, other) = try PageFile(directory: directory).metas()
        let walk = PageWalk(try PageFile(directory: directory), current)
        try walk.walkFree()
        try requireLength(walk)
        let digests = try record(in: walk)
        let isCopy = current.commit == 1 && other.commit == 0
        if !isCopy { try requireNewest(current, digests) }
        try requireNewest(other, in: directory)
        return PageCheck(digests: digests, commit: current.commit, isCopy: isCopy)
    }

    /// The same as far as it can be seen while another process writes.
    static func beforeReading(_ directory: String) throws(PageFault) {
        let file = try PageFile(directory: directory)
        let (current, _) = try file.metas()
        guard try file.fileBytes() < (Int(current.lastPage) + 1) * file.pageSize else { return }
        let walk = PageWalk(file, current)
        try walk.walkFree()
        try requireLength(walk)
    }

    /// LMDB does not write pages that were taken and given back in one transaction: those the file may lack.
    private static func requireLength(_ walk: PageWalk) throws(PageFault) {
        let there = UInt64(try walk.fileBytes() / walk.pageSize)
        guard there <= walk.meta.lastPage else { return }
        guard (there...walk.meta.lastPage).allSatisfy({ walk.isSeen($0) }) else {
            throw PageFault("the file is cut short: it has \(there) pages of \(walk.meta.lastPage + 1)")
        }
    }

    /// What was in force before is whole too, and must not be newer than it says: then the wrong one is in force.
    static func requireNewest(_ other: PageFile.Meta, in directory: String) throws(PageFault) {
        guard let before = try? record(in: PageWalk(try PageFile(directory: directory), other)) else {
            return
        }
        try requireNewest(other, before)
    }

    private static func requireNewest(_ meta: PageFile.Meta, _ record: DigestRecord?) throws(PageFault) {
        guard let record, record.commit > meta.commit else { return }
        throw PageFault("a meta page says transaction \(meta.commit) of what transaction \(record.commit) has written")
    }

    private static func record(in walk: PageWalk) throws(PageFault) -> DigestRecord? {
        var found: DigestRecord?
        try walk.walk(walk.meta.main, PageWalk.listOfTables) { row throws(PageFault) in
            guard row.key.elementsEqual(DigestRecord.key) else { return }
            found = DigestRecord(decoding: Array(row.value))
            if found == nil { throw PageFault("the tables' digests cannot be read") }
        }
        return found
    }
}
