import CryptoShim

/// What the acceptance rule looks at in a peer's certificate.
package struct CertificateFacts: Sendable, Hashable {
    package var pin: String
    package var notBefore: Int64
    package var notAfter: Int64
    package var version: Int
    package var serialBytes: Int
    package var uriCount: Int
    package var otherNames: Int
    package var uri: String
    package var isAuthority: Bool
    package var keyUsageCritical: Bool
    package var keyUsage: UInt32
    package var clientUsage: Bool
    package var serverUsage: Bool
    package var unknownCritical: Bool

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
    }

    package init?(pem: String) {
        var facts = cs_certificate_facts()
        guard cs_certificate_facts(pem, &facts) == 1 else { return nil }
        self.init(facts)
    }
}

/// Who may be at the other end of a link (architecture §4): chain, URI, pin, our own lint and the negotiated profile must
/// all agree. TLS has checked the chain before; OpenSSL's own path check accepts more than a node of ours may be.
package struct AcceptanceRule: Sendable {
    package let federation: String
    package let node: NodeID
    /// Pins by node, and the segment of each.
    private let known: [NodeID: KeyRecord]
    /// The longest life a node's certificate may have, in seconds.
    private static let longestLife: Int64 = 90 * 86_400 + 600

    package init(federation: String, node: NodeID, pins: Pins) {
        self.federation = federation
        self.node = node
        var known: [NodeID: KeyRecord] = [:]
        for record in pins.nodes { if let id = NodeID(record.node) { known[id] = record } }
        self.known = known
    }

    /// The peer, or the stable code of the first thing that is wrong.
    package func verdict(on facts: CertificateFacts, expected: NodeID?) -> Result<NodeID, TLSFault> {
        func refuse(_ code: String) -> Result<NodeID, TLSFault> { .failure(TLSFault(code, facts.uri)) }
        if facts.version != 3 { return refuse("certificate-lint:version") }
        if !(1...20).contains(facts.serialBytes) { return refuse("certificate-lint:serial") }
        if facts.isAuthority { return refuse("certificate-lint:authority") }
        if facts.uriCount != 1 || facts.otherNames != 0 { return refuse("certificate-lint:names") }
        // X509_get_key_usage: digitalSignature is 0x80, and nothing else may be there.
        if !facts.keyUsageCritical || facts.keyUsage != 0x80 { return refuse("certificate-lint:key-usage") }
        if !facts.clientUsage || !facts.serverUsage { return refuse("certificate-lint:extended-key-usage") }
        if facts.unknownCritical { return refuse("certificate-lint:unknown-critical") }
        if facts.notAfter - facts.notBefore > AcceptanceRule.longestLife { return refuse("certificate-lint:life") }
        guard let peer = nodeID(in: facts.uri) else { return refuse("wrong-segment") }
        guard let record = known[peer] else { return refuse("not-pinned") }
        guard facts.uri == "spiffe://\(record.segment).\(federation)/node/\(peer)" else {
            return refuse("wrong-segment")
        }
        guard record.linkPin == facts.pin else { return refuse("pin-mismatch") }
        if let expected, expected != peer { return refuse("wrong-peer") }
        if peer == node { return refuse("own-certificate") }
        return .success(peer)
    }

    private func nodeID(in uri: String) -> NodeID? {
        guard uri.hasPrefix("spiffe://"), let path = uri.range(of: ".\(federation)/node/") else { return nil }
        return NodeID(String(uri[path.upperBound...]))
    }
}

extension String {
    /// The first place of a text inside this one.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
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
}
