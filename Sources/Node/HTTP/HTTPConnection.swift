import CLinux
import CMicroHTTPD
import Federation
import Glibc
import Synchronization

/// One connection of a client and the exchange that runs on it now.
///
/// An exchange goes receiving → handling → answered → sending, or → streaming, and back to receiving. The server's
/// thread does the reading and sending; the answer comes from any thread; the clock's thread ends what takes too long.
/// Safe because all that changes is behind the lock, and of `handle` other threads only resume it while suspended.
final class HTTPConnection: @unchecked Sendable {
    enum Phase { case receiving, handling, answered, sending, streaming }

    struct State {
        var phase = Phase.receiving
        /// Counts exchanges, so that an answer to an earlier one is known as late.
        var exchange: UInt64 = 0
        /// When the phase has taken too long; while streaming, the next heartbeat.
        var deadline: ContinuousClock.Instant?
        var target = ""
        var request: HTTPRequest?
        /// Decided before the body was in: answered after reading it to its end and dropping it.
        var refusal: Problem?
        var received = 0
        var answer: HTTPResponse?
        var stream: EventStream?
        var isSuspended = false
        /// The server stops: nothing may be suspended any more.
        var isDraining = false
        /// The descriptor is still this connection's.
        var isOpen = true
        /// Its place has gone to another: what still comes of it is not looked at.
        var hasGivenWay = false
    }

    let handle: OpaquePointer
    let peer: HTTPPeer
    /// Its name among those of its server.
    var guest: WaitingRoom.Guest { UInt64(UInt(bitPattern: ObjectIdentifier(self))) }
    private let descriptor: CInt
    private unowned let core: HTTPCore
    private let state: Mutex<State>

    init(_ handle: OpaquePointer, descriptor: CInt, peer: HTTPPeer, core: HTTPCore) {
        self.handle = handle
        self.descriptor = descriptor
        self.peer = peer
        self.core = core
        state = Mutex(State())
        setDeadline(core.limits.headDeadline)
    }

    // MARK: On the server's thread

    /// The request line is in.
    func targetArrived(_ target: String) { state.withLock { $0.target = target } }

    /// The headers are in, some of the body, or all of it; or the answer has come and is to be queued.
    func access(method: String, version: String, upload: UnsafeBufferPointer<UInt8>) -> MHD_Result {
        let (isBegun, hasGivenWay) = state.withLock {
            ($0.request != nil || $0.refusal != nil || $0.phase != .receiving, $0.hasGivenWay)
        }
        if hasGivenWay { return .NO }
        if !isBegun { return begin(method: method, version: version) }
        if !upload.isEmpty { return receive(upload) }
        let (phase, refusal, request) = state.withLock { state in
            defer { state.request = nil }
            return (state.phase, state.refusal, state.request)
        }
        if phase == .answered { return queueAnswer() }
        if let refusal { return queue(.problem(refusal).closing()) }
        guard phase == .receiving, let request else { return .NO }
        return dispatch(request)
    }

    /// The answer is sent or the exchange broken off.
    /// - Parameter isOver: the connection carries no other.
    func exchangeEnded(isOver: Bool) {
        let stream = state.withLock { state in
            let stream = state.stream
            state = State(
                exchange: state.exchange + 1, isDraining: state.isDraining, hasGivenWay: state.hasGivenWay)
            return stream
        }
        if let stream {
            stream.detach()
            core.streamEnded()
        }
        setDeadline(core.limits.requestDeadline)
        core.waits(self, for: isOver ? nil : .nextHead)
        core.connectionChanged()
    }

    /// The descriptor is about to be closed.
    func closed() { state.withLock { $0.isOpen = false } }

    private func begin(method: String, version: String) -> MHD_Result {
        let target = state.withLock { $0.target }
        let limits = core.limits
        do throws(Problem) {
            let fields = try headerFields(of: handle)
            let headers = try HTTPGuard(limits: limits, peer: peer).admit(version: version, fields: fields)
            if method == "POST" { try HTTPGuard.checkMediaType(headers) }
            let parsed = try HTTPTarget(target)
            let announced = headers["content-length"].flatMap { Int($0) } ?? 0
            if announced > limits.body {
                let problem = tooLarge(limits)
                // A little too much is read and dropped, so that the client sees the answer and not a reset.
                if announced > Self.patience(limits) { return queue(.problem(problem).closing()) }
                begun { $0.refusal = problem }
                return .YES
            }
            let request = HTTPRequest(
                method: method, segments: parsed.segments, query: parsed.query, headers: headers, peer: peer)
            begun { $0.request = request }
            return .YES
        } catch {
            return queue(.problem(error).closing())
        }
    }

