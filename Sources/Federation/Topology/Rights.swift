/// Who may send what to whom: kinds of messages by the segments of both ends. What is not named is denied.
///
/// The kinds by which the exchange keeps its own promises (receipts of what was held, refills, outcomes) are not named: they
/// carry nothing that is not checked for itself, and what was under way when a right was withdrawn needs them.
package struct Rights: Sendable, Hashable {
    package struct Pair: Sendable, Hashable, Comparable {
        package var from: String
        package var to: String

        package init(from: String, to: String) {
            self.from = from
            self.to = to
        }

        package static func < (left: Pair, right: Pair) -> Bool { (left.from, left.to) < (right.from, right.to) }
    }

    /// Bit k: kind k.
    package private(set) var kinds: [Pair: UInt64]

    package init(kinds: [Pair: UInt64] = [:]) { self.kinds = kinds }

    package mutating func allow(_ kind: MessageKind, _ pair: Pair) { kinds[pair, default: 0] |= 1 << kind.rawValue }

    package func allows(_ kind: MessageKind, _ pair: Pair) -> Bool {
        kind.isExchangeOwn || kinds[pair, default: 0] & 1 << kind.rawValue != 0
    }

    /// - Parameter to: nil: to some segment.
    func allows(_ kind: MessageKind, from: String, to: String?) -> Bool {
        if let to { return allows(kind, Pair(from: from, to: to)) }
        return kinds.contains { $0.key.from == from && $0.value & 1 << kind.rawValue != 0 }
    }

    /// The kinds that a pair may send, in their order.
    package func kinds(of pair: Pair) -> [MessageKind] {
        MessageKind.named.filter { !$0.isExchangeOwn && allows($0, pair) }
    }

    /// Some right joins the two, one way or the other.
    package func joins(_ one: String, _ other: String) -> Bool {
        kinds[Pair(from: one, to: other), default: 0] | kinds[Pair(from: other, to: one), default: 0] != 0
    }
}

/// What the rights say of a message at a node that goes by one topology, of a message that was sent under another.
package enum RightVerdict: Sendable, Hashable {
    case allowed
    /// Denied here, and sent under a newer topology than this one: it waits.
    case awaitsTopology
    /// Denied now, and allowed when it was sent: a person decides.
    case changed
    case denied
}

/// The rights of the topologies that were in force last, as far as this node knows: rows `rights/<version>` of table `meta`, by
/// the first version in a row of versions that say the same.
///
///     version u8 = 1 · pairs u16 × (from, to short texts, kinds u64) · the last version that says so u64
package struct RightsHistory: Sendable {
    static let most = 16
    private static let prefix = Array("rights/".utf8)

    /// Versions one after the other that say the same.
    fileprivate struct Era: Sendable {
        var versions: ClosedRange<UInt64>
        var rights: Rights
    }

    /// In their order; what lies between two of them was never in force here.
    private var eras: [Era] = []

    package init() {}

    /// Of a version that is not known here, a message counts as allowed then: it is held, not lost. There is no version 0.
    /// - Parameter receiver: the segment; nil: any.
    func allowed(_ kind: MessageKind, from: String, to receiver: String?, under version: UInt64) -> Bool {
        guard version > 0 else { return false }
        guard let rights = eras.first(where: { $0.versions.contains(version) })?.rights else { return true }
        return rights.allows(kind, from: from, to: receiver)
    }

    mutating func note(_ rights: Rights, of version: UInt64) {
        guard let last = eras.last else { return eras.append(Era(versions: version...version, rights: rights)) }
        guard version > last.versions.upperBound else { return }
        if rights == last.rights, version == last.versions.upperBound + 1 {
            eras[eras.count - 1].versions = last.versions.lowerBound...version
        } else {
            eras.append(Era(versions: version...version, rights: rights))
        }
    }

    private static func key(_ version: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 16)
        writer.append(prefix)
        writer.append(version)
        return writer.bytes
    }

    /// Notes the rights of a topology in the store, too.
    static func write(
        _ rights: Rights, of version: UInt64, in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        var history = try RightsHistory(in: transaction)
        history.note(rights, of: version)
        if let era = history.eras.last { try transaction.put(.meta, key(era.versions.lowerBound), era.encoded) }
        for old in try keys(in: transaction).dropLast(most) { try transaction.delete(.meta, old) }
    }

    private static func keys<Transaction: Readable & ~Copyable>(
        in transaction: borrowing Transaction
    ) throws(StoreError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        try transaction.scan(.meta, from: prefix) { key, _ in
            let key = Array(key)
            guard key.starts(with: prefix) else { return false }
            keys.append(key)
            return true
        }
        return keys
    }

    package init<Transaction: Readable & ~Copyable>(in transaction: borrowing Transaction) throws(StoreError) {
        for key in try RightsHistory.keys(in: transaction) {
            guard let value = try transaction.get(.meta, key) else { continue }
            var number = ByteReader(key[RightsHistory.prefix.count...])
            // What cannot be read counts as not known any more.
            guard let first = try? number.number(UInt64.self), let era = try? Era(from: first, value),
                era.versions.lowerBound > eras.last?.versions.upperBound ?? 0
            else { continue }
            eras.append(era)
        }
    }
}

extension RightsHistory.Era {
    fileprivate var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 1024)
        writer.append(UInt8(1))
        writer.append(UInt16(min(rights.kinds.count, Int(UInt16.max))))
        for (pair, kinds) in rights.kinds.sorted(by: { $0.key < $1.key }) {
            writer.append(short: pair.from)
            writer.append(short: pair.to)
            writer.append(kinds)
        }
        writer.append(versions.upperBound)
        return writer.bytes
    }

    fileprivate init(from first: UInt64, _ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        var kinds: [Rights.Pair: UInt64] = [:]
        for _ in 0..<(try reader.number(UInt16.self)) {
            let pair = Rights.Pair(from: try reader.shortText(), to: try reader.shortText())
            kinds[pair] = try reader.number(UInt64.self)
        }
        let last = try reader.number(UInt64.self)
        guard last >= first else { throw .invalid(at: reader.offset) }
        self.init(versions: first...last, rights: Rights(kinds: kinds))
    }
}
