import CLinux
import Federation
import Glibc

@testable import Node

/// A client that sends exactly the bytes it is told to; every wait is bounded.
final class TestSocket {
    private let descriptor: CInt
    private var unread: [UInt8] = []
    private(set) var isAtEnd = false

    init(_ address: HTTPAddress, receiveBuffer: CInt? = nil) throws {
        switch address {
        case .tcp(_, let port):
            descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            if var size = receiveBuffer {
                setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
            }
            var target = sockaddr_in()
            target.sin_family = sa_family_t(AF_INET)
            target.sin_port = port.bigEndian
            target.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            try Self.join(descriptor, &target)
        case .unix(let path):
            descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            var target = sockaddr_un()
            target.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            try Self.join(descriptor, &target)
        }
    }

    deinit { close(descriptor) }

    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    private static func join<Address>(_ descriptor: CInt, _ address: inout Address) throws {
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        if status != 0 { throw Failure("connect: \(String(cString: strerror(errno)))") }
    }

    /// - Returns: false if the server has closed the connection.
    @discardableResult
    func send(_ bytes: some Collection<UInt8>) -> Bool {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(text.utf8) }

    /// Nothing more comes from this end.
    func endSending() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// The server has not closed it, as far as is known now.
    var isOpen: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT))
        return count > 0 || count < 0 && errno == EAGAIN
    }

    /// Reads until the mark has come, and returns everything up to and with it.
    func read(until mark: String) throws -> String {
        let mark = Array(mark.utf8)
        while true {
            if let range = unread.firstRange(of: mark) {
                defer { unread.removeSubrange(..<range.upperBound) }
                return String(decoding: unread[..<range.upperBound], as: UTF8.self)
            }
            guard try fill() else { throw Failure("closed after: \(String(decoding: unread, as: UTF8.self))") }
        }
    }

    /// Reads until the server closes.
    func readToEnd() throws -> String {
        while try fill() {}
        defer { unread = [] }
        return String(decoding: unread, as: UTF8.self)
    }

    /// One answer with a Content-Length.
    func response() throws -> (status: Int, head: String, body: String) {
        let head = try read(until: "\r\n\r\n")
        let status = Int(head.split(separator: " ")[1]) ?? 0
        var length = 0
        for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("content-length:") {
            length = Int(line.split(separator: " ")[1]) ?? 0
        }
        while unread.count < length {
            guard try fill() else { throw Failure("closed in the body") }
        }
        defer { unread.removeFirst(length) }
        return (status, head, String(decoding: unread[..<length], as: UTF8.self))
    }

    private func fill() throws -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 10_000) > 0 else { throw Failure("nothing came for 10 s") }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        isAtEnd = count <= 0
        if count > 0 { unread += buffer[..<count] }
        return count > 0
    }
}

extension Array where Element == UInt8 {
    fileprivate func firstRange(of other: [UInt8]) -> Range<Int>? {
        guard count >= other.count else { return nil }
        for start in 0...(count - other.count) where self[start..<start + other.count].elementsEqual(other) {
            return start..<start + other.count
        }
        return nil
    }
}

/// A server on a free port for the length of one test.
func withServer<Result>(
    limits: HTTPLimits = HTTPLimits(), address: HTTPAddress = .tcp(host: "127.0.0.1", port: 0),
    handler: @escaping HTTPServer.Handler, _ body: (HTTPServer) async throws -> Result
) async throws -> Result {
    let server = try HTTPServer(address, limits: limits, handler: handler)
    defer { server.stop(within: .seconds(2)) }
    return try await body(server)
}

/// A folder of its own that goes when the test ends.
func withScratchFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    var template = Array("/tmp/ekc-http-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw TestSocket.Failure("mkdtemp") }
    let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    defer {
        unlink(path + "/s")
        rmdir(path)
    }
    return try await body(path)
}

/// Runs work that blocks on threads of its own: the tests' own pool has one thread a core.
func onThreads(_ count: Int, _ work: @escaping @Sendable (Int) throws -> Void) async throws {
    try await withThrowingTaskGroup { group in
        for index in 0..<count {
            group.addTask {
                try await withCheckedThrowingContinuation { continuation in
                    inBackground { continuation.resume(with: Result { try work(index) }) }
                }
            }
        }
        try await group.waitForAll()
    }
}

/// Runs work on a thread of its own: clients that block would take all threads of a shared pool, and wait for a handler
/// that needs one.
func inBackground(_ work: @escaping @Sendable () -> Void) { Threads.start("test", work) }
