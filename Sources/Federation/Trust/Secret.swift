import CLinux
import CryptoShim
import Glibc

/// Bytes that must not outlive their use: zeroed when they go, never copied into an array or a string.
package struct Secret: ~Copyable {
    private let bytes: UnsafeMutableRawBufferPointer

    package init(count: Int) {
        bytes = .allocate(byteCount: count, alignment: 16)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        cs_zero(bytes.baseAddress, bytes.count)
        bytes.deallocate()
    }

    package var count: Int { bytes.count }

    package borrowing func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeRawBufferPointer(bytes))
    }

    package mutating func withMutableBytes<Result>(_ body: (UnsafeMutableRawBufferPointer) throws -> Result) rethrows
        -> Result
    {
        try body(bytes)
    }

    /// The bytes as a C string; what is allocated beyond the text is zero.
    borrowing func withText<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result? {
        guard let start = bytes.baseAddress, bytes.contains(0) else { return nil }
        return try body(UnsafePointer(start.assumingMemoryBound(to: CChar.self)))
    }

    /// Reads a secret file, which only its owner may be able to read.
    package static func read(_ path: String, maximum: Int = 4096) throws(FederationError) -> Secret {
        let descriptor = clinux_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0)
        guard descriptor >= 0 else { throw .unreadable(path) }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .unreadable(path) }
        guard facts.st_mode & 0o077 == 0 else {
            throw FederationError(
                "key-file-open", "\(path) can be read by others (mode \(String(facts.st_mode & 0o777, radix: 8)))",
                remedy: "chmod 600 \(path), and change the key if somebody may have read it")
        }
        var secret = Secret(count: maximum + 1)
        let count = secret.withMutableBytes { Glibc.read(descriptor, $0.baseAddress, maximum) }
        guard count > 0, count < maximum else { throw .unreadable(path) }
        return secret
    }
}

extension FederationError {
    static func unreadable(_ path: String) -> FederationError {
        FederationError(
            "file-unreadable", "\(path): \(String(cString: strerror(errno)))",
            remedy: "check that the file is there and that this user may read it")
    }

    static func unwritable(_ path: String) -> FederationError {
        FederationError(
            "file-unwritable", "\(path): \(String(cString: strerror(errno)))",
            remedy: "check that the folder is there and that this user may write to it")
    }
}
