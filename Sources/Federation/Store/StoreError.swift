/// A fault of the store or of the engine below it.
package struct StoreError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The quota is reached: intake stops, reads and the work that empties the store go on.
        case full = "store-full"
        /// Written by newer software.
        case newer = "store-newer"
        /// Another process has this store open.
        case inUse = "store-in-use"
        /// The folder is missing, or may not be read or written.
        case unusable = "store-unusable"
        /// The engine refused; what it said is in the detail.
        case engine = "store-engine"
        /// Bytes that this software wrote cannot be read back.
        case damaged = "store-damaged"
        /// The store has grown too much while it was read through.
        case tooSlow = "verify-too-slow"
        /// The topology names no right for such a message.
        case rightDenied = "right-denied"
        /// More than can ever be taken.
        case tooLarge = "too-large"
        /// The node is on its way down.
        case stopping = "stopping"
    }
    package var code: Code
    package var detail: String
    package var remedy: String

    package init(_ code: Code, _ detail: String, remedy: String) {
        self.code = code
        self.detail = detail
        self.remedy = remedy
    }

    package var description: String { "\(code.rawValue): \(detail)\n  remedy: \(remedy)" }
}
