import Federation
import CLinux
import Glibc

/// Where a server listens or a client calls.
package enum HTTPAddress: Sendable, Equatable, CustomStringConvertible {
    /// A loopback address; port 0 asks the system for a free one.
    case tcp(host: String, port: UInt16)
    /// The path of a Unix socket.
    case unix(path: String)

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "http://[\(host)]:\(port)" : "http://\(host):\(port)"
        case .unix(let path): path
        }
    }
}

/// A socket that listens, before the server has it.
struct HTTPListener {
    let descriptor: CInt
    /// With the port that the system has chosen.
    let address: HTTPAddress
    /// The file of a Unix socket, so that only our own is unlinked.
    let inode: UInt64

    /// - Throws: `not-loopback`, `port-in-use`, `socket-in-use`, `socket-path`, `cannot-listen`.
    init(_ address: HTTPAddress) throws(FederationError) {
        switch address {
        case .tcp(let host, let port): self = try Self.tcp(host: host, port: port)
        case .unix(let path): self = try Self.unix(path: path)
        }
    }

    private init(descriptor: CInt, address: HTTPAddress, inode: UInt64 = 0) {
        self.descriptor = descriptor
        self.address = address
        self.inode = inode
    }

    /// Removes the Unix socket's file, unless another has taken its place.
    func unlinkFile() {
        if case .unix(let path) = address, inode != 0, let status = Self.status(path), status.st_ino == inode {
            unlink(path)
        }
    }

    private static func tcp(host: String, port: UInt16) throws(FederationError) -> HTTPListener {
        let name = host == "localhost" ? "127.0.0.1" : host
        var four = sockaddr_in()
        var six = sockaddr_in6()
        let descriptor: CInt
        let bound: CInt
        if inet_pton(AF_INET, name, &four.sin_addr) == 1, UInt32(bigEndian: four.sin_addr.s_addr) >> 24 == 127 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            descriptor = try open(AF_INET)
            bound = bindAddress(descriptor, &four)
        } else if name == "::1", inet_pton(AF_INET6, name, &six.sin6_addr) == 1 {
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            descriptor = try open(AF_INET6)
            bound = bindAddress(descriptor, &six)
        } else {
            throw FederationError(
                "not-loopback", "HTTP is not served on \(host): it is in the clear.",
                remedy: "Listen on 127.0.0.1 or ::1, and put a proxy with a certificate before it.")
        }
        guard bound == 0, listen(descriptor, 512) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            guard code == EADDRINUSE else { throw cannotListen("\(host):\(port)", code) }
            throw FederationError(
                "port-in-use", "Port \(port) of \(host) is taken by another process.",
                remedy: "Stop that process (`ss -ltnp`) or choose another port.")
        }
        return HTTPListener(descriptor: descriptor, address: .tcp(host: name, port: boundPort(of: descriptor)))
    }

    private static func unix(path: String) throws(FederationError) -> HTTPListener {
        guard var address = unixAddress(path) else {
            throw FederationError(
                "socket-path", "The socket's path is empty, or longer than 107 bytes: \(path)",
                remedy: "Put the node into a folder with a shorter path.")
        }
        let descriptor = try open(AF_UNIX)
        do throws(FederationError) {
            try removeStale(path, address)
            // The mode of the socket before bind becomes that of the file: it is never open to others.
            guard fchmod(descriptor, 0o600) == 0, bindAddress(descriptor, &address) == 0, listen(descriptor, 64) == 0
            else {
                throw cannotListen(path, errno)
            }
            return HTTPListener(
                descriptor: descriptor, address: .unix(path: path), inode: UInt64(status(path)?.st_ino ?? 0))
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    /// A socket's file stays when its process was killed; one that still answers is left alone.
    private static func removeStale(_ path: String, _ address: sockaddr_un) throws(FederationError) {
        guard let status = status(path) else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw FederationError(
                "socket-path", "\(path) is there and is not a socket.", remedy: "Move that file away.")
        }
        let probe = try open(AF_UNIX)
        defer { Glibc.close(probe) }
        var address = address
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(probe, $0, sizeOf(sockaddr_un.self)) }
        }
        // EAGAIN: its backlog is full, so somebody listens.
        guard connected != 0, errno == ECONNREFUSED else {
            throw FederationError(
                "socket-in-use", "Another process answers at \(path).",
                remedy: "A node runs on this folder already: `ekc node status`, or stop it first.")
        }
        unlink(path)
    }

    private static func open(_ family: CInt) throws(FederationError) -> CInt {
        let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw cannotListen("a new socket", errno) }
        if family != AF_UNIX {
            var yes: CInt = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeOf(CInt.self))
        }
        return descriptor
    }

    private static func bindAddress<Address>(_ descriptor: CInt, _ address: inout Address) -> CInt {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, sizeOf(Address.self)) }
        }
    }

    private static func boundPort(of descriptor: CInt) -> UInt16 {
        var address = sockaddr_in6()
        var size = sizeOf(sockaddr_in6.self)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return UInt16(bigEndian: address.sin6_port)  // at the same place in both families
    }

    private static func unixAddress(_ path: String) -> sockaddr_un? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { target in
            guard !bytes.isEmpty, !bytes.contains(0), bytes.count < target.count else { return false }
            target.copyBytes(from: bytes)
            return true
        }
        return fits ? address : nil
    }

    private static func status(_ path: String) -> stat? {
        var result = stat()
        return lstat(path, &result) == 0 ? result : nil
    }

    private static func sizeOf<T>(_ type: T.Type) -> socklen_t { socklen_t(MemoryLayout<T>.size) }

    private static func cannotListen(_ place: String, _ code: CInt) -> FederationError {
        FederationError(
            "cannot-listen", "Cannot listen at \(place): \(String(cString: strerror(code))).",
            remedy: "Check the address, the folder's permissions and the limit of open files.")
    }
}
