import Federation
import FoundationEssentials
import Glibc

/// A folder of a test's own, gone when the test has let go of it.
package final class TemporaryFolder: Sendable {
    package let path: String

    package init() throws {
        var template = Array("/tmp/ekc-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FolderError.notMade(errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // What a static property holds is never let go of: it goes when the process ends.
        TemporaryFolder.left.changeQuietly { [path] left in
            if left.isEmpty { atexit(removeLeftFolders) }
            left.append(path)
        }
    }

    fileprivate static let left = Monitor<[String]>([])

    package enum FolderError: Error { case notMade(CInt) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func removeLeftFolders() {
    for path in TemporaryFolder.left.changeQuietly({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
}

/// SplitMix64: small, fast, and the same on every machine.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
