import CLinux
import Glibc

/// One connection of the loop: its socket, its TLS session and what waits to be sent.
final class Connection {
    let socket: Socket
    let tls: TLSSession
    /// Whom this end dialled; nil when the other end did.
    let dialled: NodeID?
    var assembler = FrameAssembler()
    /// The session's number, once the peer is accepted.
    var number: SessionNumber?
    var peer: NodeID?
    /// Bytes of TLS that the socket has not taken.
    var outbound: [UInt8] = []
    var sent = 0
    var wantsWrite = false
    var isConnected = false
    /// Bytes of envelopes that are made ready at once.
    var ready = 1 << 14
    /// There may be envelopes to send once the socket takes bytes.
    var wantsPump = false
    var deadline: Int64 = 0
    var lastHeard: Int64 = 0
    var lastPing: Int64 = 0
    /// Of the last ping, and what the last that came back has shown.
    var mark: Int64 = 0
    var echo: LinkEcho?
    /// Who waits for the next one.
    var echoWaiters: [Monitor<LinkEcho?>] = []
    /// Good-bye is being said; what fails now is not told again.
    var isEnding = false
    var isClosed = false
    /// So much of the peer waits for the store that no more is read.
    var isPaused = false
    /// The peer's hello was accepted.
    var isUp = false
    /// Seconds since 1970: the session goes no further.
    var expires = Int64.max
    /// Why it carries signed metadata only, in words; nil: it carries everything.
    var restriction: String?

    init(_ socket: consuming Socket, _ tls: TLSSession, dialled: NodeID?) {
        self.socket = socket
        self.tls = tls
        self.dialled = dialled
        isConnected = dialled == nil
    }

    var descriptor: CInt { socket.descriptor }
    var unsent: Int { outbound.count - sent }
}

/// Bytes of one connection, in and out.
extension LinkLoop {
    /// What one turn of the loop takes from a connection before others have theirs.
    private static let bytesPerTurn = 1 << 20
    /// What is made ready at once when the socket has taken all before, and when it has not: behind it an urgent frame
    /// waits (1 Mbit/s carries 16 KiB in 0.13 s).
    private static let mostReady = 1 << 16
    static let leastReady = 1 << 14

    /// Ends that the other end hears of.
    private static let told: Set = [
        "not-linked", "node-not-live", "stopping", "session-expired", "peer-silent", "link-paused",
        "store-damaged", "denied", "pin-mismatch", "not-pinned", "chain-refused",
    ]

    func handle(_ connection: Connection, _ events: UInt32) {
        if !connection.isConnected {
            let error = connection.socket.pendingError
            guard error == 0 else {
                return hangUp(connection, code: "unreachable", detail: String(cString: strerror(error)))
            }
            connection.isConnected = true
            guarded(connection) { () throws(TLSFault) in try connection.tls.advance() }
        }
        if events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { receive(connection) }
        guard !connection.isClosed else { return }
        flush(connection)
        if connection.wantsPump { pump(connection) }
    }

