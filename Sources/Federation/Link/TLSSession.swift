import CryptoShim

/// A node's certificate, key and the authorities it accepts, one per trust domain.
package final class TLSContext: @unchecked Sendable {
    // Safe because: an SSL_CTX is configured here once and only read afterwards, which OpenSSL allows from any thread.
    fileprivate let handle: OpaquePointer
    package let rule: AcceptanceRule
    /// Seconds since 1970 at which the node's own certificate ends.
    package let expires: Int64
    /// SHA-256 of its public key, in hex.
    package let pin: String
    /// Seconds since 1970 at which the authority of the node's own segment ends; 0: it is not known here.
    package let authorityExpires: Int64

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
        let facts = CertificateFacts(pem: certificate)
        expires = facts?.notAfter ?? 0
        pin = facts?.pin ?? ""
        let segment = rule.record(of: rule.node)?.segment
        authorityExpires =
            pins.anchors.first { $0.segment == segment }.flatMap { CertificateFacts(pem: $0.certificate) }?.notAfter
            ?? 0
        for anchor in pins.anchors {
            let domain = try TrustDomain(segment: anchor.segment, federation: pins.federation)
            guard cs_context_add_anchor(handle, domain.description, anchor.certificate) == 1 else {
                throw FederationError(
                    "anchor-unusable", "the anchor of segment \(anchor.segment) is no certificate",
                    remedy: "have the authority's ca.crt signed: ekc topology propose --authority")
            }
        }
    }

    deinit { cs_context_free(handle) }
}

