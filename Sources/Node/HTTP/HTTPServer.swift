import CLinux
import CMicroHTTPD
import Federation
import Glibc

/// An HTTP/1.1 listener on libmicrohttpd: one thread of its own reads and writes, handlers answer from wherever they
/// like, and a request is suspended until they do.
final class HTTPServer: @unchecked Sendable {
    // Safe because: `daemon` is set once before the first request and changed only by `stop`; the rest is constant or
    // behind a lock.

    enum Endpoint: Sendable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    struct Limits: Sendable {
        var bodyBytes = 1 << 20
        var headerBytes = 16 << 10
        var connections: UInt32 = 1024
        /// From the first header to the last byte of the body.
        var requestSeconds: Int64 = 20
    }

    typealias Handler = @Sendable (HTTPRequest, HTTPResponder) -> Void

    private let handler: Handler
    private let limits: Limits
    private let endpoint: Endpoint
    private var daemon: OpaquePointer?
    private let open = Monitor<[ObjectIdentifier: HTTPExchange]>([:])
    private let isStopping = Monitor(false)
    private(set) var port: UInt16 = 0

    init(_ endpoint: Endpoint, limits: Limits = Limits(), handler: @escaping Handler) throws(FederationError) {
        self.endpoint = endpoint
        self.limits = limits
        self.handler = handler
        let listening = try HTTPServer.listen(endpoint)
        if case .tcp = endpoint { port = HTTPServer.port(of: listening) }
        var options = [
            MHD_OptionItem(option: .LISTEN_SOCKET, value: Int(listening), ptr_value: nil),
            MHD_OptionItem(option: .CONNECTION_MEMORY_LIMIT, value: 64 << 10, ptr_value: nil),
            MHD_OptionItem(option: .CONNECTION_LIMIT, value: Int(limits.connections), ptr_value: nil),
            MHD_OptionItem(option: .CONNECTION_TIMEOUT, value: 15, ptr_value: nil),
            MHD_OptionItem(option: .STRICT_FOR_CLIENT, value: 1, ptr_value: nil),
            MHD_OptionItem(option: .END, value: 0, ptr_value: nil),
        ]
        let flags = MHD_USE_EPOLL_INTERNAL_THREAD.rawValue | MHD_ALLOW_SUSPEND_RESUME.rawValue
        daemon = cmhd_start(flags, accessed, Unmanaged.passUnretained(self).toOpaque(), completed, &options)
        guard daemon != nil else {
            close(listening)
            throw FederationError(
                "listener-failed", "no HTTP listener could be started", remedy: "raise the limit of open files")
        }
        Threads.start("http-deadlines") { [weak self] in
            while let server = self, server.cutSlowRequests() { sleep(1) }
        }
    }

    deinit { stop() }

    /// Takes no more requests, lets those under way finish (10 s at most), and ends the thread.
    func stop() {
        let first = isStopping.change { stopping in
            defer { stopping = true }
            return !stopping
        }
        guard first, let daemon else { return }
        let listening = MHD_quiesce_daemon(daemon)
        if listening >= 0 { close(listening) }
        if case .unix(let path) = endpoint { unlink(path) }
        _ = open.wait(
            milliseconds: 10_000, until: { $0.isEmpty || $0.values.allSatisfy { !$0.isWithHandler } }, then: { _ in })
        for exchange in open.changeQuietly({ Array($0.values) }) {
            exchange.answer(Problem(503, "stopping", "the node is stopping", remedy: "try again later").response)
        }
        MHD_stop_daemon(daemon)
        self.daemon = nil
    }

    /// A sender that takes too long is cut off. False when the server has stopped.
    private func cutSlowRequests() -> Bool {
        if isStopping.changeQuietly({ $0 }) { return false }
        let now = Clocks.monotonicMicroseconds() / 1_000_000
        for exchange in open.changeQuietly({ Array($0.values) }) { exchange.cutIfSlow(now, limits.requestSeconds) }
        return true
    }

    // MARK: Sockets

    private static func listen(_ endpoint: Endpoint) throws(FederationError) -> CInt {
        switch endpoint {
        case .unix(let path): return try listenUnix(path)
        case .tcp(let host, let port): return try listenTCP(host, port)
        }
    }

    private static func listenTCP(_ host: String, _ port: UInt16) throws(FederationError) -> CInt {
        let listening = socket(
            AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var yes: CInt = 1
        setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
            close(listening)
            throw FederationError("address-not-numeric", "\(host) is no IPv4 address", remedy: "use 127.0.0.1")
        }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listening, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, Glibc.listen(listening, 256) == 0 else {
            let inUse = errno == EADDRINUSE
            let said = String(cString: strerror(errno))
            close(listening)
            throw FederationError(
                inUse ? "port-in-use" : "address-unusable", "\(host):\(port): \(said)",
                remedy: "stop what listens there, or choose another port")
        }
        return listening
    }

