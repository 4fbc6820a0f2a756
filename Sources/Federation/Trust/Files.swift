import CLinux
import Glibc

/// Small files, written whole or not at all.
package enum Files {
    /// Writes beside the place, syncs, and renames over it.
    package static func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o644) throws(FederationError) {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(FederationError) in try write(buffer, to: path, mode: mode) }
        }
        try result.get()
    }

    package static func write(
        _ bytes: UnsafeRawBufferPointer, to path: String, mode: UInt32
    ) throws(FederationError) {
        let draft = path + ".new"
        unlink(draft)
        let descriptor = clinux_open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw .unwritable(draft) }
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
            guard count > 0 else {
                close(descriptor)
                unlink(draft)
                throw .unwritable(draft)
            }
            written += count
        }
        guard fsync(descriptor) == 0, close(descriptor) == 0, rename(draft, path) == 0 else { throw .unwritable(path) }
        let slash = path.lastIndex(of: "/")
        syncFolder(slash.map { String(path[..<$0]) } ?? ".")
    }

    package static func read(_ path: String, maximum: Int) throws(FederationError) -> [UInt8] {
        let descriptor = clinux_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw .unreadable(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw .unreadable(path) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer[..<count])
            guard bytes.count <= maximum else {
                throw FederationError(
                    "file-too-large", "\(path) is longer than \(maximum) bytes", remedy: "name the right file")
            }
        }
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes a folder, and those above it, where they are missing.
    package static func makeFolder(_ path: String, mode: UInt32) throws(FederationError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw .unwritable(path)
        }
        try makeFolder(String(path[..<slash]), mode: 0o755)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .unwritable(path) }
    }

    private static func syncFolder(_ path: String) {
        let descriptor = clinux_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
