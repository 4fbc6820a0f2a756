import CryptoShim

/// What the acceptance rule looks at in a peer's certificate.
package struct CertificateFacts: Sendable, Hashable {
    /// SHA-256 of the SubjectPublicKeyInfo, in hex.
    package var pin: String
    /// Seconds since 1970: from the first on, and before the second.
    package var notBefore: Int64
    package var notAfter: Int64
    package var version: Int
    /// 0 also for a serial number that is zero or negative.
    package var serialBytes: Int
    package var uriCount: Int
    package var otherNames: Int
    /// The first URI; empty when there is none, or one longer than 255 bytes.
    package var uri: String
    package var isAuthority: Bool
    package var keyUsageCritical: Bool
    /// Bits as in `X509_get_key_usage`: digitalSignature is 0x80.
    package var keyUsage: UInt32
    package var clientUsage: Bool
    package var serverUsage: Bool
    package var unknownCritical: Bool
    package var isP256: Bool
    /// Extensions that repeat, contradict each other or cannot be read.
    package var isMalformed: Bool

    init(_ facts: cs_certificate_facts) {
        pin = withUnsafeBytes(of: facts.pin) { Hex.encode($0) }
        notBefore = facts.not_before
        notAfter = facts.not_after
        version = Int(facts.version)
        serialBytes = Int(facts.serial_bytes)
        uriCount = Int(facts.uri_count)
        otherNames = Int(facts.other_names)
        uri = withUnsafeBytes(of: facts.uri) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        isAuthority = facts.is_authority != 0
        keyUsageCritical = facts.key_usage_critical != 0
        keyUsage = facts.key_usage
        clientUsage = facts.client_usage != 0
        serverUsage = facts.server_usage != 0
        unknownCritical = facts.unknown_critical != 0
        isP256 = facts.is_p256 != 0
        isMalformed = facts.is_malformed != 0
    }

    /// Nil when the text holds no certificate.
    package init?(pem: String) {
        var facts = cs_certificate_facts()
        guard cs_certificate_facts(pem, &facts) == 1 else { return nil }
        self.init(facts)
    }

    /// The longest life a node's certificate may have, in seconds: 90 days, and the minutes that it begins earlier.
    private static let longestLife: Int64 = 90 * 86_400 + 600

    /// The first rule for node certificates that this one breaks. OpenSSL's own path check accepts more than a node of
    /// ours may present.
    package var lint: String? {
        if version != 3 { return "version" }
        if isMalformed { return "malformed" }
        if !(1...20).contains(serialBytes) { return "serial" }
        if isAuthority { return "authority" }
        if uriCount != 1 || otherNames != 0 { return "names" }
        if !keyUsageCritical || keyUsage != 0x80 { return "key-usage" }
        if !clientUsage || !serverUsage { return "extended-key-usage" }
        if unknownCritical { return "unknown-critical" }
        if notAfter - notBefore > CertificateFacts.longestLife { return "life" }
        if !isP256 { return "key" }
        return nil
    }
}

/// What a session may carry, by the certificate of its two ends that ends first.
package enum SessionScope: Sendable, Hashable {
    case full
    /// It has ended, and not long ago: signed metadata passes and nothing else, so that who has slept hears what is in force
    /// and whose keys count (decision 0020).
    case metadataOnly

    package static let graceSeconds: Int64 = 30 * 86_400

    /// Nil: it has ended too long ago. Instants in seconds since 1970.
    package init?(ends: Int64, at now: Int64) {
        if now < ends {
            self = .full
        } else if now - ends <= SessionScope.graceSeconds {
            self = .metadataOnly
        } else {
            return nil
        }
    }
}

/// Who may be at the other end of a link (architecture §4): chain, URI, pin, our own lint and the negotiated profile must
/// all agree. A value: it looks at nothing but what it is given.
package struct AcceptanceRule: Sendable {
    package let federation: String
    package let node: NodeID
    /// Pins by node, and the segment of each.
    private let known: [NodeID: KeyRecord]
    private let denied: Set<NodeID>
    /// By segment.
    private let anchors: [String: String]

    /// - Parameter denied: who is out, whatever else is known of it.
    package init(federation: String, node: NodeID, pins: Pins, denied: Set<NodeID> = []) {
        self.denied = denied
        anchors = Dictionary(pins.anchors.map { ($0.segment, $0.certificate) }, uniquingKeysWith: { first, _ in first })
        self.federation = federation
        self.node = node
        var known: [NodeID: KeyRecord] = [:]
        for record in pins.nodes { if let id = NodeID(record.node) { known[id] = record } }
        self.known = known
    }

    /// What is pinned of a node.
    package func record(of node: NodeID) -> KeyRecord? { known[node] }

    /// The authority of a node's segment, PEM.
    func anchor(of node: NodeID) -> String? { known[node].flatMap { anchors[$0.segment] } }

    /// The peer, or the stable code of the first thing that is wrong.
    /// - Parameters:
    ///   - chain: what is wrong with the certificate's chain to the authority of its trust domain, at an instant of its life.
    ///   - expected: whom this end has dialled.
    ///   - now: seconds since 1970. Of a certificate that has just ended the session's scope is less.
    package func verdict(
        on facts: CertificateFacts, chain: TLSFault? = nil, expected: NodeID?, at now: Int64
    ) -> Result<NodeID, TLSFault> {
        func refuse(_ code: String) -> Result<NodeID, TLSFault> { .failure(TLSFault(code, facts.uri)) }
        if let rule = facts.lint { return refuse("certificate-lint:\(rule)") }
        if let chain { return .failure(chain) }
        if now < facts.notBefore { return refuse("certificate-not-yet-valid") }
        if SessionScope(ends: facts.notAfter, at: now) == nil { return refuse("certificate-expired") }
        // spiffe://<segment>.<federation>/node/<id>: the last part names the node, and then all of it is compared.
        guard let peer = NodeID(String(facts.uri.reversed().prefix { $0 != "/" }.reversed())) else {
            return refuse("wrong-segment")
        }
        if denied.contains(peer) { return refuse("denied") }
        guard let record = known[peer] else { return refuse("not-pinned") }
        guard facts.uri == "spiffe://\(record.segment).\(federation)/node/\(peer)" else {
            return refuse("wrong-segment")
        }
        guard record.linkPin == facts.pin || record.nextLinkPin == facts.pin else { return refuse("pin-mismatch") }
        if let expected, expected != peer { return refuse("wrong-peer") }
        if peer == node { return refuse("own-certificate") }
        return .success(peer)
    }
}

/// Why a peer was refused or a session ended: a stable code, and a detail without secrets.
package struct TLSFault: Error, Sendable, Hashable {
    package var code: String
    package var detail: String
    package init(_ code: String, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    /// What the shim found, by its stable code.
    init(_ fault: cs_fault, _ detail: String) {
        code =
            switch fault {
            case CS_FAULT_NO_CERTIFICATE: "no-certificate"
            case CS_FAULT_CHAIN: "chain-refused"
            case CS_FAULT_EXPIRED: "certificate-expired"
            case CS_FAULT_NOT_YET_VALID: "certificate-not-yet-valid"
            case CS_FAULT_UNKNOWN_DOMAIN: "wrong-segment"
            case CS_FAULT_NO_ALPN: "no-alpn"
            case CS_FAULT_VERSION: "wrong-version"
            case CS_FAULT_CIPHER: "wrong-cipher"
            case CS_FAULT_NOT_TLS: "not-tls"
            case CS_FAULT_PEER_REFUSED: "peer-refused"
            default: "tls-failed"
            }
        self.detail = detail
    }
}
