import CLinux
import Glibc

/// Dialling neighbours, and taking connections of whoever comes.
extension LinkLoop {
    func dial(_ peer: NodeID) {
        guard let addresses = configuration.topology.node(peer)?.addresses, !addresses.isEmpty,
            var dial = dialling[peer]
        else { return }
        let address = addresses[dial.address % addresses.count]
        dial.address += 1
        do throws(FederationError) {
            let socket = try Socket.connecting(to: address)
            dial.isOpen = true
            dialling[peer] = dial
            let session = TLSSession(configuration.context, role: .client, expected: peer, at: Clocks.wall())
            add(Connection(socket, session, dialled: peer))
        } catch {
            dialling[peer] = dial
            dialFailed(peer)
            markDown(peer, "\(error.code): \(error.detail)")
            tell(Event(code: error.code, peer: peer, detail: error.detail))
        }
    }

    func dialFailed(_ peer: NodeID) {
        dialling[peer]?.isOpen = false
        let wait = dialling[peer]?.backoff.failed(random: Random.id128().low) ?? 1000
        dialling[peer]?.nextAttempt = now() + wait
    }

    func dialSucceeded(_ peer: NodeID) { dialling[peer]?.backoff.succeeded() }

    /// Takes a few; the listener stays readable when there are more.
    func acceptSome() {
        guard let listener else { return }
        for _ in 0..<LinkLoop.acceptsPerTurn {
            var origin: WaitingRoom.Origin = 0
            guard let socket = listener.socket.accept(from: &origin) else { break }
            guard halted == nil else { continue }
            // Whoever keeps a place without saying who it is gives way.
            let other = newcomers.enter(WaitingRoom.Guest(socket.descriptor), from: origin)
            if let longest = other.flatMap({ connections[CInt($0)] }) {
                hangUp(longest, code: "too-many-handshakes", detail: "it gave way to a newer connection")
            }
            let session = TLSSession(configuration.context, role: .server, at: Clocks.wall())
            add(Connection(socket, session, dialled: nil))
            errno = 0
        }
        guard errno == EMFILE || errno == ENFILE else { return }
        // Looking at a listener that stays readable all the time would help nobody.
        watch(listener.socket.descriptor, read: false, write: false)
        acceptsAgainAt = now() + 1000
        tell(Event(code: "too-many-files", peer: nil, detail: "no descriptor for a new link; raise LimitNOFILE"))
    }

    private func add(_ connection: Connection) {
        connection.deadline = now() + LinkLoop.handshakeMilliseconds
        connection.lastHeard = now()
        connections[connection.descriptor] = connection
        watch(connection.descriptor, read: true, write: connection.dialled != nil, isNew: true)
        connection.wantsWrite = connection.dialled != nil
    }
}
