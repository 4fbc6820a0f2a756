import CLinux
import Glibc

/// Counts tries in one page of a file that is mapped into memory: it survives the process without a sync. A power cut
/// may forget it; no message has ever caused one.
///
///     magic 8 bytes @0 · 24 zero · 127 × (position u64 (0: free) · id 16 bytes · tries u32 · 0 u32), host order
package final class FileAttempts: AttemptLog, @unchecked Sendable {
    // Safe because: only the store's writer applies envelopes.
    private static let magic: UInt64 = 0x454B_4354_5259_0001
    private static let bytes = 4096
    private static let entryBytes = 32
    private let page: UnsafeMutableRawPointer
    private var table: AttemptTable

    /// Opens or makes the file. One that is not ours to read is begun anew: it holds no one's data.
    package init(_ path: String) throws(FederationError) {
        let descriptor = clinux_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw FileAttempts.unusable(path) }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(FileAttempts.bytes)) == 0,
            let page = mmap(nil, FileAttempts.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
            page != MAP_FAILED
        else { throw FileAttempts.unusable(path) }
        self.page = page
        if page.load(as: UInt64.self) != FileAttempts.magic {
            memset(page, 0, FileAttempts.bytes)
            page.storeBytes(of: FileAttempts.magic, as: UInt64.self)
        }
        table = AttemptTable()
        table = AttemptTable((0..<AttemptTable.places).map(read))
    }

    deinit { munmap(page, FileAttempts.bytes) }

    package func tries(_ attempt: Attempt) -> Int { table.tries(attempt) }

    package func begins(_ attempt: Attempt) { write(table.begins(attempt)) }

    package func ended(_ attempt: Attempt) { if let place = table.ended(attempt) { write(place) } }

    private func entry(_ place: Int) -> UnsafeMutableRawPointer { page + FileAttempts.entryBytes * (place + 1) }

    private func read(_ place: Int) -> AttemptTable.Entry? {
        let entry = entry(place)
        let position = entry.load(as: UInt64.self)
        guard position > 0 else { return nil }
        let id = ID128(
            high: entry.load(fromByteOffset: 8, as: UInt64.self), low: entry.load(fromByteOffset: 16, as: UInt64.self))
        return AttemptTable.Entry(
            attempt: Attempt(position: position, id: id), tries: entry.load(fromByteOffset: 24, as: UInt32.self))
    }

    /// The position comes last: an entry that a killed process has half written is free.
    private func write(_ place: Int) {
        let entry = entry(place)
        guard let kept = table.entries[place] else { return entry.storeBytes(of: 0, as: UInt64.self) }
        entry.storeBytes(of: kept.attempt.id.high, toByteOffset: 8, as: UInt64.self)
        entry.storeBytes(of: kept.attempt.id.low, toByteOffset: 16, as: UInt64.self)
        entry.storeBytes(of: kept.tries, toByteOffset: 24, as: UInt32.self)
        entry.storeBytes(of: kept.attempt.position, as: UInt64.self)
    }

    private static func unusable(_ path: String) -> FederationError {
        FederationError(
            "folder-unusable", "\(path): \(String(cString: strerror(errno)))",
            remedy: "make the node's folder writable for its user")
    }
}
