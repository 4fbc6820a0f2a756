/// What stands before any routing: framing that two readers could read differently, sizes, and requests that a page of
/// another site made the user's browser send. libmicrohttpd 0.9.75 lets all of these through.
struct HTTPGuard {
    let limits: HTTPLimits
    let peer: HTTPPeer

    /// Headers of which a second one is refused: who reads the first and who the last would differ.
    private static let single: Set<String> = [
        "authorization", "content-length", "content-type", "host", "idempotency-key", "origin", "transfer-encoding",
    ]

    /// - Parameter fields: header lines in their order, names in any case.
    /// - Returns: headers by lower-case name.
    /// - Throws: 400 `bad-request`, 403 `forbidden-origin`, 431 `headers-too-large`; the connection is to be closed.
    func admit(version: String, fields: [(name: String, value: String)]) throws(Problem) -> [String: String] {
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else { throw Self.bad("HTTP/1.1 is spoken here") }
        var size = 0
        var headers: [String: String] = [:]
        for field in fields {
            size += field.name.utf8.count + field.value.utf8.count + 4
            guard size <= limits.headers else {
                throw Problem(
                    431, "headers-too-large", "The headers are longer than \(limits.headers) bytes.",
                    remedy: "Send fewer or shorter headers.")
            }
            let name = field.name.lowercased()
            guard !name.isEmpty, name.utf8.allSatisfy(Self.isToken) else { throw Self.bad("a header name is not one") }
            // Of a folded line the library makes another name: `Content-Length3`.
            if ["content-length", "transfer-encoding"].contains(where: { name.hasPrefix($0) && name != $0 }) {
                throw Self.bad("a framing header is folded, or has more to its name")
            }
            guard field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                throw Self.bad("header \(name) has a control character")
            }
            if let before = headers[name] {
                if Self.single.contains(name) { throw Self.bad("header \(name) is repeated") }
                headers[name] = before + ", " + field.value
            } else {
                headers[name] = field.value
            }
        }
        try checkFraming(version: version, headers: headers)
        if peer == .tcp { try checkOrigin(headers) }
        return headers
    }

    /// A form of another site's page can send text, never this.
    /// - Throws: 415 `unsupported-media-type`.
    static func checkMediaType(_ headers: [String: String]) throws(Problem) {
        guard let type = headers["content-type"] else { return }
        let name = type.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
        guard name == "application/json" else {
            throw Problem(
                415, "unsupported-media-type", "The body is said to be something else than JSON.",
                remedy: "Send Content-Type: application/json.")
        }
    }

    private func checkFraming(version: String, headers: [String: String]) throws(Problem) {
        let length = headers["content-length"]
        if let encoding = headers["transfer-encoding"] {
            if length != nil { throw Self.bad("it has both Content-Length and Transfer-Encoding") }
            guard encoding.lowercased() == "chunked", version == "HTTP/1.1" else {
                throw Self.bad("its Transfer-Encoding is not plain chunked of HTTP/1.1")
            }
        }
        if let length {
            let isNumber =
                !length.isEmpty && length.utf8.count <= 18 && length.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
            guard isNumber else { throw Self.bad("its Content-Length is not a number") }
        }
    }

    /// A rebound name shows in Host, another site's page in Origin; a request from the API's own page has both alike.
    private func checkOrigin(_ headers: [String: String]) throws(Problem) {
        guard let host = headers["host"]?.lowercased() else { throw Self.bad("it has no Host") }
        let name: Substring
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            name = host[...end]
        } else {
            name = host.prefix { $0 != ":" }
        }
        let port = host.dropFirst(name.count)
        let isPort = port.isEmpty || port.first == ":" && UInt16(port.dropFirst()) != nil
        let isKnown = Self.loopback.contains(String(name)) || limits.allowedHosts.contains(String(name))
        guard isPort, isKnown else {
            throw Self.forbidden("Host", "is not a name of this node's API")
        }
        if let origin = headers["origin"]?.lowercased(), origin != "http://" + host {
            throw Self.forbidden("Origin", "is another site")
        }
    }

    private static let loopback: Set<String> = ["127.0.0.1", "localhost", "[::1]"]

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x5e...0x7a, 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x7c, 0x7e: true
        default: false
        }
    }

    private static func bad(_ reason: String) -> Problem {
        Problem(
            400, "bad-request", "The request is refused: \(reason).",
            remedy: "Send plain HTTP/1.1 with each framing header once.")
    }

    private static func forbidden(_ header: String, _ reason: String) -> Problem {
        Problem(
            403, "forbidden-origin", "The request is refused: its \(header) \(reason).",
            remedy: "Call the API by 127.0.0.1 or localhost, and from its own pages only.")
    }
}