    private static func listenUnix(_ path: String) throws(FederationError) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room else {
            throw FederationError(
                "socket-path-long", "\(path) is longer than \(room - 1) bytes",
                remedy: "use a folder with a shorter name")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let listening = socket(
            AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        func withAddress(_ body: (UnsafePointer<sockaddr>) -> CInt) -> CInt {
            withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
        }
        // A socket that nobody answers on is left over from a process that was killed.
        if withAddress({ connect(listening, $0, size) }) == 0 {
            close(listening)
            throw FederationError("socket-in-use", "\(path) is answered by another process", remedy: "stop it first")
        }
        unlink(path)
        let mask = umask(0o177)
        defer { umask(mask) }
        guard withAddress({ bind(listening, $0, size) }) == 0, Glibc.listen(listening, 64) == 0 else {
            let said = String(cString: strerror(errno))
            close(listening)
            throw FederationError("address-unusable", "\(path): \(said)", remedy: "make the folder writable")
        }
        return listening
    }

    private static func port(of descriptor: CInt) -> UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    // MARK: Requests, on the library's thread

    fileprivate func access(
        _ connection: OpaquePointer, _ url: UnsafePointer<CChar>, _ method: UnsafePointer<CChar>,
        _ data: UnsafePointer<CChar>?, _ size: UnsafeMutablePointer<Int>,
        _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> MHD_Result {
        guard let known = slot.pointee else { return begin(connection, url, method, slot) }
        let exchange = Unmanaged<HTTPExchange>.fromOpaque(known).takeUnretainedValue()
        if size.pointee > 0 {
            guard exchange.refusal == nil else {
                size.pointee = 0
                return .YES
            }
            guard exchange.append(data, size.pointee, limit: limits.bodyBytes) else { return .NO }
            size.pointee = 0
            return .YES
        }
        if let answer = exchange.refusal ?? exchange.takeAnswer() { return exchange.queue(answer) }
        guard !isStopping.changeQuietly({ $0 }) else {
            return exchange.queue(Problem(503, "stopping", "the node is stopping", remedy: "try again later").response)
        }
        guard exchange.handOver() else { return .NO }
        MHD_suspend_connection(connection)
        handler(exchange.request, HTTPResponder(exchange))
        return .YES
    }

    private func begin(
        _ connection: OpaquePointer, _ url: UnsafePointer<CChar>, _ method: UnsafePointer<CChar>,
        _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> MHD_Result {
        let headers = HTTPHeaders()
        let argument = Unmanaged.passUnretained(headers).toOpaque()
        MHD_get_connection_values(connection, .HEADER_KIND, collectValue, argument)
        let query = HTTPHeaders()
        MHD_get_connection_values(
            connection, .GET_ARGUMENT_KIND, collectValue, Unmanaged.passUnretained(query).toOpaque())
        let exchange = HTTPExchange(
            connection, method: String(cString: method), url: String(cString: url), headers: headers, query: query,
            peer: peer(of: connection))
        exchange.refusal =
            headers.refusal(isLocal: { if case .unix = endpoint { true } else { false } }(), limits)?.response
        open.change { $0[ObjectIdentifier(exchange)] = exchange }
        slot.pointee = Unmanaged.passUnretained(exchange).toOpaque()
        return .YES
    }

    private func peer(of connection: OpaquePointer) -> HTTPPeer {
        guard case .unix = endpoint else { return .network }
        var pid: pid_t = 0
        var uid: uid_t = 0
        guard clinux_peer_credentials(cmhd_descriptor(connection), &pid, &uid) == 0 else { return .network }
        return .process(uid: uid, pid: pid)
    }

    fileprivate func finished(_ exchange: HTTPExchange) {
        exchange.connectionEnded()
        open.change { $0[ObjectIdentifier(exchange)] = nil }
    }
}

private let accessed: MHD_AccessHandlerCallback = { server, connection, url, method, _, data, size, slot in
    guard let server, let connection, let url, let method, let size, let slot else { return .NO }
    return Unmanaged<HTTPServer>.fromOpaque(server).takeUnretainedValue()
        .access(connection, url, method, data, size, slot)
}

private let completed: MHD_RequestCompletedCallback = { server, _, slot, _ in
    guard let server, let known = slot?.pointee else { return }
    let exchange = Unmanaged<HTTPExchange>.fromOpaque(known).takeUnretainedValue()
    slot?.pointee = nil
    Unmanaged<HTTPServer>.fromOpaque(server).takeUnretainedValue().finished(exchange)
}

private let collectValue: MHD_KeyValueIterator = { argument, _, name, value in
    guard let argument, let name else { return .NO }
    Unmanaged<HTTPHeaders>.fromOpaque(argument).takeUnretainedValue()
        .add(String(cString: name).lowercased(), value.map { String(cString: $0) } ?? "")
    return .YES
}

/// Answers one request, once, from any thread.
struct HTTPResponder: Sendable {
    private let exchange: HTTPExchange

    fileprivate init(_ exchange: HTTPExchange) { self.exchange = exchange }

    func answer(_ response: HTTPResponse) { exchange.answer(response) }
}