    /// The head is in; the body is waited for.
    private func begun(_ change: (inout State) -> Void) {
        state.withLock { change(&$0) }
        setDeadline(core.limits.requestDeadline)
        core.waits(self, for: .body)
    }

    private func receive(_ upload: UnsafeBufferPointer<UInt8>) -> MHD_Result {
        let limits = core.limits
        return state.withLock { state in
            state.received += upload.count
            if state.received > Self.patience(limits) { return .NO }
            if state.received > limits.body {
                state.refusal = tooLarge(limits)
                state.request = nil
            }
            if state.refusal == nil { state.request?.body.append(contentsOf: upload) }
            return .YES
        }
    }

    private func dispatch(_ request: HTTPRequest) -> MHD_Result {
        if core.isClosing { return queue(.problem(HTTPCore.stopping).closing()) }
        let exchange = state.withLock { state in
            state.phase = .handling
            return state.exchange
        }
        setDeadline(core.limits.answerDeadline)
        core.waits(self, for: nil)
        core.handler(request, HTTPResponder { [self] in answer($0, to: exchange) })
        let isAnswered = state.withLock { state in
            if state.phase == .handling && state.isDraining {
                state.answer = .problem(HTTPCore.stopping).closing()
                state.phase = .answered
            }
            if state.phase == .answered { return true }
            state.isSuspended = true
            MHD_suspend_connection(handle)
            return false
        }
        return isAnswered ? queueAnswer() : .YES
    }

    private func queueAnswer() -> MHD_Result {
        guard let answer = state.withLock({ $0.answer.take() }) else { return .NO }
        return queue(core.isClosing ? answer.closing() : answer)
    }

