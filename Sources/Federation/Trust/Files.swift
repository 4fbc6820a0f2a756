import CLinux
import Glibc

/// Small files, written whole or not at all.
package enum Files {
    /// Writes beside the place, syncs, and renames over it.
    /// - Parameter isSynced: false: the caller syncs the whole file system behind many of them.
    package static func write(
        _ bytes: [UInt8], to path: String, mode: UInt32 = 0o644, isSynced: Bool = true
    ) throws(FederationError) {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(FederationError) in try write(buffer, to: path, mode: mode, isSynced: isSynced) }
        }
        try result.get()
    }

    package static func write(
        _ bytes: UnsafeRawBufferPointer, to path: String, mode: UInt32, isSynced: Bool = true
    ) throws(FederationError) {
        let draft = path + ".new"
        unlink(draft)
        let descriptor = clinux_open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw .unwritable(draft) }
        let isWritten = writeAll(bytes, to: descriptor) && (!isSynced || fsync(descriptor) == 0)
        let error = isWritten ? nil : FederationError.unwritable(draft)
        let isClosed = close(descriptor) == 0
        guard isWritten, isClosed, Glibc.rename(draft, path) == 0 else {
            let error = error ?? .unwritable(path)
            unlink(draft)
            throw error
        }
        if isSynced { try syncFolder(of: path) }
    }

    /// Everything that was written to the file system of a folder is on the medium.
    package static func syncAll(in folder: String) throws(FederationError) {
        let descriptor = clinux_open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw .unwritable(folder) }
        let error = clinux_syncfs(descriptor) == 0 ? nil : FederationError.unwritable(folder)
        close(descriptor)
        if let error { throw error }
    }

    /// Writes over the beginning of a file, which is made when it is missing, and syncs it: no other block is needed.
    static func overwrite(_ path: String, _ bytes: [UInt8]) throws(FederationError) {
        let descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .unwritable(path) }
        let isWritten = bytes.withUnsafeBytes { writeAll($0, to: descriptor) } && fdatasync(descriptor) == 0
        let fault = errno
        close(descriptor)
        errno = fault
        guard isWritten else { throw .unwritable(path) }
    }

    /// Names it otherwise, for good.
    package static func rename(_ from: String, to: String) throws(FederationError) {
        guard Glibc.rename(from, to) == 0 else { throw .unwritable(to) }
        try syncFolder(of: to)
    }

    /// Each of two gets the other's name, in one step.
    package static func exchange(_ one: String, _ other: String) throws(FederationError) {
        guard clinux_exchange(one, other) == 0 else { throw .unwritable(other) }
        try syncFolder(of: one)
        try syncFolder(of: other)
    }

    static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Bool {
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            written += count
        }
        return true
    }

    package static func read(_ path: String, maximum: Int) throws(FederationError) -> [UInt8] {
        let descriptor = clinux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw .unreadable(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable(path) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
            guard bytes.count <= maximum else {
                throw FederationError(
                    "file-too-large", "\(path) is longer than \(maximum) bytes", remedy: "name the right file")
            }
        }
    }

    /// Reads a file of any length, a part at a time; each but the last has `size` bytes.
    package static func read(
        _ path: String, inParts size: Int, _ body: (ArraySlice<UInt8>) throws(FederationError) -> Void
    ) throws(FederationError) {
        let descriptor = clinux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw .unreadable(path) }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: size)
        var filled = 0
        while true {
            let count = buffer[filled...].withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable(path) }
            filled += count
            guard filled == size || count == 0 else { continue }
            if filled > 0 { try body(buffer[..<filled]) }
            if count == 0 { return }
            filled = 0
        }
    }

    /// A new file, to be written by its descriptor.
    package static func create(_ path: String, mode: UInt32) throws(FederationError) -> CInt {
        let descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw .unwritable(path) }
        return descriptor
    }

    /// Copies a file into a new one, synced.
    package static func copy(_ from: String, to: String, inParts size: Int) throws(FederationError) {
        let descriptor = try create(to, mode: 0o600)
        defer { close(descriptor) }
        try read(from, inParts: size) { part throws(FederationError) in
            guard part.withUnsafeBytes({ writeAll($0, to: descriptor) }) else { throw .unwritable(to) }
        }
        guard fsync(descriptor) == 0 else { throw .unwritable(to) }
    }

    /// One that is not there is removed already.
    package static func remove(_ path: String) throws(FederationError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .unwritable(path) }
    }

    /// Whether a path leads into a folder, or is it; links are followed as far as it exists.
    package static func isInside(_ path: String, _ folder: String) -> Bool {
        func real(_ path: String) -> String {
            if let found = realpath(path, nil) {
                defer { free(found) }
                return String(cString: found)
            }
            guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return path }
            return real(String(path[..<slash])) + path[slash...]
        }
        return (real(path) + "/").hasPrefix(real(folder) + "/")
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package static func isFolder(_ path: String) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    /// Makes a folder, and those above it, where they are missing.
    package static func makeFolder(_ path: String, mode: UInt32) throws(FederationError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw .unwritable(path)
        }
        try makeFolder(String(path[..<slash]), mode: 0o755)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .unwritable(path) }
    }

    /// A folder that holds secrets may be entered by its owner only.
    package static func requirePrivate(_ path: String) throws(FederationError) {
        var facts = stat()
        guard stat(path, &facts) == 0 else { throw .unreadable(path) }
        guard facts.st_mode & 0o077 == 0 else {
            throw FederationError(
                "key-folder-open", "\(path) is open to others (mode \(String(facts.st_mode & 0o777, radix: 8)))",
                remedy: "chmod 700 \(path), and see who could have written to it")
        }
    }

    /// The name of a new file is on the medium only when its folder is.
    package static func syncFolder(of path: String) throws(FederationError) {
        let slash = path.lastIndex(of: "/")
        let path = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = clinux_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw .unwritable(path) }
        let error = fsync(descriptor) == 0 ? nil : FederationError.unwritable(path)
        close(descriptor)
        if let error { throw error }
    }
}
