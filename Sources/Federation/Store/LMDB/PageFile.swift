import CLinux
import Glibc

/// What is wrong with a store's file, and where.
struct PageFault: Error, Equatable {
    /// The table, when it is inside one.
    var table: String?
    var detail: String
    /// It could not be read, this time: that says nothing of what is in it.
    var isOfReading = false

    init(_ detail: String, table: String? = nil) {
        self.detail = detail
        self.table = table
    }

    /// By `errno`.
    static func reading(_ what: String) -> PageFault {
        var fault = PageFault("\(what): \(String(cString: strerror(errno)))")
        fault.isOfReading = true
        return fault
    }

    /// As whoever works with the store hears it.
    var asStoreError: StoreError {
        let said = (table.map { "\($0): " } ?? "") + detail
        return isOfReading
            ? StoreError(.unusable, said, remedy: "see the system's log for the disk, and the limits of this process")
            : StoreError(.damaged, said, remedy: "stop the node and restore the store from a backup")
    }
}

/// `data.mdb` as LMDB 0.9 lays it out on a 64-bit machine, little endian, read by `pread`: a page that is not there is an
/// error, and nothing that a page says is followed before it was checked. LMDB itself follows everything.
///
/// Meta page (0 and 1): header 16 · magic u32 @16 · version u32 @20 · address u64 @24 · map size u64 @32 · record of the
/// free list @40 · record of the unnamed database @88 · last page u64 @136 · transaction u64 @144.
struct PageFile: ~Copyable {
    static let headerBytes = 16
    static let recordBytes = 48
    /// Magic to transaction.
    private static let metaBytes = 136
    private static let magic: UInt32 = 0xBEEF_C0DE
    static let mapBytes: UInt64 = 1 << 40

    private let descriptor: CInt
    let pageSize: Int

    /// What a meta page says.
    struct Meta: Equatable {
        var free: TreeRecord
        var main: TreeRecord
        var lastPage: UInt64
        var commit: UInt64
    }

    /// A database in the file: its root, and what LMDB has counted of it.
    struct TreeRecord: Equatable {
        static let noRoot = UInt64.max
        var pad: UInt32
        var flags: UInt16
        var depth: Int
        var branchPages: UInt64
        var leafPages: UInt64
        var overflowPages: UInt64
        var entries: UInt64
        var root: UInt64

        /// - Precondition: 48 bytes are there.
        init(_ bytes: UnsafeRawBufferPointer) {
            pad = bytes.number(at: 0)
            flags = bytes.number(at: 4)
            depth = Int(bytes.number(at: 6) as UInt16)
            branchPages = bytes.number(at: 8)
            leafPages = bytes.number(at: 16)
            overflowPages = bytes.number(at: 24)
            entries = bytes.number(at: 32)
            root = bytes.number(at: 40)
        }
    }

    static func path(in directory: String) -> String { directory + "/data.mdb" }

    init(directory: String) throws(PageFault) {
        let path = PageFile.path(in: directory)
        // Not to wait for the other end of what is no file.
        let opened = clinux_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard opened >= 0 else { throw .reading(path) }
        var facts = stat()
        guard fstat(opened, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            close(opened)
            throw PageFault("\(path) is no file")
        }
        var head = [UInt8](repeating: 0, count: 44)
        var count = -1
        repeat {
            count = head.withUnsafeMutableBytes { pread(opened, $0.baseAddress, $0.count, 0) }
        } while count < 0 && errno == EINTR
        guard count >= 0 else {
            let fault = PageFault.reading("page 0")
            close(opened)
            throw fault
        }
        let size = head.withUnsafeBytes { $0.number(at: 40) as UInt32 }
        guard count == head.count, size >= 512, size <= 65_536, size & (size - 1) == 0 else {
            close(opened)
            throw PageFault("meta page 0 says pages of \(count == head.count ? Int(size) : 0) bytes")
        }
        descriptor = opened
        pageSize = Int(size)
    }

    deinit { close(descriptor) }

    func fileBytes() throws(PageFault) -> Int {
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .reading("the file's length") }
        return Int(facts.st_size)
    }

    /// Reads a page whole.
    func read(_ page: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(PageFault) {
        var filled = 0
        while filled < buffer.count {
            let place = off_t(truncatingIfNeeded: page) * off_t(pageSize) + off_t(filled)
            let count = pread(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled, place)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .reading("page \(page)") }
            guard count > 0 else { throw PageFault("the file is cut short: page \(page) is beyond its end") }
            filled += count
        }
    }

    /// Both meta pages, the one that is in force first. A writer may be at work: what does not fit together is looked at again.
    func metas() throws(PageFault) -> (current: Meta, other: Meta) {
        var attempt = 0
        while true {
            do throws(PageFault) { return try metasNow() } catch {
                attempt += 1
                if attempt == 5 { throw error }
                usleep(2_000)
            }
        }
    }

    private func metasNow() throws(PageFault) -> (current: Meta, other: Meta) {
        let both = [try meta(0), try meta(1)]
        // Transaction n writes page n mod 2, so the two are neighbours; a new file has 0 twice.
        let (first, second) = (both[0].commit, both[1].commit)
        let fits =
            first == second
            ? first == 0 : first % 2 == 0 && second % 2 == 1 && (first &- second == 1 || second &- first == 1)
        guard fits else { throw PageFault("the meta pages are of transactions \(first) and \(second)") }
        let current = second > first ? 1 : 0
        guard both[current].lastPage >= both[1 - current].lastPage else {
            throw PageFault(
                "the file has lost pages: the last is \(both[current].lastPage), it was \(both[1 - current].lastPage)")
        }
        return (both[current], both[1 - current])
    }

    private func meta(_ number: UInt64) throws(PageFault) -> Meta {
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 16)
        defer { page.deallocate() }
        try read(number, into: page)
        let bytes = UnsafeRawBufferPointer(page)
        guard bytes.number(at: 0) as UInt64 == number, bytes.number(at: 10) as UInt16 == 8,
            bytes.number(at: 16) as UInt32 == PageFile.magic, bytes.number(at: 20) as UInt32 == 1
        else { throw PageFault("page \(number) is no meta page of LMDB") }
        let meta = Meta(
            free: TreeRecord(UnsafeRawBufferPointer(rebasing: bytes[40..<88])),
            main: TreeRecord(UnsafeRawBufferPointer(rebasing: bytes[88..<136])),
            lastPage: bytes.number(at: 136), commit: bytes.number(at: 144))
        // The free list has integer keys, and no page size but one; nothing of ours uses another flag.
        guard Int(meta.free.pad) == pageSize, meta.free.flags == 8, meta.main.flags == 0, meta.main.pad == 0,
            bytes.number(at: 24) as UInt64 == 0, bytes.number(at: 32) as UInt64 == PageFile.mapBytes,
            meta.lastPage >= 1,
            meta.lastPage < PageFile.mapBytes / UInt64(pageSize)
        else { throw PageFault("meta page \(number) has settings that no release writes") }
        return meta
    }
}

extension UnsafeRawBufferPointer {
    /// Little endian. - Precondition: it lies inside.
    func number<Number: FixedWidthInteger>(at offset: Int) -> Number {
        Number(
            littleEndian: UnsafeRawBufferPointer(rebasing: self[offset..<offset + MemoryLayout<Number>.size])
                .loadUnaligned(as: Number.self))
    }
}
