import Glibc

/// Dials a neighbour as the links of a node would, step by step, and says which is the first that fails. It sends nothing
/// of the exchange and blocks: on a thread of the caller's.
///
///     topology → address → tcp → tls → certificate → pin → accepted
package struct DialProbe {
    private let node: NodeID
    private let topology: Topology
    private let context: TLSContext
    /// For each of connecting, the handshake, and the other end's word.
    private let milliseconds: Int32

    package init(node: NodeID, topology: Topology, context: TLSContext, milliseconds: Int32 = 5_000) {
        self.node = node
        self.topology = topology
        self.context = context
        self.milliseconds = milliseconds
    }

    /// Every step up to the first that failed.
    package func run(to peer: NodeID) -> [CheckStep] {
        guard topology.areLinked(node, peer), topology.node(peer)?.state == .live else {
            return [
                CheckStep(
                    "topology", .failed, "the topology names no link of \(node) with a live node \(peer)", peer: peer,
                    remedy: "add the link, or make the node live, in a newer topology; ekc topology propose")
            ]
        }
        let named = CheckStep("topology", .good, "the link is named, \(peer) is live", peer: peer)
        guard topology.dials(node).contains(peer) else { return [named, awaited(peer)] }
        guard let addresses = topology.node(peer)?.addresses, !addresses.isEmpty else {
            return [
                named,
                CheckStep(
                    "address", .failed, "\(peer) has no address in the topology", peer: peer,
                    remedy: "give it one; ekc topology propose"),
            ]
        }
        // Of several addresses the one that leads furthest tells most.
        let tries = addresses.map { [named] + dial($0, peer) }
        return tries.first { $0.last?.outcome == .good } ?? tries.max { $0.count < $1.count } ?? [named]
    }

    /// The neighbour dials this node: from here only the own end can be looked at.
    private func awaited(_ peer: NodeID) -> CheckStep {
        guard let own = topology.node(node)?.addresses.first else {
            return CheckStep(
                "address", .failed, "\(peer) dials this node, which has no address in the topology", peer: peer,
                remedy: "give \(node) an address; ekc topology propose")
        }
        return CheckStep(
            "tcp", .skipped, "\(peer) dials this node at \(own): whether it can is seen there", peer: peer,
            remedy: "at \(peer): ekc link test DIR \(node), ekc node check DIR")
    }

    private func dial(_ address: Topology.Address, _ peer: NodeID) -> [CheckStep] {
        let socket: Socket
        do throws(FederationError) { socket = try Socket.connecting(to: address) } catch {
            let isName = error.code == "address-not-numeric"
            return [CheckStep(isName ? "address" : "tcp", error, peer: peer)]
        }
        let addressed = CheckStep("address", .good, "\(address)", peer: peer)
        let isReady = DialProbe.wait(socket.descriptor, Int16(POLLOUT), milliseconds)
        let error = socket.pendingError
        guard isReady, error == 0 else {
            let why = isReady ? String(cString: strerror(error)) : "nobody answers within \(milliseconds / 1000) s"
            return [
                addressed,
                CheckStep(
                    "tcp", .failed, "\(address): \(why)", peer: peer,
                    remedy: error == ECONNREFUSED
                        ? "the machine is there and nothing listens: start the node, or mend its port in the topology"
                        : "see the line, the firewall, and whether the machine is on"),
            ]
        }
        let connected = [addressed, CheckStep("tcp", .good, "\(address) answers", peer: peer)]
        return connected + meet(socket, peer)
    }

    private func meet(_ socket: borrowing Socket, _ peer: NodeID) -> [CheckStep] {
        let session = TLSSession(context, role: .client, expected: peer, at: Clocks.wall())
        do throws(TLSFault) {
            try exchange(socket, session) { session.state != .handshaking }
        } catch { return DialProbe.steps(upTo: error, peer, isKnown: session.accepted != nil) }
        let met = ["tls", "certificate", "pin"].map { CheckStep($0, .good, DialProbe.words[$0] ?? "", peer: peer) }
        if let why = session.restriction { return [met[0], DialProbe.ended(peer, why)] }
        // Whether the other end takes this one is known when it has said something.
        var assembler = FrameAssembler()
        var heard: FramedMessage?
        do throws(TLSFault) {
            try exchange(socket, session) { () throws(TLSFault) in
                heard = try DialProbe.read(session, &assembler)
                return heard != nil
            }
        } catch { return met + [DialProbe.refused(error.code, error.detail, peer)] }
        if let heard, heard.kind == .bye, let said = try? LinkCodec.bye(heard.bytes) {
            return met + [DialProbe.refused(Farewell.known(said.code), "", peer)]
        }
        session.close()
        return met + [CheckStep("accepted", .good, "\(peer) takes this node as what it is", peer: peer)]
    }

    /// Carries bytes both ways until it is done.
    private func exchange(
        _ socket: borrowing Socket, _ session: TLSSession, until isDone: () throws(TLSFault) -> Bool
    ) throws(TLSFault) {
        let deadline = Clocks.monotonicMicroseconds() / 1000 + Int64(milliseconds)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        try session.advance()
        while true {
            let count = session.drain(into: buffer)
            if count > 0 {
                // A handshake and a good-bye fit into the kernel's buffer.
                _ = socket.send(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
            if try isDone() { return }
            let left = deadline - Clocks.monotonicMicroseconds() / 1000
            guard left > 0, DialProbe.wait(socket.descriptor, Int16(POLLIN), Int32(left)) else {
                throw TLSFault("peer-silent", "nothing is heard within \(milliseconds / 1000) s")
            }
            switch socket.receive(into: buffer) {
            case .notNow: continue
            case .ended: throw TLSFault("connection-lost", "the other end closed the connection")
            case .bytes(let count):
                try session.receive(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                try session.advance()
            }
        }
    }

    private static func read(_ session: TLSSession, _ assembler: inout FrameAssembler) throws(TLSFault)
        -> FramedMessage?
    {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        // A good-bye comes together with the end.
        var count = try session.read(into: buffer)
        while let some = count, some > 0 {
            assembler.append(UnsafeRawBufferPointer(rebasing: buffer[..<some]))
            count = try session.read(into: buffer)
        }
        let message: FramedMessage?
        do throws(FrameFault) { message = try assembler.next() } catch { throw TLSFault(error.code, "") }
        guard message != nil || count != nil else {
            throw TLSFault("connection-lost", "the other end closed the session")
        }
        return message
    }

    private static func wait(_ descriptor: CInt, _ events: Int16, _ milliseconds: Int32) -> Bool {
        var waiting = pollfd(fd: descriptor, events: events, revents: 0)
        return poll(&waiting, 1, milliseconds) > 0
    }

    // MARK: Words

    private static let words = [
        "tls": "TLS 1.3 as the profile wants it", "certificate": "its certificate is good",
        "pin": "its key is the pinned one",
    ]

    /// The steps before the one that failed are good.
    /// - Parameter isKnown: its certificate was seen and accepted. An alert that came before is the word of a stranger.
    static func steps(upTo fault: TLSFault, _ peer: NodeID, isKnown: Bool) -> [CheckStep] {
        let step = step(of: fault.code)
        let failed = step == "accepted" && !isKnown ? "tls" : step
        let before = ["tls", "certificate", "pin"].prefix { $0 != failed }
        guard failed != "accepted" else {
            return before.map { CheckStep($0, .good, words[$0] ?? "", peer: peer) }
                + [refused(fault.code, fault.detail, peer)]
        }
        return before.map { CheckStep($0, .good, words[$0] ?? "", peer: peer) } + [
            CheckStep(
                failed, .failed, fault.detail.isEmpty ? fault.code : "\(fault.code): \(fault.detail)", peer: peer,
                remedy: remedy(fault.code, peer))
        ]
    }

    /// A certificate of the two ends has ended, and the session is of the kind that carries metadata only.
    static func ended(_ peer: NodeID, _ why: String) -> CheckStep {
        CheckStep(
            "certificate", .failed, "\(why): nothing but signed metadata passes", peer: peer,
            remedy: "at the node whose it is: \(DialProbe.renewal)")
    }

    private static let renewal = "ekc authority issue, ekc node init DIR --answer FILE, then start it again"

    /// Which step a fault belongs to.
    static func step(of code: String) -> String {
        switch code {
        case "no-certificate", "chain-refused", "certificate-expired", "own-certificate-expired",
            "certificate-not-yet-valid", "wrong-segment":
            "certificate"
        case _ where code.hasPrefix("certificate-lint"): "certificate"
        case "not-pinned", "pin-mismatch", "wrong-peer", "own-certificate": "pin"
        case "peer-refused": "accepted"
        default: "tls"
        }
    }

    private static func remedy(_ code: String, _ peer: NodeID) -> String {
        switch code {
        case "certificate-expired": "renew it at \(peer): \(renewal)"
        case "own-certificate-expired": "renew this node's: \(renewal)"
        case "certificate-not-yet-valid": "see the clocks of both ends"
        case _ where code.hasPrefix("certificate-lint"):
            "it is none that an authority of the federation issues: let one issue it, ekc authority issue"
        case "peer-refused": "whoever listens there wants another TLS: mend the address or the port in the topology"
        case "chain-refused", "wrong-segment", "no-certificate":
            "see which authority has issued it; its anchor must be in the signed topology: ekc topology propose --authority"
        case "not-pinned", "pin-mismatch":
            "ekc topology status DIR says what is in force here; what \(peer) has installed must be signed: ekc topology propose --answer"
        case "wrong-peer": "another node answers at this address: mend the address in the topology"
        case "own-certificate": "the address leads to this node itself: mend it in the topology"
        case "not-tls", "no-alpn": "something else listens there: mend the address or the port in the topology"
        default: "see the log of \(peer), and what stands between the two"
        }
    }

    /// The other end does not want this one.
    private static func refused(_ code: String, _ detail: String, _ peer: NodeID) -> CheckStep {
        let remedy =
            switch code {
            case "not-linked", "node-not-live": "see in its log why it has not taken the newer topology"
            case "link-paused": "it is paused there: ekc link resume at \(peer)"
            case "node-rewound": "one of the two stores is behind: ekc node status at both"
            default: "see why in the log of \(peer): its pins, its clock, this node's certificate"
            }
        let said = detail.isEmpty ? code : "\(code): \(detail)"
        return CheckStep("accepted", .failed, "\(peer) says \(said)", peer: peer, remedy: remedy)
    }
}

/// Whether a port can be had, and whether somebody is at one.
package enum PortProbe {
    /// Takes it and lets go of it again.
    /// - Throws: `port-in-use`, `address-unusable`, `address-not-numeric`.
    package static func take(_ address: Topology.Address) throws(FederationError) {
        _ = try Socket.listening(on: address)
    }

    package static func answers(_ address: Topology.Address, milliseconds: Int32) -> Bool {
        guard let socket = try? Socket.connecting(to: address) else { return false }
        var waiting = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&waiting, 1, milliseconds) > 0 && socket.pendingError == 0
    }
}