/// One TLS 1.3 session over memory: bytes of the network in, plain bytes out, and the other way round. One thread only.
///
/// Call order: `receive` what the network gave; then `advance` until it is open; then `read`. After any of them, and
/// after `write`, send what `drain` gives: after a fault too, since the alert for the peer is in it.
package final class TLSSession {
    package enum Role: Sendable { case client, server }

    /// handshaking → open → closed; any fault leads to closed. Plain bytes pass in `open` only.
    package enum State: Sendable, Hashable {
        case handshaking
        case open(NodeID)
        case closed
    }

    private let session: OpaquePointer
    private let context: TLSContext
    private let expected: NodeID?
    package private(set) var state = State.handshaking
    /// What the peer has presented.
    private var presented: CertificateFacts?
    /// What the acceptance rule said of the peer's certificate.
    private var verdict: Result<NodeID, TLSFault>?
    /// Whose certificate was seen and accepted, though the handshake may not be over.
    package var accepted: NodeID? { if case .success(let peer) = verdict { peer } else { nil } }
    /// Why an open session carries signed metadata only, in words.
    package var restriction: String? {
        guard let accepted, scope == .metadataOnly else { return nil }
        let whose = expires == context.expires ? context.rule.node : accepted
        return "certificate-expired: that of \(whose) ended at \(Instant.text(Timestamp(milliseconds: expires * 1000)))"
    }
    /// Bytes a peer may send before it is known: a handshake of ours takes about 2 KiB. What comes with the handshake's
    /// last bytes does not count.
    private static let handshakeLimit = 64 * 1024
    private var received = 0
    /// Seconds since 1970 at which the first of the two certificates ends.
    package private(set) var expires: Int64
    private let now: Int64
    /// What an open session may carry.
    package private(set) var scope = SessionScope.full

    /// - Parameters:
    ///   - expected: whom a client has dialled; anybody else is `wrong-peer`.
    ///   - now: at which certificates are judged.
    package init(_ context: TLSContext, role: Role, expected: NodeID? = nil, at now: Timestamp) {
        self.context = context
        self.expected = expected
        self.now = now.milliseconds / 1000
        expires = context.expires
        session = cs_session_new(context.handle, role == .server ? 1 : 0, self.now, acceptance)
        // Unretained, because the shim's session ends with this one.
        cs_session_set_owner(session, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { cs_session_free(session) }

    /// Bytes from the network.
    /// - Throws: `not-tls` at once when the first byte speaks another protocol; `handshake-too-long`.
    package func receive(_ bytes: UnsafeRawBufferPointer) throws(TLSFault) {
        if state == .handshaking {
            // A TLS record of a handshake begins with 22, an alert with 21.
            if received == 0, let first = bytes.first, first != 22, first != 21 {
                throw failed(TLSFault("not-tls", "first byte \(first)"))
            }
            guard received <= TLSSession.handshakeLimit else {
                throw failed(TLSFault("handshake-too-long", "\(received) bytes"))
            }
            received += bytes.count
        }
        guard cs_session_feed(session, bytes.baseAddress, bytes.count) == CInt(bytes.count) else {
            throw failed(TLSFault("out-of-memory", ""))
        }
    }

    /// Goes on with the handshake. The peer is accepted or refused inside it: nothing of ours has been sent until then.
    /// - Throws: the code of what was wrong (`TLSFault`), or `peer-refused` when the other end has refused this one.
    package func advance() throws(TLSFault) {
        guard state == .handshaking else { return }
        switch cs_session_handshake(session) {
        case 0: return
        case 1: break
        default: throw fault()
        }
        let profile = cs_session_profile_fault(session)
        guard profile == CS_FAULT_NONE else {
            throw failed(TLSFault(profile, "what was negotiated differs from the profile"))
        }
        guard case .success(let peer) = verdict else { throw failed(TLSFault(CS_FAULT_NO_CERTIFICATE, "")) }
        guard let scope = SessionScope(ends: expires, at: now) else {
            throw failed(TLSFault("own-certificate-expired", "more than 30 days ago"))
        }
        self.scope = scope
        state = .open(peer)
    }

    /// Plain bytes into a buffer. Returns how many; 0 when more of the network is needed, nil when the session is closed.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSFault) -> Int? {
        switch state {
        case .handshaking: return 0
        case .closed: return nil
        case .open: break
        }
        let count = cs_session_read(session, buffer.baseAddress, buffer.count)
        if count == -2 {
            state = .closed
            return nil
        }
        guard count >= 0 else { throw fault() }
        return Int(count)
    }

    /// - Throws: `not-open` before the peer is accepted and after the end: no byte of ours flows then.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(TLSFault) {
        guard case .open = state else { throw TLSFault("not-open", "\(state)") }
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

    fileprivate func accepts(_ facts: CertificateFacts, chain: TLSFault?) -> Bool {
        let verdict = context.rule.verdict(on: facts, chain: chain, expected: expected, at: now)
        self.verdict = verdict
        presented = facts
        expires = min(expires, facts.notAfter)
        if case .success = verdict { return true }
        return false
    }

    /// Why the peer would be refused by newer rules, or nil: every change of metadata examines open sessions anew.
    func objection(under next: TLSContext) -> TLSFault? {
        guard let presented, case .success(let peer) = verdict else { return nil }
        if case .failure(let fault) = next.rule.verdict(on: presented, expected: peer, at: now) { return fault }
        guard next.rule.anchor(of: peer) == context.rule.anchor(of: peer) else {
            return TLSFault("chain-refused", "the segment of \(peer) has another authority now")
        }
        return nil
    }

    private func failed(_ fault: TLSFault) -> TLSFault {
        state = .closed
        return fault
    }

    private func fault() -> TLSFault {
        var words: UnsafePointer<CChar>?
        let fault = cs_session_fault(session, &words)
        if fault == CS_FAULT_RULE, case .failure(let own) = verdict { return failed(own) }
        return failed(TLSFault(fault, words.map { String(cString: $0) } ?? ""))
    }
}

/// The shim asks, inside the handshake, whether the peer may be one.
private let acceptance: cs_acceptance = { owner, facts, chain, words in
    guard let owner, let facts else { return 0 }
    let session = Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
    let fault = chain == CS_FAULT_NONE ? nil : TLSFault(chain, words.map { String(cString: $0) } ?? "")
    return session.accepts(CertificateFacts(facts.pointee), chain: fault) ? 1 : 0
}
