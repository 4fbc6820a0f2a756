import CLinux
import Federation
import Glibc

/// A small TCP relay of the demo's own, between a node and whom it dials: it can cut the line, and it can hold back what
/// comes the other way, as a line does that dies before the answer.
final class DemoRelay: Sendable {
    private struct State {
        var isCut = false
        var holdsAnswers = false
        var isClosed = false
        var open: Set<CInt> = []
    }

    let port: UInt16
    private let listening: CInt
    private let target: UInt16
    private let state = Monitor(State())

    init(to target: UInt16) throws {
        self.target = target
        let opened = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        listening = opened
        var address = DemoRelay.loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(opened, address, size) == 0 && listen(opened, 16) == 0 && getsockname(opened, address, &size) == 0
            }
        }
        guard bound else {
            close(opened)
            throw FederationError(
                "demo-relay-failed", String(cString: strerror(errno)), remedy: "free a port on loopback")
        }
        port = UInt16(bigEndian: address.sin_port)
        Threads.start("demo-relay") { [self] in acceptAll() }
    }

    /// Breaks every connection and takes no new one until `mend`.
    func cut() {
        state.change { state in
            state.isCut = true
            for descriptor in state.open { shutdown(descriptor, CInt(SHUT_RDWR)) }
        }
    }

    func mend() { state.change { $0.isCut = false } }

    /// From now on nothing of what the dialled node says gets through.
    func holdAnswers(_ hold: Bool) { state.change { $0.holdsAnswers = hold } }

    /// Ends every connection and takes no more.
    func end() {
        cut()
        state.change { $0.isClosed = true }
        shutdown(listening, CInt(SHUT_RDWR))
        close(listening)
    }

    private func acceptAll() {
        while true {
            let client = accept(listening, nil, nil)
            if state.changeQuietly({ $0.isClosed }) || client < 0 {
                if client >= 0 { close(client) }
                return
            }
            guard !state.changeQuietly({ $0.isCut }), let server = dial() else {
                close(client)
                continue
            }
            state.changeQuietly { $0.open.formUnion([client, server]) }
            let left = Monitor(2)
            for (from, to, answers) in [(client, server, false), (server, client, true)] {
                Threads.start("demo-relay") { [self] in
                    copy(from, to, answers: answers)
                    shutdown(from, CInt(SHUT_RDWR))
                    shutdown(to, CInt(SHUT_RDWR))
                    let last = left.change { left in
                        left -= 1
                        return left == 0
                    }
                    guard last else { return }
                    state.changeQuietly { $0.open.subtract([client, server]) }
                    close(client)
                    close(server)
                }
            }
        }
    }

    private func copy(_ from: CInt, _ to: CInt, answers: Bool) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            if answers { state.wait(until: { !$0.holdsAnswers || $0.isCut }, then: { _ in }) }
            var sent = 0
            while sent < count {
                let taken = buffer[sent..<count].withUnsafeBytes {
                    send(to, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
                }
                guard taken > 0 else { return }
                sent += taken
            }
        }
    }

    private func dial() -> CInt? {
        let server = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = DemoRelay.loopback(target)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            close(server)
            return nil
        }
        return server
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
