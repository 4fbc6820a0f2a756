/// What neighbours say to each other of signed metadata, in frames of kind `metadata` on the control lane. Big endian; the
/// first byte says which:
///
///     1 have: version of root u64, of timestamp u64
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
        case 1: self = .have(TrustVersions(root: try reader.position(), timestamp: try reader.position()))
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

    package init(root: UInt64, timestamp: UInt64) {
        self.root = root
        self.timestamp = timestamp
    }

    package init(_ metadata: TUFTrusted) {
        root = metadata.root.common.version
        timestamp = metadata.timestamp?.common.version ?? 0
    }

    /// A newer root first: its keys may have begun to count the timestamp anew.
    func isNewer(than other: TrustVersions) -> Bool {
        root > other.root || root == other.root && timestamp > other.timestamp
    }
}
