import Glibc

/// Walks the trees of one snapshot page by page. A page that is damaged, used twice, free and in use, or beyond the end is
/// a fault that names it; so are keys out of order and counts that are not what LMDB has noted.
///
/// Page: number u64 @0 · pad u16 · flags u16 @10 · lower u16 @12 · upper u16 @14, or length in pages u32 @12 · offsets of
/// nodes u16 each from @16 to lower; nodes fill upper to the end. Node: low u16 · high u16 · flags u16 · key length u16 ·
/// key · value. In a branch low, high and flags are the child's number; in a leaf low and high are the value's length, flag
/// 1: the value is elsewhere, in pages that its 8 bytes here name; flag 2: it is a table's record.
final class PageWalk {
    enum Flags {
        static let branch: UInt16 = 1
        static let leaf: UInt16 = 2
        static let overflow: UInt16 = 4
    }

    static let listOfTables = "the list of tables"
    static let freeList = "the free list"

    /// One row: where its bytes are, for as long as the call takes.
    struct Row {
        var key: UnsafeRawBufferPointer
        var value: UnsafeRawBufferPointer
        var isTable: Bool
    }

    private let file: PageFile
    let meta: PageFile.Meta
    /// Pages that are free or in use, a bit each.
    private var seen: [UInt64]
    private(set) var seenCount: UInt64 = 0
    private var nextTold: UInt64 = 0
    private var levels: [UnsafeMutableRawBufferPointer] = []
    private var large = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 16)
    private let progress: (UInt64) throws(StoreError) -> Void
    private var stopped: StoreError?

    // Of the tree that is being walked.
    private var table: String?
    private var record: PageFile.TreeRecord?
    private var counts = (branch: UInt64(0), leaf: UInt64(0), overflow: UInt64(0), rows: UInt64(0))
    private var hasIntegerKeys = false
    /// The next key comes behind it, or is it.
    private var bound: [UInt8] = []
    private var hasBound = false
    private var isBoundAllowed = false

    /// - Parameter progress: told now and then how many pages were seen; what it throws ends the walk.
    init(
        _ file: consuming PageFile, _ meta: PageFile.Meta,
        progress: @escaping (UInt64) throws(StoreError) -> Void = { (_: UInt64) in }
    ) {
        self.file = file
        self.meta = meta
        self.progress = progress
        seen = Array(repeating: 0, count: Int(meta.lastPage / 64) + 1)
        seen[0] = 3
        seenCount = 2
    }

    deinit {
        for level in levels { level.deallocate() }
        large.deallocate()
    }

    /// Why `progress` has ended the walk.
    func requireNotStopped() throws(StoreError) { if let stopped { throw stopped } }

    func fileBytes() throws(PageFault) -> Int { try file.fileBytes() }
    var pageSize: Int { file.pageSize }

    /// The free list: every page in it is marked.
    func walkFree() throws(PageFault) {
        try walk(meta.free, PageWalk.freeList, integerKeys: true) { row throws(PageFault) in
            guard row.key.count == 8, meta.commit >= row.key.number(at: 0), row.value.count >= 8,
                row.value.count % 8 == 0
            else { throw PageFault("the free list has a row that cannot be read") }
            let count: UInt64 = row.value.number(at: 0)
            guard count <= UInt64(row.value.count / 8 - 1) else {
                throw PageFault("the free list has a row that says more pages than it has")
            }
            var last = UInt64.max
            for index in 0..<Int(count) {
                let page: UInt64 = row.value.number(at: 8 + index * 8)
                guard page < last else { throw PageFault("the free list is out of order at page \(page)") }
                last = page
                try see(page, 1)
            }
        }
    }

    /// Walks a tree in the order of its keys.
    func walk(
        _ record: PageFile.TreeRecord, _ name: String, integerKeys: Bool = false,
        _ body: (Row) throws(PageFault) -> Void
    ) throws(PageFault) {
        (table, self.record, hasIntegerKeys) = (name, record, integerKeys)
        (counts, hasBound, bound) = ((0, 0, 0, 0), false, [])
        do throws(PageFault) {
            if record.root == PageFile.TreeRecord.noRoot {
                guard record.depth == 0 else { throw PageFault("a tree without a root has depth \(record.depth)") }
            } else {
                guard (1...32).contains(record.depth) else { throw PageFault("a tree of depth \(record.depth)") }
                try walk(record.root, level: 1, body)
            }
            guard
                counts == (record.branchPages, record.leafPages, record.overflowPages, record.entries)
            else {
                throw PageFault(
                    "\(counts.rows) rows in \(counts.leaf) leaves, \(counts.branch) branches and \(counts.overflow) "
                        + "further pages, where \(record.entries), \(record.leafPages), \(record.branchPages) and "
                        + "\(record.overflowPages) are noted")
            }
        } catch {
            var fault = error
            fault.table = error.table ?? name
            throw fault
        }
    }

    private func walk(_ number: UInt64, level: Int, _ body: (Row) throws(PageFault) -> Void) throws(PageFault) {
        try see(number, 1)
        while levels.count < level {
            levels.append(.allocate(byteCount: file.pageSize, alignment: 16))
        }
        try file.read(number, into: levels[level - 1])
        let page = UnsafeRawBufferPointer(levels[level - 1])
        let isLeaf = level == record?.depth ?? 0
        let flags: UInt16 = page.number(at: 10)
        guard page.number(at: 0) as UInt64 == number else { throw PageFault("page \(number) carries another number") }
        guard flags == (isLeaf ? Flags.leaf : Flags.branch) else {
            throw PageFault("page \(number) is of kind \(flags), where a \(isLeaf ? "leaf" : "branch") should be")
        }
        if isLeaf { counts.leaf += 1 } else { counts.branch += 1 }
        let (lower, upper) = (Int(page.number(at: 12) as UInt16), Int(page.number(at: 14) as UInt16))
        guard lower > PageFile.headerBytes, lower % 2 == 0, lower <= upper, upper < page.count else {
            throw PageFault("page \(number) has nodes from \(lower) and free room to \(upper)")
        }
        var first = page.count
        var used = 0
        for index in 0..<(lower - PageFile.headerBytes) / 2 {
            let node = try Node(page, index, isLeaf: isLeaf, upper, number)
            first = min(first, node.start)
            used += node.bytes
            if isLeaf {
                try orderly(node.key, number)
                setBound(node.key, isAllowed: false)
                counts.rows += 1
                try body(try row(node, number))
            } else {
                if index > 0 {
                    try orderly(node.key, number)
                    setBound(node.key, isAllowed: true)
                }
                try walk(node.child, level: level + 1, body)
            }
        }
        guard first == upper, used == page.count - upper else {
            throw PageFault("the nodes of page \(number) do not fill it as it says")
        }
    }

    private struct Node {
        var start: Int
        /// With what follows until the next may begin.
        var bytes: Int
        var key: UnsafeRawBufferPointer
        var child: UInt64
        var flags: UInt16
        /// Of a leaf: the value's length, and what is here of it.
        var length: Int
        var here: UnsafeRawBufferPointer

        init(
            _ page: UnsafeRawBufferPointer, _ index: Int, isLeaf: Bool, _ upper: Int, _ number: UInt64
        ) throws(PageFault) {
            start = Int(page.number(at: PageFile.headerBytes + index * 2) as UInt16)
            guard start >= upper, start % 2 == 0, start + 8 <= page.count else {
                throw PageFault("node \(index) of page \(number) begins at \(start)")
            }
            let (low, high): (UInt16, UInt16) = (page.number(at: start), page.number(at: start + 2))
            flags = page.number(at: start + 4)
            let keyEnd = start + 8 + Int(page.number(at: start + 6) as UInt16)
            child = UInt64(low) | UInt64(high) << 16 | UInt64(flags) << 32
            length = Int(low) | Int(high) << 16
            guard !isLeaf || flags <= 2 else { throw PageFault("node \(index) of page \(number) has flags \(flags)") }
            let end = isLeaf ? keyEnd + (flags == 1 ? 8 : length) : keyEnd
            guard end <= page.count else { throw PageFault("node \(index) of page \(number) is longer than its page") }
            key = UnsafeRawBufferPointer(rebasing: page[start + 8..<keyEnd])
            here = UnsafeRawBufferPointer(rebasing: page[keyEnd..<end])
            bytes = (end - start + 1) & ~1
        }
    }

    private func row(_ node: Node, _ number: UInt64) throws(PageFault) -> Row {
        switch node.flags {
        case 0: return Row(key: node.key, value: node.here, isTable: false)
        case 1: return Row(key: node.key, value: try overflow(node.here.number(at: 0), node.length), isTable: false)
        default:
            guard node.length == PageFile.recordBytes else {
                throw PageFault("a record of page \(number) is no record")
            }
            return Row(key: node.key, value: node.here, isTable: true)
        }
    }

    /// A value in pages of its own: the first has a header, the others have none.
    private func overflow(_ number: UInt64, _ length: Int) throws(PageFault) -> UnsafeRawBufferPointer {
        let needed = (PageFile.headerBytes - 1 + length) / file.pageSize + 1
        try see(number, UInt64(needed))
        if large.count < needed * file.pageSize {
            large.deallocate()
            large = .allocate(byteCount: needed * file.pageSize, alignment: 16)
        }
        let pages = UnsafeMutableRawBufferPointer(rebasing: large[..<(needed * file.pageSize)])
        try file.read(number, into: pages)
        let bytes = UnsafeRawBufferPointer(pages)
        let count: UInt32 = bytes.number(at: 12)
        guard bytes.number(at: 0) as UInt64 == number, bytes.number(at: 10) as UInt16 == Flags.overflow,
            count >= needed
        else { throw PageFault("page \(number) is not the first of \(needed) with a value") }
        // A value that was shortened in its place keeps the pages that it had.
        if count > needed { try see(number + UInt64(needed), UInt64(count) - UInt64(needed)) }
        counts.overflow += UInt64(count)
        return UnsafeRawBufferPointer(rebasing: bytes[PageFile.headerBytes..<PageFile.headerBytes + length])
    }

    private func see(_ first: UInt64, _ count: UInt64) throws(PageFault) {
        guard first >= 2, first <= meta.lastPage, count <= meta.lastPage - first + 1 else {
            throw PageFault("page \(first) is none of the store, which has \(meta.lastPage + 1)")
        }
        for page in first..<first + count {
            let (word, bit) = (Int(page / 64), UInt64(1) << (page % 64))
            guard seen[word] & bit == 0 else { throw PageFault("page \(page) is used twice, or free and in use") }
            seen[word] |= bit
        }
        seenCount += count
        guard seenCount >= nextTold else { return }
        nextTold = seenCount + 1024
        do throws(StoreError) { try progress(seenCount) } catch {
            stopped = error
            throw PageFault("the walk was ended")
        }
    }

    func isSeen(_ page: UInt64) -> Bool { seen[Int(page / 64)] & (1 << (page % 64)) != 0 }

    // MARK: Order

    private func orderly(_ key: UnsafeRawBufferPointer, _ number: UInt64) throws(PageFault) {
        guard hasBound else { return }
        let order = bound.withUnsafeBytes { compare($0, key) }
        guard order < 0 || (order == 0 && isBoundAllowed) else {
            throw PageFault("a key of page \(number) is not behind the one before it")
        }
    }

    private func setBound(_ key: UnsafeRawBufferPointer, isAllowed: Bool) {
        bound.removeAll(keepingCapacity: true)
        bound.append(contentsOf: key)
        (hasBound, isBoundAllowed) = (true, isAllowed)
    }

    private func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        if hasIntegerKeys, left.count == 8, right.count == 8 {
            let (one, other): (UInt64, UInt64) = (left.number(at: 0), right.number(at: 0))
            return one == other ? 0 : one < other ? -1 : 1
        }
        if let one = left.baseAddress, let other = right.baseAddress {
            let order = Int(memcmp(one, other, min(left.count, right.count)))
            if order != 0 { return order }
        }
        return left.count - right.count
    }
}
