import CLinux
import Glibc

/// A port of loopback that somebody listens on.
package enum TakenPort {
    package enum PortError: Error { case notTaken(CInt) }

    /// - Returns: the descriptor, which is the caller's to close, and the port.
    package static func listener() throws -> (CInt, UInt16) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isDone = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, size) == 0 && listen(descriptor, 1) == 0
                    && getsockname(descriptor, raw, &size) == 0
            }
        }
        guard isDone else { throw PortError.notTaken(errno) }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }
}
