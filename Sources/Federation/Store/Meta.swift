extension Table {
    package static let meta = Table("meta")
    package static let outbox = Table("outbox")
    package static let streams = Table("streams")

    /// The exchange's own tables.
    package static let exchange: [Table] = [.meta, .outbox, .streams, .quarantine, .held, .gaps, .takenBack, .refusals]
}

/// Keys of table `meta`.
package enum MetaKey {
    /// 1 from a restore until the domain has asked its peers.
    package static let reconcile = Array("reconcile".utf8)
    static let format = Array("format".utf8)
    package static let incarnation = Array("incarnation".utf8)
    static let streamOrdinal = Array("stream-ordinal".utf8)
    static let start = Array("start".utf8)
    static let rewound = Array("rewound".utf8)
    /// 1 from a restore until neighbours have nothing newer of the signed metadata.
    static let controlOnly = Array("control-only".utf8)
    package static let incarnationCount = Array("incarnation-count".utf8)
    static func incarnationRecord(_ number: UInt64) -> [UInt8] { Array("incarnation/\(number)".utf8) }
    static let quarantineCount = Array("quarantine-count".utf8)
    static func heldBytes(_ origin: NodeID) -> [UInt8] { Array("held-bytes/\(origin.text)".utf8) }
    package static let probes = Array("probes".utf8)
    static func peer(_ node: NodeID) -> [UInt8] { Array("peer/\(node.text)".utf8) }
}

extension Readable where Self: ~Copyable {
    /// A counter of table `meta`, big endian; 0 when it was never taken.
    package borrowing func number(_ key: [UInt8]) throws(StoreError) -> UInt64 {
        let stored: UInt64?? = try withValue(.meta, key.span.bytes) { value -> UInt64? in
            value.byteCount < 8 ? nil : value.unsafeLoadUnaligned(as: UInt64.self).bigEndian
        }
        guard let stored else { return 0 }
        guard let number = stored else {
            throw StoreError(
                .damaged, "counter \(String(decoding: key, as: UTF8.self)) cannot be read",
                remedy: "stop the node and restore the store from a backup")
        }
        return number
    }
}

extension WriteTransaction {
    package borrowing func setNumber(_ key: [UInt8], _ value: UInt64) throws(StoreError) {
        let one: InlineArray<1, UInt64> = [value.bigEndian]
        try put(.meta, key.span.bytes, one.span.bytes)
    }

    /// Takes the next number of a counter, from 1. A part that is undone gives it back.
    package borrowing func nextNumber(_ key: [UInt8]) throws(StoreError) -> UInt64 {
        let next = try number(key) + 1
        try setNumber(key, next)
        return next
    }
}
