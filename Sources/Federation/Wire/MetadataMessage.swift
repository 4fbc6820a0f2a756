/// What neighbours say to each other of signed metadata, in frames of kind `metadata` on the control lane. Big endian; the
/// first byte says which:
///
///     1 have: version of root u64, of timestamp u64, SHA-256 of the timestamp 32 (none: zeros)
///     2 want: offset u32, path short text
///     3 part: length of the file u32 (2^32 − 1: it is not there), offset u32, path short text, bytes
///
/// Bytes to come at the end of the first two are ignored.
package enum MetadataMessage: Sendable, Hashable {
    case have(TrustVersions)
    /// A part of a file of the static tree, from a byte on.
    case want(path: String, offset: UInt32)
    /// - `length` is nil when the file is not there.
    case part(path: String, length: UInt32?, offset: UInt32, bytes: [UInt8])

    /// A part goes in one frame: nothing urgent waits behind more.
    package static let partBytes = 8 << 10

    package var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 64)
        switch self {
        case .have(let versions):
            writer.append(UInt8(1))
            writer.append(versions.root)
            writer.append(versions.timestamp)
            versions.digest.withBytes { writer.append(Array($0)) }
        case .want(let path, let offset):
            writer.append(UInt8(2))
            writer.append(offset)
            writer.append(short: path)
        case .part(let path, let length, let offset, let bytes):
            writer.append(UInt8(3))
            writer.append(length ?? .max)
            writer.append(offset)
            writer.append(short: path)
            writer.append(bytes)
        }
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        switch try reader.number(UInt8.self) {
        case 1:
            let (root, timestamp) = (try reader.position(), try reader.position())
            self = .have(TrustVersions(root: root, timestamp: timestamp, digest: Digest32(try reader.take(32))))
        case 2:
            let offset = try reader.number(UInt32.self)
            self = .want(path: try reader.shortText(), offset: offset)
        case 3:
            let length = try reader.number(UInt32.self)
            let offset = try reader.number(UInt32.self)
            let path = try reader.shortText()
            let rest = try reader.rest()
            guard rest.count <= MetadataMessage.partBytes else { throw .invalid(at: 0) }
            self = .part(path: path, length: length == .max ? nil : length, offset: offset, bytes: Array(rest))
        default: throw .invalid(at: 0)
        }
    }
}

/// How new a node's signed metadata is.
package struct TrustVersions: Sendable, Hashable {
    package var root: UInt64
    package var timestamp: UInt64
    /// Of the timestamp: two of one version are two states.
    package var digest: Digest32

    package init(root: UInt64, timestamp: UInt64, digest: Digest32 = .zero) {
        self.root = root
        self.timestamp = timestamp
        self.digest = digest
    }

    package init(_ metadata: TUFTrusted) {
        root = metadata.root.common.version
        timestamp = metadata.timestamp?.common.version ?? 0
        digest = metadata.timestamp.map { Digest.sha256($0.bytes) } ?? .zero
    }

    /// A newer root first: its keys may have begun to count the timestamp anew.
    func isNewer(than other: TrustVersions) -> Bool {
        root > other.root || root == other.root && timestamp > other.timestamp
    }

    /// Older, or the very same: the same number on another timestamp is neither.
    func isNothingNew(to other: TrustVersions) -> Bool { self == other || other.isNewer(than: self) }
}
