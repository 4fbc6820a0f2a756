import CLinux
import CMicroHTTPD
package import Federation
import Glibc
import Synchronization

/// HTTP/1.1 on one loopback address or one Unix socket, over libmicrohttpd.
///
/// One epoll thread does all reading and writing (more of them do not help on two cores), one clock thread sleeps until
/// the next deadline. A handler is called on the epoll thread when the whole request is in; it must not block: what
/// takes time is handed to another thread, which answers through the responder.
package final class HTTPServer: Sendable {
    package typealias Handler = @Sendable (HTTPRequest, HTTPResponder) -> Void

    /// Where it listens, with the port that the system has chosen.
    package let address: HTTPAddress
    private let core: HTTPCore
    private let listener: HTTPListener
    private let daemon: Mutex<Daemon?>

    /// Safe because libmicrohttpd's daemon may be stopped from any thread; the lock hands it to one.
    private struct Daemon: @unchecked Sendable { var pointer: OpaquePointer }

    /// Listens from now on.
    /// - Throws: `not-loopback`, `port-in-use`, `socket-in-use`, `socket-path`, `cannot-listen`.
    package init(
        _ address: HTTPAddress, limits: HTTPLimits = HTTPLimits(),
        log: @escaping @Sendable (LinkLoop.Event) -> Void = { Log.write($0) }, handler: @escaping Handler
    ) throws(FederationError) {
        listener = try HTTPListener(address)
        self.address = listener.address
        core = HTTPCore(limits: limits, address: listener.address, log: log, handler: handler)
        // Twice the headers: the rest is for the request line and for reading the body in pieces.
        let started = cmhd_start(
            listener.descriptor, UInt32(limits.connections), UInt32(limits.inactivitySeconds), 2 * limits.headers,
            accessArrived, exchangeEnded, connectionChanged, targetArrived, Unmanaged.passUnretained(core).toOpaque())
        guard let started else {
            listener.unlinkFile()  // the descriptor is the library's, even now
            throw FederationError(
                "cannot-listen", "The HTTP server does not start at \(listener.address).",
                remedy: "Check the limits of open files and threads.")
        }
        daemon = Mutex(Daemon(pointer: started))
        core.clock.start { [core] in core.expire(at: $0) }
    }

    /// Stops: takes no more connections, ends event streams, gives exchanges under way some time to finish, answers
    /// the rest 503 `stopping`. Returns when no thread of the server is left. Not to be called by a handler.
    /// - Parameter patience: for the exchanges under way; after it at most another second passes.
    package func stop(within patience: Duration = .seconds(5)) {
        guard let daemon = daemon.withLock({ $0.take() })?.pointer else { return }
        listener.unlinkFile()
        let descriptor = MHD_quiesce_daemon(daemon)
        if descriptor >= 0 { close(descriptor) }
        core.close(within: patience)
        MHD_stop_daemon(daemon)
        core.clock.stop()
    }

    deinit { stop(within: .zero) }
}

/// What the threads of a server share.
final class HTTPCore: Sendable {
    static let stopping = Problem(
        503, "stopping", "The node is being stopped.", remedy: "Repeat the request in a moment.", retryAfter: 5)

    private struct State {
        var connections: [WaitingRoom.Guest: HTTPConnection] = [:]
        var crowd: HTTPCrowd
        var told = LogBudget()
        var streams = 0
        var isClosing = false
        var isDraining = false
    }

    let limits: HTTPLimits
    let clock = HTTPClock()
    let handler: HTTPServer.Handler
    private let address: HTTPAddress
    private let state: Mutex<State>
    private let log: @Sendable (LinkLoop.Event) -> Void
    private let changed = WakeUp()

    init(
        limits: HTTPLimits, address: HTTPAddress, log: @escaping @Sendable (LinkLoop.Event) -> Void,
        handler: @escaping HTTPServer.Handler
    ) {
        state = Mutex(State(crowd: HTTPCrowd(limits)))
        self.log = log
        self.limits = limits
        self.address = address
        self.handler = handler
    }

    var isClosing: Bool { state.withLock { $0.isClosing } }

    func opened(_ handle: OpaquePointer) -> HTTPConnection {
        let descriptor = cmhd_socket(handle)
        var peer = HTTPPeer.tcp
        if case .unix = address {
            var (process, user) = (pid_t(), uid_t.max)  // nobody, should the kernel not say
            _ = clinux_peer_credentials(descriptor, &process, &user)
            peer = .unix(uid: user, pid: process)
        }
        let connection = HTTPConnection(handle, descriptor: descriptor, peer: peer, core: self)
        let isDraining = state.withLock { state in
            state.connections[connection.guest] = connection
            return state.isDraining
        }
        if isDraining { connection.drain() }
        waits(connection, for: .firstHead)
        return connection
    }

    func closed(_ connection: HTTPConnection) {
        connection.closed()
        state.withLock { state in
            state.connections[connection.guest] = nil
            state.crowd.left(connection.guest)
        }
        connectionChanged()
    }