    private func receive(_ connection: Connection) {
        var taken = 0
        while taken < LinkLoop.bytesPerTurn, !connection.isClosed, !connection.isPaused {
            switch connection.socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<65_536])) {
            case .notNow: return
            case .ended(let error):
                let detail = error == 0 ? "the peer closed the connection" : String(cString: strerror(error))
                return hangUp(connection, code: "connection-lost", detail: detail)
            case .bytes(let count):
                taken += count
                connection.lastHeard = now()
                let bytes = UnsafeRawBufferPointer(rebasing: scratch[..<count])
                guarded(connection) { () throws(TLSFault) in
                    try connection.tls.receive(bytes)
                    try connection.tls.advance()
                }
                decrypted(connection)
            }
        }
    }

    private func decrypted(_ connection: Connection) {
        guard !connection.isClosed, case .open(let peer) = connection.tls.state else { return flush(connection) }
        if connection.number == nil { opened(connection, peer) }
        while !connection.isClosed, !connection.isPaused, let number = connection.number {
            var count: Int?
            guarded(connection) { () throws(TLSFault) in count = try connection.tls.read(into: scratch) }
            guard !connection.isClosed else { return }
            guard let count else {
                return hangUp(connection, code: "connection-lost", detail: "the peer closed the session")
            }
            if count == 0 { return }
            connection.assembler.append(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
            deliver(connection, number)
        }
    }

    private func deliver(_ connection: Connection, _ number: SessionNumber) {
        let reading = reading
        do throws(FrameFault) {
            while !connection.isClosed, !connection.isPaused, let message = try connection.assembler.next() {
                if answered(message, connection) || heardMetadata(message, connection) { continue }
                act(exchange.arrived(message, in: number, reading: reading, random: Random.id128))
                if !connection.isUp, exchange.isUp(number) { isUp(connection) }
                if exchange.waiting(number) > LinkLoop.mostWaiting { pause(connection) }
            }
        } catch { act(exchange.violated(number, error)) }
        if !followers.isEmpty { followers = followers.filter { $0(exchange) } }
    }

    /// The peer is who it says; now the topology must name the link.
    private func opened(_ connection: Connection, _ peer: NodeID) {
        let topology = configuration.topology
        guard !denied.contains(peer) else { return hangUpDenied(connection, peer) }
        guard topology.areLinked(configuration.node, peer) else {
            return hangUp(connection, code: "not-linked", detail: "the topology names no link with \(peer)")
        }
        guard topology.node(peer)?.state == .live else {
            return hangUp(connection, code: "node-not-live", detail: "\(peer) is not live in the topology")
        }
        // Why is for people here: it goes neither into logs nor to the other end.
        if paused[peer] != nil { return hangUp(connection, code: "link-paused", detail: "") }
        connection.peer = peer
        let number = numberFor(connection)
        connection.number = number
        newcomers.leave(WaitingRoom.Guest(connection.descriptor))
        let scope = connection.tls.scope
        let ends = connection.tls.expires + (scope == .full ? 0 : SessionScope.graceSeconds)
        connection.expires = min(ends, Clocks.wall().milliseconds / 1000 + LinkLoop.longestSessionSeconds)
        act(exchange.sessionOpened(number, peer: peer, dialled: connection.dialled != nil, scope: scope))
    }

    /// The other end has accepted this one too, and both stores are who they were.
    private func isUp(_ connection: Connection) {
        connection.isUp = true
        connection.lastPing = now()
        ping(connection)
        let number = connection.number ?? 0
        if let peer = connection.peer { markUp(peer) }
        if let peer = connection.peer, exchange.speaksOfMetadata(number) {
            metadata?.up(peer, vouches: !exchange.isMetadataOnly(number))
        }
        let direction = connection.dialled == nil ? "accepted" : "dialled"
        if exchange.isMetadataOnly(number) {
            // What it was dialled for does not pass: the pauses between attempts do not grow shorter by it.
            let peer = connection.peer?.text ?? ""
            let why = connection.tls.restriction ?? "by the clock of \(peer) a certificate has ended"
            connection.restriction = why
            tell(Event(code: "link-metadata-only", peer: connection.peer, detail: "\(direction); \(why)"))
        } else {
            if let dialled = connection.dialled { dialSucceeded(dialled) }
            tell(Event(code: "link-up", peer: connection.peer, detail: direction))
        }
    }

    /// The store has too much of this peer to do: the peer's own TCP holds it back.
    private func pause(_ connection: Connection) {
        connection.isPaused = true
        watch(connection.descriptor, read: false, write: connection.wantsWrite)
    }

    /// The store has done some work of this session.
    func readOn(_ number: SessionNumber) {
        guard let connection = numbered[number].flatMap({ connections[$0] }), connection.isPaused,
            exchange.waiting(number) <= LinkLoop.mostWaiting / 2
        else { return }
        connection.isPaused = false
        connection.lastHeard = now()
        watch(connection.descriptor, read: true, write: connection.wantsWrite)
        deliver(connection, number)
        decrypted(connection)
    }

    func send(_ connection: Connection, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            guarded(connection) { () throws(TLSFault) in try connection.tls.write(bytes) }
        }
        flush(connection)
        guard connection.unsent + connection.tls.pending > LinkLoop.mostUnsent else { return }
        hangUp(connection, code: "peer-not-reading", detail: "8 MiB wait for it")
    }

    /// Envelopes, as long as the socket takes them.
    func pump(_ connection: Connection) {
        guard let number = connection.number else { return }
        connection.wantsPump = false
        while !connection.isClosed {
            guard connection.unsent == 0 else {
                connection.wantsPump = true
                connection.ready = LinkLoop.leastReady
                return
            }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(connection.ready + Frame.maximumBytes)
            exchange.pump(number, room: connection.ready, reading: reading, into: &bytes)
            if bytes.isEmpty { return }
            send(connection, bytes)
            connection.ready = min(2 * connection.ready, LinkLoop.mostReady)
        }
    }

    func flush(_ connection: Connection) {
        guard connection.isConnected, !connection.isClosed else { return }
        while true {
            if connection.unsent == 0 {
                connection.outbound.removeAll(keepingCapacity: true)
                connection.sent = 0
                let pending = connection.tls.pending
                if pending == 0 { break }
                connection.outbound.append(contentsOf: repeatElement(0, count: pending))
                _ = connection.outbound.withUnsafeMutableBytes { connection.tls.drain(into: $0) }
            }
            let transfer = connection.outbound.withUnsafeBytes { bytes in
                connection.socket.send(UnsafeRawBufferPointer(rebasing: bytes[connection.sent...]))
            }
            switch transfer {
            case .bytes(let count): connection.sent += count
            case .notNow:
                if !connection.wantsWrite {
                    connection.wantsWrite = true
                    watch(connection.descriptor, read: !connection.isPaused, write: true)
                }
                return
            case .ended(let error):
                return hangUp(connection, code: "connection-lost", detail: String(cString: strerror(error)))
            }
        }
        if connection.wantsWrite {
            connection.wantsWrite = false
            watch(connection.descriptor, read: !connection.isPaused, write: false)
        }
    }

    func keepAlive(_ connection: Connection, _ now: Int64) {
        if connection.number == nil {
            if now > connection.deadline { hangUp(connection, code: "handshake-timeout", detail: "no peer within 5 s") }
            return
        }
        let wall = Clocks.wall().milliseconds / 1000
        if wall >= connection.expires {
            return hangUp(connection, code: "session-expired", detail: "a certificate has ended, or 24 h have passed")
        }
        if connection.tls.scope == .metadataOnly, wall < connection.tls.expires {
            return hangUp(
                connection, code: "session-expired", detail: "the clock was set back: no certificate has ended")
        }
        if !connection.isPaused, now - connection.lastHeard > LinkLoop.silenceMilliseconds {
            return hangUp(connection, code: "peer-silent", detail: "nothing heard for 15 s")
        }
        guard now - connection.lastPing >= LinkLoop.pingMilliseconds else { return }
        connection.lastPing = now
        ping(connection)
    }

    /// Ends a connection; a peer that this end dials is dialled again after a while.
    func hangUp(_ connection: Connection, code: String, detail: String) {
        guard !connection.isEnding else { return }
        connection.isEnding = true
        if case .open = connection.tls.state {
            // What the exchange itself ends has its good-bye already.
            if LinkLoop.told.contains(code) {
                var bytes: [UInt8] = []
                Frame.append(.bye, LinkCodec.bye(code, detail)[...], to: &bytes)
                bytes.withUnsafeBytes { bytes in try? connection.tls.write(bytes) }
            }
            connection.tls.close()
        }
        flush(connection)
        connection.isClosed = true
        connections[connection.descriptor] = nil
        newcomers.leave(WaitingRoom.Guest(connection.descriptor))
        forget(connection.descriptor)
        if let number = connection.number {
            numbered[number] = nil
            exchange.sessionClosed(number)
        }
        if let dialled = connection.dialled { dialFailed(dialled) }
        if let peer = connection.peer ?? connection.dialled {
            markDown(peer, detail.isEmpty ? code : "\(code): \(detail)")
        }
        tell(Event(code: code, peer: connection.peer ?? connection.dialled, detail: detail))
    }

    /// Runs a step of TLS; a fault of it ends the connection.
    private func guarded(_ connection: Connection, _ body: () throws(TLSFault) -> Void) {
        do throws(TLSFault) { try body() } catch { hangUp(connection, code: error.code, detail: error.detail) }
    }
}
