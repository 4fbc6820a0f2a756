import CLinux
import Federation
import Glibc

@testable import Node

/// A thousand connections to one address that mean no good, on a thread of its own. A third says nothing, a third says
/// a byte a second of something that could become a request, a third says what is no request; or each asks whole
/// questions, many at once, and takes no answer. Each that is closed comes again after a second or so.
final class Crowd: Sendable {
    struct Count: Sendable {
        /// Connections that were begun, and those that the other end has closed.
        var begun = 0
        var ended = 0
        /// Not closed by the other end when last looked at.
        var open = 0
        var isOver = false
    }

    static let size = 1000
    private let address: HTTPAddress
    private enum Order { case stay, rest, end }

    private let order = Monitor(Order.stay)
    private let counted = Monitor(Count())

    private let isAsking: Bool

    /// - Parameter text: what is said slowly; nil: everybody asks.
    init(_ address: HTTPAddress, slowly text: [UInt8]?) {
        self.address = address
        isAsking = text == nil
        Threads.start("crowd") { [self] in run(text ?? []) }
    }

    var count: Count { counted.changeQuietly { $0 } }

    /// Every connection is closed, and none is begun.
    func rest() {
        order.change { $0 = .rest }
        counted.wait(until: { $0.open == 0 }, then: { _ in })
    }

    /// Begins again, or for the first time. Returns when all have been begun.
    func come() {
        let before = count.begun
        order.change { $0 = .stay }
        counted.wait(until: { $0.begun >= before + Crowd.size }, then: { _ in })
    }

    /// Returns when every connection is closed.
    func stop() {
        order.change { $0 = .end }
        counted.wait(until: \.isOver, then: { _ in })
    }

    private struct Guest {
        var descriptor: CInt = -1
        var again: Int64 = 0
        var said = 0
    }

    private static let questions = Array(
        String(repeating: "GET /api/v1/none HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 200).utf8)

    private func run(_ text: [UInt8]) {
        var guests = [Guest](repeating: Guest(), count: Crowd.size)
        var random = SystemRandomNumberGenerator()
        var turn = 0
        while true {
            let order = order.changeQuietly { $0 }
            if order == .end { break }
            let now = Clocks.monotonicMicroseconds() / 1000
            var count = counted.changeQuietly { $0 }
            // A tenth at a time: a thousand strangers do not all move in the same moment.
            turn = (turn + 1) % 10
            let some = stride(from: turn, to: guests.count, by: 10)
            for index in some {
                if order == .rest {
                    if guests[index].descriptor >= 0 { close(guests[index].descriptor) }
                    guests[index] = Guest()
                } else if guests[index].descriptor < 0 {
                    guard guests[index].again <= now, let descriptor = connected() else { continue }
                    // Not all in the same moment of each second.
                    guests[index] = Guest(descriptor: descriptor, again: now + .random(in: 0..<1000, using: &random))
                    count.begun += 1
                    if isAsking {
                        say(Crowd.questions, descriptor)
                    } else if index % 3 == 2 {
                        say((0..<300).map { _ in .random(in: 0...255, using: &random) }, descriptor)
                    }
                } else if !isAsking, index % 3 == 1, guests[index].again <= now {
                    say([text[guests[index].said % text.count]], guests[index].descriptor)
                    guests[index].said += 1
                    guests[index].again = now + 1000
                }
            }
            count.ended += take(&guests, some, now)
            count.open = guests.count { $0.descriptor >= 0 }
            counted.change { $0 = count }
            usleep(10_000)
        }
        for guest in guests where guest.descriptor >= 0 { close(guest.descriptor) }
        counted.change { $0.isOver = true }
    }

    /// Lets go of what the other end has closed.
    private func take(_ guests: inout [Guest], _ some: StrideTo<Int>, _ now: Int64) -> Int {
        var (ended, buffer) = (0, [UInt8](repeating: 0, count: 4096))
        for index in some where guests[index].descriptor >= 0 {
            if isAsking {
                // What has come stays where it is: only whether there is another end is looked at.
                var watched = pollfd(fd: guests[index].descriptor, events: Int16(EPOLLRDHUP.rawValue), revents: 0)
                guard poll(&watched, 1, 0) > 0 else { continue }
            } else {
                let count = recv(guests[index].descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
                guard count == 0 || count < 0 && errno != EAGAIN else { continue }
            }
            close(guests[index].descriptor)
            guests[index] = Guest(again: now + .random(in: 500..<1500))
            ended += 1
        }
        return ended
    }

    private func say(_ bytes: [UInt8], _ descriptor: CInt) {
        _ = send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
    }

    /// nil when the other end's backlog is full.
    private func connected() -> CInt? {
        let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor: CInt
        let status: CInt
        switch address {
        case .tcp(_, let port):
            descriptor = socket(AF_INET, type, 0)
            var target = sockaddr_in()
            target.sin_family = sa_family_t(AF_INET)
            target.sin_port = port.bigEndian
            target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            status = Crowd.join(descriptor, &target)
        case .unix(let path):
            descriptor = socket(AF_UNIX, type, 0)
            var target = sockaddr_un()
            target.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            status = Crowd.join(descriptor, &target)
        }
        if status == 0 || errno == EINPROGRESS { return descriptor }
        close(descriptor)
        return nil
    }

    private static func join<Address>(_ descriptor: CInt, _ address: inout Address) -> CInt {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }
}
