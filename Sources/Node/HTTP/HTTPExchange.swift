import CLinux
import CMicroHTTPD
import Federation
import Glibc

/// Header lines or query fields as they came, with repeats.
final class HTTPHeaders {
    private(set) var values: [(name: String, value: String)] = []
    private var bytes = 0

    func add(_ name: String, _ value: String) {
        bytes += name.utf8.count + value.utf8.count + 4
        values.append((name, value))
    }

    func count(_ name: String) -> Int { values.count { $0.name == name } }
    func first(_ name: String) -> String? { values.first { $0.name == name }?.value }

    /// What must be refused before anything looks at the request: two readings of where it ends, names that a foreign
    /// page could use, and what is too much.
    func refusal(isLocal: Bool, _ limits: HTTPServer.Limits) -> Problem? {
        if bytes > limits.headerBytes {
            return Problem(431, "headers-too-large", "\(bytes) bytes of headers", remedy: "send fewer")
        }
        if count("content-length") > 1 || (count("content-length") == 1 && count("transfer-encoding") > 0)
            || count("host") > 1 || count("transfer-encoding") > 1
        {
            return Problem(
                400, "ambiguous-request", "the request can be read in two ways",
                remedy: "send one Content-Length or one Transfer-Encoding, and one Host")
        }
        if let length = first("content-length"), (Int(length) ?? Int.max) > limits.bodyBytes {
            return Problem(413, "body-too-large", "\(length) bytes", remedy: "send at most \(limits.bodyBytes) bytes")
        }
        guard !isLocal else { return nil }
        let host = first("host").map(HTTPHeaders.name) ?? ""
        let origin = first("origin").map { HTTPHeaders.name($0.split(separator: "/").last.map(String.init) ?? "") }
        let own = ["127.0.0.1", "localhost"]
        if !own.contains(host) || (origin.map { !own.contains($0) } ?? false) {
            return Problem(403, "forbidden-origin", "the request names another host", remedy: "ask 127.0.0.1 directly")
        }
        return nil
    }

    private static func name(_ host: String) -> String {
        guard let colon = host.lastIndex(of: ":") else { return host }
        return String(host[..<colon])
    }
}

/// One request on its way in and its answer on the way out.
final class HTTPExchange: @unchecked Sendable {
    // Safe because: `body` and `refusal` belong to the library's thread; the rest is behind the lock.
    private struct State {
        var answer: HTTPResponse?
        var isWithHandler = false
        var isGone = false
        var isSuspended = false
    }

    private let connection: OpaquePointer
    private let method: String
    private let url: String
    private let headers: HTTPHeaders
    private let query: HTTPHeaders
    private let peer: HTTPPeer
    private let begun = Clocks.monotonicMicroseconds() / 1_000_000
    private var body: [UInt8] = []
    private let state = Monitor(State())
    var refusal: HTTPResponse?

    init(
        _ connection: OpaquePointer, method: String, url: String, headers: HTTPHeaders, query: HTTPHeaders,
        peer: HTTPPeer
    ) {
        self.connection = connection
        self.method = method
        self.url = url
        self.headers = headers
        self.query = query
        self.peer = peer
    }

    var isWithHandler: Bool { state.changeQuietly { $0.isWithHandler && $0.answer == nil } }

    var request: HTTPRequest {
        // libmicrohttpd has decoded %-escapes already.
        HTTPRequest(
            method: method, path: url.split(separator: "/").map(String.init),
            query: Dictionary(query.values.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
            headers: Dictionary(headers.values.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
            body: body, peer: peer)
    }

    func append(_ data: UnsafePointer<CChar>?, _ size: Int, limit: Int) -> Bool {
        guard let data, body.count + size <= limit else { return false }
        body.append(contentsOf: UnsafeRawBufferPointer(start: data, count: size))
        return true
    }

    /// False when it has been handed over before.
    func handOver() -> Bool {
        state.changeQuietly { state in
            guard !state.isWithHandler else { return false }
            state.isWithHandler = true
            state.isSuspended = true
            return true
        }
    }

    func takeAnswer() -> HTTPResponse? { state.changeQuietly { $0.answer } }

    /// Keeps the answer and wakes the connection. Later answers are dropped.
    func answer(_ response: HTTPResponse) {
        state.change { state in
            guard state.answer == nil, state.isWithHandler, !state.isGone else { return }
            state.answer = response
            guard state.isSuspended else { return }
            state.isSuspended = false
            MHD_resume_connection(connection)
        }
    }

    func connectionEnded() { state.changeQuietly { $0.isGone = true } }

    func cutIfSlow(_ now: Int64, _ seconds: Int64) {
        let isReading = state.changeQuietly { !$0.isWithHandler && !$0.isGone }
        guard isReading, now - begun > seconds else { return }
        let descriptor = cmhd_descriptor(connection)
        if descriptor >= 0 { shutdown(descriptor, CInt(SHUT_RDWR)) }
    }

    func queue(_ answer: HTTPResponse) -> MHD_Result {
        let response = answer.body.withUnsafeBytes { bytes in
            MHD_create_response_from_buffer(
                bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress), .RESPMEM_MUST_COPY)
        }
        guard let response else { return .NO }
        defer { MHD_destroy_response(response) }
        MHD_add_response_header(response, "Content-Type", answer.contentType)
        MHD_add_response_header(response, "Cache-Control", "no-store")
        for (name, value) in answer.headers { MHD_add_response_header(response, name, value) }
        if refusal != nil { MHD_add_response_header(response, "Connection", "close") }
        return MHD_queue_response(connection, answer.status, response)
    }
}
