/// Who is at the other end of a connection.
package enum HTTPPeer: Sendable, Equatable {
    case tcp
    /// A process on this machine, as the kernel names it (SO_PEERCRED) at the moment it connected.
    case unix(uid: UInt32, pid: Int32)
}

/// One whole request, already through the guards of `HTTPGuard`.
package struct HTTPRequest: Sendable {
    /// As sent, in its own case: `GET`.
    package var method: String
    /// Percent-decoded segments of the path; none of them empty, `.`, `..`, or with a slash or a control character.
    package var segments: [String]
    /// Percent-decoded; each name at most once.
    package var query: [String: String]
    /// Names in lower case; a header sent several times is joined by `, `.
    package var headers: [String: String]
    package var body: [UInt8]
    package var peer: HTTPPeer
    /// What the route's `{name}` segments matched.
    package var parameters: [String: String] = [:]

    package init(
        method: String, segments: [String], query: [String: String] = [:], headers: [String: String] = [:],
        body: [UInt8] = [], peer: HTTPPeer = .tcp
    ) {
        self.method = method
        self.segments = segments
        self.query = query
        self.headers = headers
        self.body = body
        self.peer = peer
    }

    /// The decoded path, beginning with a slash.
    package var path: String { "/" + segments.joined(separator: "/") }
}

/// The target of a request line in origin form: `/a/b%20c?x=1&y`.
struct HTTPTarget: Equatable {
    var segments: [String] = []
    var query: [String: String] = [:]

    /// Queries with more names than this are refused.
    static let maximumNames = 32

    /// - Throws: 400 `bad-target`, naming what is wrong with it.
    init(_ target: String) throws(Problem) {
        guard target.utf8.first == UInt8(ascii: "/") else { throw Self.refusal("it does not begin with a slash") }
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "#") }) else {
            throw Self.refusal("it has characters that must be percent-encoded")
        }
        let parts = target.utf8.dropFirst().split(
            separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        if let path = parts.first, !path.isEmpty {
            for raw in path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
                let segment = try Self.decode(raw, plusIsSpace: false)
                switch segment {
                case "": throw Self.refusal("it has an empty segment")
                case ".", "..": throw Self.refusal("it has a dot segment")
                default: break
                }
                if segment.utf8.contains(UInt8(ascii: "/")) { throw Self.refusal("it has an encoded slash") }
                segments.append(segment)
            }
        }
        guard parts.count == 2, !parts[1].isEmpty else { return }
        for pair in parts[1].split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
            let sides = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let name = try Self.decode(sides[0], plusIsSpace: true)
            let value = sides.count == 2 ? try Self.decode(sides[1], plusIsSpace: true) : ""
            if name.isEmpty { throw Self.refusal("its query has an empty name") }
            guard query.updateValue(value, forKey: name) == nil else {
                throw Self.refusal("its query repeats `\(name)`")
            }
            guard query.count <= Self.maximumNames else { throw Self.refusal("its query has too many names") }
        }
    }

    private static func decode(_ raw: Substring.UTF8View, plusIsSpace: Bool) throws(Problem) -> String {
        var bytes: [UInt8] = []
        var rest = raw
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = hexadecimal(rest.popFirst()), let low = hexadecimal(rest.popFirst()) else {
                    throw refusal("it has a percent sign without two hexadecimal digits")
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw refusal("it is not UTF-8") }
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { throw refusal("it has a control character") }
        return text
    }

    private static func hexadecimal(_ byte: UInt8?) -> UInt8? {
        switch byte {
        case .some(let digit) where digit >= UInt8(ascii: "0") && digit <= UInt8(ascii: "9"):
            digit - UInt8(ascii: "0")
        case .some(let digit) where digit | 0x20 >= UInt8(ascii: "a") && digit | 0x20 <= UInt8(ascii: "f"):
            (digit | 0x20) - UInt8(ascii: "a") + 10
        default: nil
        }
    }

    private static func refusal(_ reason: String) -> Problem {
        Problem(
            400, "bad-target", "The request's path is refused: \(reason).",
            remedy: "Send an absolute path with percent-encoded UTF-8 segments.")
    }
}
