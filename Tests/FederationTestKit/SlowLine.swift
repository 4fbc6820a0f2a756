import CLinux
import Federation
import Glibc

/// A line of so many bytes a second between a node and whom it dials: a TCP relay that reads no faster than that and
/// holds next to nothing, so that what cannot go waits at its sender.
package final class SlowLine: Sendable {
    private struct State {
        var open: Set<CInt> = []
        var isClosed = false
        var threads = 0
    }

    package let port: UInt16
    private let listening: CInt
    private let target: UInt16
    private let bytesPerSecond: Int
    private let state = Monitor(State())

    package init(to target: UInt16, bytesPerSecond: Int) throws {
        self.target = target
        self.bytesPerSecond = bytesPerSecond
        listening = SlowLine.small()
        var address = SlowLine.loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listening
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, size) == 0 && listen(descriptor, 4) == 0
                    && getsockname(descriptor, address, &size) == 0
            }
        }
        guard bound else { throw FederationError("slow-line", String(cString: strerror(errno)), remedy: "free a port") }
        port = UInt16(bigEndian: address.sin_port)
        begin { line in line.acceptAll() }
    }

    /// Ends every connection and every thread of the line.
    package func end() {
        state.change { state in
            state.isClosed = true
            for descriptor in state.open { shutdown(descriptor, CInt(SHUT_RDWR)) }
        }
        shutdown(listening, CInt(SHUT_RDWR))
        state.wait(until: { $0.threads == 0 }, then: { _ in })
        close(listening)
    }

    private func begin(_ body: @escaping @Sendable (SlowLine) -> Void) {
        state.change { $0.threads += 1 }
        Threads.start("slow-line") { [self] in
            body(self)
            state.change { $0.threads -= 1 }
        }
    }

    private func acceptAll() {
        while true {
            let client = accept(listening, nil, nil)
            guard client >= 0 else { return }
            let server = SlowLine.small()
            var address = SlowLine.loopback(target)
            let connected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            let goesOn = state.change { state in
                if !state.isClosed, connected { state.open.formUnion([client, server]) }
                return !state.isClosed && connected
            }
            guard goesOn else {
                close(client)
                close(server)
                continue
            }
            let left = Monitor(2)
            for (from, to) in [(client, server), (server, client)] {
                begin { line in
                    line.copy(from, to)
                    shutdown(from, CInt(SHUT_RDWR))
                    shutdown(to, CInt(SHUT_RDWR))
                    let isLast = left.change { left in
                        left -= 1
                        return left == 0
                    }
                    guard isLast else { return }
                    line.state.change { $0.open.subtract([from, to]) }
                    close(from)
                    close(to)
                }
            }
        }
    }

    private func copy(_ from: CInt, _ to: CInt) {
        var buffer = [UInt8](repeating: 0, count: 1400)
        while true {
            let count = read(from, &buffer, buffer.count)
            guard count > 0 else { return }
            // The time that the bytes need on the line.
            usleep(UInt32(count * 1_000_000 / bytesPerSecond))
            var sent = 0
            while sent < count {
                let written = buffer.withUnsafeBytes {
                    send(to, $0.baseAddress! + sent, count - sent, CInt(MSG_NOSIGNAL))
                }
                guard written > 0 else { return }
                sent += written
            }
        }
    }

    /// A socket whose buffers hold a few KiB.
    private static func small() -> CInt {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var size: CInt = 4096
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, 4)
        return descriptor
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