    /// What a connection waits for its client to send; nil when it is the node's turn. Where too many wait, one of them
    /// is closed. On the server's thread only.
    func waits(_ connection: HTTPConnection, for wait: HTTPCrowd.Wait?) {
        let (other, lines, due) = state.withLock { state -> (HTTPConnection?, [LinkLoop.Event], Int64?) in
            let guest = connection.guest
            guard let wait else {
                state.crowd.left(guest)
                return (nil, [], nil)
            }
            guard let other = state.crowd.waits(guest, for: wait, from: connection.peer) else { return (nil, [], nil) }
            let event = LinkLoop.Event(
                code: "too-many-waiting", peer: nil,
                detail: "\(address): a connection without \(wait.words) gave way to a newer one")
            return (state.connections[other], state.told.happened(event, at: Self.now), state.told.due)
        }
        other?.giveWay()
        for line in lines { log(line) }
        if let due { clock.look(at: .now + .milliseconds(max(0, due - Self.now))) }
    }

    private static var now: Int64 { Clocks.monotonicMicroseconds() / 1000 }

    /// Counts one more stream in, or says why not.
    func streamStarted() -> Problem? {
        state.withLock { state in
            if state.isClosing { return Self.stopping }
            guard state.streams < limits.streams else {
                return Problem(
                    503, "too-many-streams", "\(limits.streams) clients already read events.",
                    remedy: "Close a window, or try again later.", retryAfter: 15)
            }
            state.streams += 1
            return nil
        }
    }

    func streamEnded() { state.withLock { $0.streams -= 1 } }

    func connectionChanged() { if isClosing { changed.wake() } }

    func expire(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let (lines, due) = state.withLock { ($0.told.minuteEnded(at: Self.now), $0.told.due) }
        for line in lines { log(line) }
        let next = due.map { now + .milliseconds(max(1, $0 - Self.now)) }
        return (connections.compactMap { $0.expire(at: now) } + [next].compactMap { $0 }).min()
    }

    /// Everything that runs comes to an end; afterwards no connection is or becomes suspended.
    func close(within patience: Duration) {
        state.withLock { $0.isClosing = true }
        for connection in connections { connection.endStream() }
        waitUntilIdle(atMost: patience)
        state.withLock { $0.isDraining = true }
        for connection in connections { connection.drain() }
        waitUntilIdle(atMost: .seconds(1))
    }

    private var connections: [HTTPConnection] { state.withLock { Array($0.connections.values) } }

    private func waitUntilIdle(atMost limit: Duration) {
        let end = ContinuousClock.now + limit
        while connections.contains(where: \.isBusy) {
            let left = end - ContinuousClock.now
            if left <= .zero { return }
            changed.wait(atMost: left)
        }
    }
}

// MARK: libmicrohttpd's callbacks, all on the server's thread

private func coreOf(_ context: UnsafeMutableRawPointer?) -> HTTPCore? {
    context.map { Unmanaged<HTTPCore>.fromOpaque($0).takeUnretainedValue() }
}

private func connectionOf(_ handle: OpaquePointer?) -> HTTPConnection? {
    guard let handle, let context = cmhd_connection_context(handle) else { return nil }
    return Unmanaged<HTTPConnection>.fromOpaque(context).takeUnretainedValue()
}

private func connectionChanged(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?, own: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    code: MHD_ConnectionNotificationCode
) {
    guard let core = coreOf(context), let handle, let own else { return }
    if code == .CONNECTION_NOTIFY_STARTED {
        own.pointee = Unmanaged.passRetained(core.opened(handle)).toOpaque()
    } else if let pointer = own.pointee {
        own.pointee = nil
        core.closed(Unmanaged<HTTPConnection>.fromOpaque(pointer).takeRetainedValue())
    }
}

private func targetArrived(
    context: UnsafeMutableRawPointer?, target: UnsafePointer<CChar>?, handle: OpaquePointer?
) -> UnsafeMutableRawPointer? {
    // Bytes that are not UTF-8 are replaced, and so refused with all others that are not ASCII.
    connectionOf(handle)?.targetArrived(target.map { String(cString: $0) } ?? "")
    return nil
}

private func accessArrived(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?, path: UnsafePointer<CChar>?,
    method: UnsafePointer<CChar>?, version: UnsafePointer<CChar>?, upload: UnsafePointer<CChar>?,
    uploadSize: UnsafeMutablePointer<Int>?, own: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let connection = connectionOf(handle), let method, let version, let uploadSize else { return .NO }
    let bytes = UnsafeRawBufferPointer(start: upload, count: uploadSize.pointee)
    uploadSize.pointee = 0
    return bytes.withMemoryRebound(to: UInt8.self) {
        connection.access(method: String(cString: method), version: String(cString: version), upload: $0)
    }
}

private func exchangeEnded(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?, own: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    code: MHD_RequestTerminationCode
) {
    connectionOf(handle)?.exchangeEnded(isOver: code != .REQUEST_TERMINATED_COMPLETED_OK)
}
