import CLinux
import Glibc

/// Stream sockets that never block and never raise SIGPIPE.
struct Socket: ~Copyable {
    let descriptor: CInt

    private init(descriptor: CInt) { self.descriptor = descriptor }

    deinit { Glibc.close(descriptor) }

    enum Transfer {
        case bytes(Int)
        /// Later, when epoll says so.
        case notNow
        case ended(CInt)
    }

    /// Listens on an address; port 0 takes any that is free.
    static func listening(on address: Topology.Address) throws(FederationError) -> Socket {
        let socket = try open(for: address)
        var yes: CInt = 1
        setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        guard try socket.bound(to: address), Glibc.listen(socket.descriptor, 128) == 0 else {
            throw FederationError(
                errno == EADDRINUSE ? "port-in-use" : "address-unusable",
                "\(address): \(String(cString: strerror(errno)))",
                remedy: errno == EADDRINUSE
                    ? "stop what listens there, or give the node another address in the topology"
                    : "give the node an address of this machine in the topology")
        }
        return socket
    }

    /// Begins to connect: writable when it is done, for better or worse.
    static func connecting(to address: Topology.Address) throws(FederationError) -> Socket {
        let socket = try open(for: address)
        socket.tune()
        let status = withAddress(address) { Glibc.connect(socket.descriptor, $0, $1) }
        guard let status else { throw unknown(address) }
        guard status == 0 || errno == EINPROGRESS else {
            throw FederationError(
                "unreachable", "\(address): \(String(cString: strerror(errno)))", remedy: "see the network")
        }
        return socket
    }

    /// Where a connection comes from: an IPv4 address, or the 64 bits of IPv6 that one customer has.
    private static func origin(_ address: sockaddr_storage) -> WaitingRoom.Origin {
        withUnsafeBytes(of: address) { bytes in
            CInt(address.ss_family) == AF_INET6
                ? bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                : UInt64(bytes.load(fromByteOffset: 4, as: UInt32.self))
        }
    }

    func accept(from origin: inout WaitingRoom.Origin) -> Socket? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let accepted = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.accept(descriptor, $0, &size) }
        }
        guard accepted >= 0 else { return nil }
        origin = Socket.origin(address)
        let socket = Socket(descriptor: accepted)
        _ = clinux_fcntl_int(accepted, F_SETFL, O_NONBLOCK)
        _ = clinux_fcntl_int(accepted, F_SETFD, FD_CLOEXEC)
        socket.tune()
        return socket
    }

    /// The port that was taken.
    var port: UInt16 {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes in
            guard let start = bytes.baseAddress else { return 0 }
            getsockname(descriptor, start.assumingMemoryBound(to: sockaddr.self), &size)
            // The port is at the same place for IPv4 and IPv6.
            return UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
        }
    }

    /// What became of a connection that was begun; 0 when it is up.
    var pendingError: CInt {
        var error: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
        return error
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return .bytes(count) }
        if count == 0 { return .ended(0) }
        return errno == EAGAIN || errno == EINTR ? .notNow : .ended(errno)
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        if count >= 0 { return .bytes(count) }
        return errno == EAGAIN || errno == EINTR ? .notNow : .ended(errno)
    }

    /// Urgent frames must not wait behind what the kernel has taken: 16 KiB unsent at the most.
    private func tune() {
        var yes: CInt = 1
        var unsent: CInt = 16_384
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &yes, size)
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &unsent, size)
    }

    private static func open(for address: Topology.Address) throws(FederationError) -> Socket {
        let family = address.host.contains(":") ? AF_INET6 : AF_INET
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else {
            throw FederationError(
                "no-socket", String(cString: strerror(errno)), remedy: "raise the limit of open files (ulimit -n)")
        }
        return Socket(descriptor: descriptor)
    }

    private func bound(to address: Topology.Address) throws(FederationError) -> Bool {
        guard let status = Socket.withAddress(address, { bind(descriptor, $0, $1) }) else {
            throw Socket.unknown(address)
        }
        return status == 0
    }

    private static func unknown(_ address: Topology.Address) -> FederationError {
        FederationError(
            "address-not-numeric", "\(address.host) is not an IP address",
            remedy: "write the numeric address into the topology: names are not looked up")
    }

    private static func withAddress(
        _ address: Topology.Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt? {
        var four = sockaddr_in()
        four.sin_family = sa_family_t(AF_INET)
        four.sin_port = address.port.bigEndian
        if inet_pton(AF_INET, address.host, &four.sin_addr) == 1 {
            return withUnsafePointer(to: &four) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var six = sockaddr_in6()
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = address.port.bigEndian
        guard inet_pton(AF_INET6, address.host, &six.sin6_addr) == 1 else { return nil }
        return withUnsafePointer(to: &six) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }
}