    private func queue(_ response: HTTPResponse) -> MHD_Result {
        let queued: OpaquePointer?
        switch response.body {
        case .bytes(let bytes):
            queued = bytes.withUnsafeBytes { bytes in
                MHD_create_response_from_buffer(
                    bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress), .RESPMEM_MUST_COPY)
            }
            state.withLock { $0.phase = .sending }
            core.waits(self, for: .taking)
            setDeadline(core.limits.sendDeadline)
        case .events(let stream):
            core.waits(self, for: nil)
            if let problem = core.streamStarted() {
                stream.close()
                return queue(.problem(problem))
            }
            stream.attach(to: self)
            let context = Unmanaged.passRetained(stream).toOpaque()
            queued = MHD_create_response_from_callback(.max, 4096, readEvents, context, releaseEvents)
            if queued == nil { releaseEvents(context: context) }
            state.withLock { state in
                state.phase = .streaming
                state.stream = stream
                if state.isDraining { stream.close() }
            }
            setDeadline(core.limits.heartbeat)
        }
        guard let queued else { return .NO }
        defer { MHD_destroy_response(queued) }
        var headers = response.headers
        headers["Cache-Control"] = headers["Cache-Control"] ?? "no-store"
        headers["X-Content-Type-Options"] = "nosniff"
        if response.closesConnection { headers["Connection"] = "close" }
        for (name, value) in headers { _ = MHD_add_response_header(queued, name, value) }
        return MHD_queue_response(handle, UInt32(response.status), queued)
    }

    // MARK: On any thread

    /// - Returns: false if the exchange is over or was answered.
    private func answer(_ response: HTTPResponse, to exchange: UInt64) -> Bool {
        state.withLock { state in
            guard state.isOpen, state.exchange == exchange, state.phase == .handling else { return false }
            state.answer = response
            state.phase = .answered
            resume(&state)
            return true
        }
    }

    /// Ends the connection; the server's thread then sees it closed.
    func cut() {
        state.withLock { state in
            if state.isOpen { shutdown(descriptor, CInt(SHUT_RDWR)) }
        }
    }

    /// Its place is wanted by another. A request that has just come is not begun: no answer to it would arrive.
    func giveWay() {
        state.withLock { $0.hasGivenWay = true }
        cut()
    }

    /// An exchange has begun and is not over.
    var isBusy: Bool { state.withLock { $0.phase != .receiving } }

    /// From now on nothing is suspended: what waits is answered 503, what streams comes to its end.
    func drain() {
        let stream = state.withLock { state in
            state.isDraining = true
            if state.phase == .handling {
                state.answer = .problem(HTTPCore.stopping).closing()
                state.phase = .answered
                resume(&state)
            }
            return state.stream
        }
        stream?.close()
    }

    /// Ends the event stream, if there is one.
    func endStream() { state.withLock { $0.stream }?.close() }

    /// Does what the time has come for.
    /// - Returns: when to look again; nil if nothing is being waited for.
    func expire(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let (next, stream) = state.withLock { state -> (ContinuousClock.Instant?, EventStream?) in
            guard let deadline = state.deadline, deadline <= now else { return (state.deadline, nil) }
            state.deadline = nil
            switch state.phase {
            case .receiving, .sending:
                if state.isOpen { shutdown(descriptor, CInt(SHUT_RDWR)) }
            case .handling:
                let problem = Problem(
                    503, "deadline", "The node did not answer in time; the request may still take effect.",
                    remedy: "Repeat it with the same Idempotency-Key.", retryAfter: 1)
                state.answer = .problem(problem)
                state.phase = .answered
                resume(&state)
            case .answered: break  // the server's thread has it
            case .streaming:
                state.deadline = now + core.limits.heartbeat
                return (state.deadline, state.stream)
            }
            return (nil, nil)
        }
        stream?.heartbeat()
        return next
    }

    private func resume(_ state: inout State) {
        guard state.isSuspended else { return }
        state.isSuspended = false
        MHD_resume_connection(handle)
    }

    private func setDeadline(_ limit: Duration) {
        let deadline = ContinuousClock.now + limit
        state.withLock { $0.deadline = deadline }
        core.clock.look(at: deadline)
    }

    /// Bytes of a body that are read at most, four times what is accepted.
    private static func patience(_ limits: HTTPLimits) -> Int { 4 * limits.body }

    private func tooLarge(_ limits: HTTPLimits) -> Problem {
        Problem(
            413, "request-too-large", "The request's body is longer than \(limits.body) bytes.",
            remedy: "Send less in one request.")
    }
}

/// The header lines of a request, in order.
/// - Throws: 400 `bad-request` if they are not UTF-8.
private func headerFields(of connection: OpaquePointer) throws(Problem) -> [(name: String, value: String)] {
    let list = HeaderList()
    _ = MHD_get_connection_values_n(connection, .HEADER_KIND, collectHeader, Unmanaged.passUnretained(list).toOpaque())
    guard list.isValid else {
        throw Problem(
            400, "bad-request", "The request is refused: a header is not UTF-8.", remedy: "Send headers in ASCII.")
    }
    return list.fields
}

private final class HeaderList {
    var fields: [(name: String, value: String)] = []
    var isValid = true
}

private func collectHeader(
    context: UnsafeMutableRawPointer?, kind: MHD_ValueKind, name: UnsafePointer<CChar>?, nameSize: Int,
    value: UnsafePointer<CChar>?, valueSize: Int
) -> MHD_Result {
    guard let context else { return .NO }
    let list = Unmanaged<HeaderList>.fromOpaque(context).takeUnretainedValue()
    func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String? {
        guard let start else { return "" }
        return String(
            validating: UnsafeBufferPointer(start: start, count: count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    guard let name = text(name, nameSize), let value = text(value, valueSize) else {
        list.isValid = false
        return .NO
    }
    list.fields.append((name, value))
    return .YES
}

private func readEvents(
    context: UnsafeMutableRawPointer?, position: UInt64, buffer: UnsafeMutablePointer<CChar>?, capacity: Int
) -> Int {
    guard let context, let buffer else { return -1 }
    let stream = Unmanaged<EventStream>.fromOpaque(context).takeUnretainedValue()
    return UnsafeMutableRawBufferPointer(start: buffer, count: capacity).withMemoryRebound(to: UInt8.self) {
        stream.read(into: $0)
    }
}

private func releaseEvents(context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<EventStream>.fromOpaque(context).release()
}
