import CryptoShim
import FoundationEssentials

/// A segment's certificate authority: `authority.json ca.key ca.crt issued/`. It never sees a node's private key.
package struct Authority: Sendable {
    private struct Settings: TrustRecord {
        var format = 1
        var segment: String
        var federation: String
    }

    private static let days: CInt = 5 * 365
    private let path: String
    private let domain: TrustDomain

    /// Opens an authority that `create` has made.
    package init(_ path: String) throws(FederationError) {
        self.path = path
        let settings = try TrustFile.read(Settings.self, path + "/authority.json")
        domain = try TrustDomain(segment: settings.segment, federation: settings.federation)
    }

    /// Makes an authority's key and certificate, for five years; `authority.json` comes last, so that a folder without it
    /// holds none.
    /// - Throws: `authority-exists` when there is one already: its key is never overwritten.
    package static func create(_ path: String, segment: String, federation: String) throws(FederationError) -> Authority
    {
        let domain = try TrustDomain(segment: segment, federation: federation)
        // One that was interrupted has signed for nobody: it is made anew.
        let issued = (try? FileManager.default.contentsOfDirectory(atPath: path + "/issued")) ?? []
        guard !Files.exists(path + "/authority.json"), issued.isEmpty else {
            throw FederationError(
                "authority-exists", "\(path) holds an authority already", remedy: "name another folder")
        }
        try Files.makeFolder(path, mode: 0o700)
        try Files.makeFolder(path + "/issued", mode: 0o700)
        var key = Secret(count: 4096)
        let size = key.withMutableBytes {
            cs_link_key_generate($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
        }
        let text = key.withText { key in
            NodeFolder.pem {
                cs_authority_create(key, "EKC authority of segment \(segment)", domain.description, days, $0, $1)
            }
        }
        guard size > 0, let certificate = text ?? nil else {
            throw FederationError(
                "keys-failed", "no authority key could be made", remedy: "check the OpenSSL installation")
        }
        try NodeFolder.write(key, count: Int(size), to: path + "/ca.key")
        try Files.write(Array(certificate.utf8), to: path + "/ca.crt")
        try TrustFile.write(Settings(segment: segment, federation: federation), to: path + "/authority.json")
        return try Authority(path)
    }

    /// Checks both proofs of possession and answers with a certificate.
    /// - Parameters:
    ///   - days: how long it is valid, at most 90.
    ///   - replacing: answer though the node had another identity key before: it was lost, and a person has said so.
    /// - Throws: `identity-conflict` when a node of this name has another identity key.
    package func issue(
        _ request: EnrolmentRequest, days: Int = 30, replacing: Bool = false, now: Timestamp
    ) throws(FederationError) -> EnrolmentAnswer {
        guard (1...90).contains(days) else {
            throw FederationError("bad-life", "\(days) days", remedy: "a certificate lives 1 to 90 days")
        }
        return try issue(request, seconds: Int64(days) * 86_400, replacing: replacing, now: now)
    }

    package func issue(
        _ request: EnrolmentRequest, seconds life: Int64, replacing: Bool = false, now: Timestamp
    ) throws(FederationError) -> EnrolmentAnswer {
        guard request.segment == domain.segment, request.federation == domain.federation else {
            throw FederationError(
                "wrong-segment",
                "the request is for \(request.segment).\(request.federation), this authority serves \(domain)",
                remedy: "take the request to the authority of its segment")
        }
        guard let node = NodeID(request.node) else {
            throw FederationError("bad-node-name", "\(request.node)", remedy: "use [a-z0-9-]{1,32}")
        }
        guard let identity = Hex.decode(request.identityKey, count: 32),
            let signature = Hex.decode(request.signature, count: 64),
            cs_identity_verify(signature, request.statement, request.statement.count, identity) == 1
        else {
            throw FederationError(
                "bad-proof", "the request is not signed by the identity key that it names",
                remedy: "have the node run ekc node init and send its own request.json, unchanged")
        }
        if !replacing, let known = try lastIssued(to: node), known.record.identityKey != request.identityKey {
            throw FederationError(
                "identity-conflict", "\(node) has another identity key since its first enrolment",
                remedy: "ask its engineers; if the key is lost, issue with --replace and pin the new answer everywhere")
        }
        var pin = [UInt8](repeating: 0, count: 32)
        guard cs_request_pin(request.certificateRequest, &pin) == 1 else {
            throw FederationError(
                "bad-proof", "the certificate request is not signed by its own P-256 key",
                remedy: "have the node run ekc node init and send its own request.json, unchanged")
        }
        let certificate = try sign(request.certificateRequest, node, life: life, now: now)
        let anchor = String(decoding: try Files.read(path + "/ca.crt", maximum: 64 * 1024), as: UTF8.self)
        let record = KeyRecord(
            node: request.node, segment: request.segment, identityKey: Hex.encode(identity),
            linkPin: Hex.encode(pin))
        let answer = EnrolmentAnswer(
            federation: request.federation, certificate: certificate, anchor: anchor, record: record,
            published: request.published)
        try answer.check(at: now)
        try TrustFile.write(answer, to: path + "/issued/\(node)-\(now.milliseconds).json")
        return answer
    }

    /// The newest answer of `issued/` to a node; files are named `<node>-<milliseconds>.json`.
    private func lastIssued(to node: NodeID) throws(FederationError) -> EnrolmentAnswer? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path + "/issued")) ?? []
        let newest = names.compactMap { name -> Int64? in
            guard name.hasPrefix("\(node)-"), name.hasSuffix(".json") else { return nil }
            return Int64(name.dropFirst(node.text.utf8.count + 1).dropLast(5))
        }.max()
        return try newest.map { instant throws(FederationError) in
            try TrustFile.read(EnrolmentAnswer.self, path + "/issued/\(node)-\(instant).json")
        }
    }

    private func sign(
        _ request: String, _ node: NodeID, life: Int64, now: Timestamp
    ) throws(FederationError) -> String {
        let issuer = String(decoding: try Files.read(path + "/ca.crt", maximum: 64 * 1024), as: UTF8.self)
        let key = try Secret.read(path + "/ca.key")
        let seconds = now.milliseconds / 1000
        let issued = domain.uri(of: node).withCString { uri in
            node.text.withCString { name in
                var plan = cs_certificate_plan()
                plan.common_name = name
                plan.uri = uri
                plan.not_before = seconds - 300
                plan.not_after = seconds + life
                return key.withText { key in
                    NodeFolder.pem { cs_certificate_issue(key, issuer, request, &plan, $0, $1) }
                }
            }
        }
        guard let certificate = issued ?? nil else {
            throw FederationError(
                "authority-unusable", "\(path) could not sign", remedy: "check that ca.key and ca.crt belong together")
        }
        return certificate
    }
}
