import CryptoShim

/// A node's certificate, key and the authorities it accepts, one per trust domain.
package final class TLSContext: @unchecked Sendable {
    // Safe because: an SSL_CTX is configured here once and only read afterwards, which OpenSSL allows from any thread.
    fileprivate let handle: OpaquePointer
    package let rule: AcceptanceRule

    /// - Parameter key: the PEM text of the link key. OpenSSL keeps a copy of its own.
    package init(
        certificate: String, key: borrowing Secret, pins: Pins, rule: AcceptanceRule
    ) throws(FederationError) {
        guard let handle = key.withText({ cs_context_new(certificate, $0) }) ?? nil else {
            throw FederationError(
                "link-key-unusable", "the link certificate and key do not go together",
                remedy: "run node init again, have the authority answer, and install the answer")
        }
        self.handle = handle
        self.rule = rule
        for anchor in pins.anchors {
            guard cs_context_add_anchor(handle, "\(anchor.segment).\(pins.federation)", anchor.certificate) == 1 else {
                throw FederationError(
                    "anchor-unusable", "the anchor of segment \(anchor.segment) in pins.json is no certificate",
                    remedy: "make pins.json again with ekc topology pin")
            }
        }
    }

    deinit { cs_context_free(handle) }
}

/// One TLS 1.3 session over memory: bytes of the network in, plain bytes out, and the other way round. One thread only.
///
/// Call order: `receive` what the network gave; then `advance` until it is open; then `read`. After any of them, and
/// after `write`, send what `drain` gives.
package final class TLSSession {
    package enum Role: Sendable { case client, server }
    package enum State: Sendable, Hashable {
        case handshaking
        case open(NodeID)
        case closed
    }

    private let session: OpaquePointer
    private let context: TLSContext
    private let expected: NodeID?
    package private(set) var state = State.handshaking
    /// Bytes a peer may send before it is known: a handshake of ours takes about 2 KiB.
    private static let handshakeLimit = 64 * 1024
    private var received = 0

    package init(_ context: TLSContext, role: Role, expected: NodeID? = nil) {
        self.context = context
        self.expected = expected
        session = cs_session_new(context.handle, role == .server ? 1 : 0)
    }

    deinit { cs_session_free(session) }

    /// Bytes from the network.
    package func receive(_ bytes: UnsafeRawBufferPointer) throws(TLSFault) {
        if state == .handshaking {
            received += bytes.count
            guard received <= TLSSession.handshakeLimit else { throw TLSFault("handshake-too-long", "") }
            // A TLS record of a handshake begins with 22, an alert with 21; anything else speaks another protocol.
            if received == bytes.count, let first = bytes.first, first != 22, first != 21 {
                throw TLSFault("not-tls", "first byte \(first)")
            }
        }
        guard cs_session_feed(session, bytes.baseAddress, bytes.count) == CInt(bytes.count) else {
            throw TLSFault("out-of-memory", "")
        }
    }

    /// Goes on with the handshake. When it is done, the peer is accepted or the session fails: nothing of ours has
    /// been sent until then.
    package func advance() throws(TLSFault) {
        guard state == .handshaking else { return }
        switch cs_session_handshake(session) {
        case 0: return
        case 1: break
        default: throw fault()
        }
        guard cs_session_is_as_pinned(session) == 1 else { throw TLSFault("wrong-profile", "") }
        var facts = cs_certificate_facts()
        guard cs_session_peer_facts(session, &facts) == 1 else { throw TLSFault("no-certificate", "") }
        switch context.rule.verdict(on: CertificateFacts(facts), expected: expected) {
        case .success(let peer): state = .open(peer)
        case .failure(let fault): throw fault
        }
    }

    /// Appends plain bytes to a buffer. Returns how many; 0 when more of the network is needed, nil when the peer has
    /// closed in order.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSFault) -> Int? {
        let count = cs_session_read(session, buffer.baseAddress, buffer.count)
        if count == -2 {
            state = .closed
            return nil
        }
        guard count >= 0 else { throw fault() }
        return Int(count)
    }

    /// - Precondition: the session is open.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(TLSFault) {
        var rest = bytes
        while !rest.isEmpty {
            let count = cs_session_write(session, rest.baseAddress, min(rest.count, 16_384))
            guard count > 0 else { throw fault() }
            rest = UnsafeRawBufferPointer(rebasing: rest[Int(count)...])
        }
    }

    /// Bytes that wait for the network.
    package var pending: Int { Int(cs_session_pending(session)) }

    package func drain(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        Int(cs_session_drain(session, buffer.baseAddress, buffer.count))
    }

    /// Tells the peer that nothing more comes.
    package func close() {
        cs_session_close(session)
        state = .closed
    }

    private func fault() -> TLSFault {
        var words: UnsafePointer<CChar>?
        let fault = cs_session_fault(session, &words)
        let detail = words.map { String(cString: $0) } ?? ""
        let code =
            switch fault {
            case CS_FAULT_NO_CERTIFICATE: "no-certificate"
            case CS_FAULT_CHAIN: "chain-refused"
            case CS_FAULT_EXPIRED: "certificate-expired"
            case CS_FAULT_NOT_YET_VALID: "certificate-not-yet-valid"
            case CS_FAULT_UNKNOWN_DOMAIN: "wrong-segment"
            case CS_FAULT_NO_ALPN: "no-alpn"
            case CS_FAULT_VERSION: "wrong-version"
            case CS_FAULT_NOT_TLS: "not-tls"
            case CS_FAULT_PEER_REFUSED: "peer-refused"
            default: "tls-failed"
            }
        return TLSFault(code, detail)
    }
}
