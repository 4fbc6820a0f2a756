import CMicroHTTPD
import Synchronization

/// Server-sent events to one client. The buffer is bounded: a client that does not keep up is dropped, so that it costs
/// the publisher nothing, and connects again with `Last-Event-ID`.
package final class EventStream: Sendable {
    /// Bytes that may wait for a client.
    package static let defaultCapacity = 64 << 10

    private struct State {
        var buffer: [UInt8] = []
        var isOpen = true
        /// The connection is suspended until there is something to read.
        var isWaiting = false
        var connection: HTTPConnection?
    }

    private let capacity: Int
    private let state = Mutex(State())

    /// - Parameter capacity: bytes that may wait for the client before it is dropped.
    package init(capacity: Int = EventStream.defaultCapacity) { self.capacity = capacity }

    /// False once the client has left or was dropped, or the stream was closed.
    package var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Sends one event; never blocks. Line breaks in `data` become several data lines, those in the others are left out.
    /// - Returns: false if the stream is closed, or if the client was dropped for not keeping up.
    @discardableResult
    package func send(event: String? = nil, id: String? = nil, data: String) -> Bool {
        var bytes: [UInt8] = []
        func line(_ field: StaticString, _ value: some Sequence<UInt8>) {
            field.withUTF8Buffer { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: value.lazy.filter { $0 != 0x0a && $0 != 0x0d })
            bytes.append(0x0a)
        }
        if let id { line("id: ", id.utf8) }
        if let event { line("event: ", event.utf8) }
        for part in data.utf8.split(separator: 0x0a, omittingEmptySubsequences: false) { line("data: ", part) }
        bytes.append(0x0a)
        return append(bytes)
    }

    /// Ends the stream after what is already waiting.
    package func close() {
        state.withLock { state in
            state.isOpen = false
            resume(&state)
        }
    }

    /// A comment, which clients ignore; sending it is how a lost client is noticed.
    func heartbeat() { append([0x3a, 0x0a, 0x0a]) }

    /// The connection that carries the stream from now on; called once, on the server's thread.
    func attach(to connection: HTTPConnection) { state.withLock { $0.connection = connection } }

    /// The connection is over.
    func detach() {
        state.withLock { state in
            state.isOpen = false
            state.isWaiting = false
            state.buffer = []
            state.connection = nil
        }
    }

    /// What libmicrohttpd asks for on its thread: the bytes that wait; 0 after suspending; or the end of the stream.
    func read(into target: UnsafeMutableBufferPointer<UInt8>) -> Int {
        state.withLock { state in
            if !state.buffer.isEmpty {
                let count = min(target.count, state.buffer.count)
                _ = target.update(fromContentsOf: state.buffer[..<count])
                state.buffer.removeFirst(count)
                return count
            }
            // The end of the stream, MHD_CONTENT_READER_END_OF_STREAM.
            guard state.isOpen, let connection = state.connection else { return -1 }
            state.isWaiting = true
            MHD_suspend_connection(connection.handle)
            return 0
        }
    }

    @discardableResult
    private func append(_ bytes: [UInt8]) -> Bool {
        let (sent, dropped) = state.withLock { state -> (Bool, HTTPConnection?) in
            guard state.isOpen else { return (false, nil) }
            guard state.buffer.count + bytes.count <= capacity else {
                state.isOpen = false
                state.buffer = []
                resume(&state)  // a single event may be larger than the whole buffer
                return (false, state.connection)
            }
            state.buffer.append(contentsOf: bytes)
            resume(&state)
            return (true, nil)
        }
        dropped?.cut()
        return sent
    }

    private func resume(_ state: inout State) {
        guard state.isWaiting, let connection = state.connection else { return }
        state.isWaiting = false
        MHD_resume_connection(connection.handle)
    }
}
