import CryptoShim
import FoundationEssentials

/// Who a node is: `node.json` in its folder.
package struct NodeSettings: TrustRecord, Equatable {
    package var format = 1
    package var node: String
    package var segment: String
    package var federation: String
    /// Bytes the store may fill; absent: 64 GiB.
    package var quotaBytes: Int?
    /// Bytes of the disk that are kept written ahead of what the store uses; absent: 16 MiB.
    package var reserveBytes: Int?
    /// Envelopes and bytes that may wait for one destination in one lane; absent: 65,536 and 512 MiB.
    package var laneQuotaCount: Int?
    package var laneQuotaBytes: Int?
    /// Bytes kept, for each destination's lane, of what is decided there, until it is inside a backup; absent: 64 MiB.
    package var refillBytes: Int?
    /// Ports on loopback of the operators' and the channels' listener; absent: 7411 and 7412, 0: any that is free.
    package var operatorsPort: UInt16?
    package var publicPort: UInt16?
    /// Port on loopback of `/metrics`; absent: 7413, 0: any that is free.
    package var metricsPort: UInt16?
    /// Addresses as they are from here, by node, where they are not those of the topology: ViPNet gives virtual ones that
    /// differ from machine to machine. Its own: where it listens.
    package var addresses: [String: [String]]?

    package init(node: String, segment: String, federation: String, anyPorts: Bool = false) {
        self.node = node
        self.segment = segment
        self.federation = federation
        if anyPorts {
            operatorsPort = 0
            publicPort = 0
            metricsPort = 0
        }
    }
}

extension NodeSettings {
    package var fault: String? {
        for (node, texts) in addresses ?? [:] {
            if NodeID(node) == nil { return "addresses: \"\(node)\" is no node name" }
            if let bad = texts.first(where: { Topology.Address($0) == nil }) {
                return "addresses: \"\(bad)\" of \(node) is no host:port"
            }
        }
        return nil
    }

    /// The topology as it is from here.
    package func seen(_ topology: Topology) -> Topology {
        var own: [NodeID: [Topology.Address]] = [:]
        for (node, texts) in addresses ?? [:] {
            if let node = NodeID(node) { own[node] = texts.compactMap { Topology.Address($0) } }
        }
        return own.isEmpty ? topology : topology.reached(at: own)
    }

    package var limits: StoreLimits {
        var limits = StoreLimits()
        limits.quota = quotaBytes ?? limits.quota
        limits.reserve = reserveBytes ?? limits.reserve
        limits.rooms.count = laneQuotaCount ?? limits.rooms.count
        limits.rooms.bytes = laneQuotaBytes ?? limits.rooms.bytes
        limits.rooms.refillBytes = refillBytes ?? limits.rooms.refillBytes
        return limits
    }
}

/// A node's folder: `node.json keys/ (0700: identity.key link.key link.crt) trust/ store/ admin.sock
/// request.json`. Keys are born here and never leave.
package struct NodeFolder: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    package var settingsFile: String { path + "/node.json" }
    package var requestFile: String { path + "/request.json" }
    /// The signed topology, and all that is signed with it.
    package var trust: TrustFolder { TrustFolder(path + "/trust") }
    /// The keys of the online roles; nil anywhere but at the centre.
    var onlineKeys: TrustKeeper.Online? {
        guard Files.exists(timestampKey) else { return nil }
        return TrustKeeper.Online(
            snapshot: { [snapshotKey] () throws(FederationError) in try SigningKey.read(snapshotKey) },
            timestamp: { [timestampKey] () throws(FederationError) in try SigningKey.read(timestampKey) })
    }

    /// Of the online roles, in the clear: they can delay, not admit.
    package var snapshotKey: String { keys + "/snapshot.key" }
    package var timestampKey: String { keys + "/timestamp.key" }
    package var storeFolder: String { path + "/store" }
    /// Tries to apply what has ended the process: beside the store, so that no backup of it takes them.
    package var attemptsFile: String { path + "/attempts" }
    package var adminSocket: String { path + "/admin.sock" }
    private var keys: String { path + "/keys" }
    private var identityKey: String { keys + "/identity.key" }
    private var linkKey: String { keys + "/link.key" }
    private var linkCertificate: String { keys + "/link.crt" }

    package func settings() throws(FederationError) -> NodeSettings {
        try TrustFile.read(NodeSettings.self, settingsFile)
    }

    /// Makes the node's keys and the request for its authority.
    /// - Throws: `node-exists` when there are keys already: they are never overwritten.
    package func create(_ settings: NodeSettings) throws(FederationError) -> EnrolmentRequest {
        let domain = try TrustDomain(segment: settings.segment, federation: settings.federation)
        guard let node = NodeID(settings.node) else {
            throw FederationError("bad-node-name", "\"\(settings.node)\"", remedy: "use [a-z0-9-]{1,32}")
        }
        // The request comes last: keys without one are known to nobody, and are made anew.
        guard !Files.exists(requestFile), !Files.exists(linkCertificate) else {
            throw FederationError(
                "node-exists", "\(path) holds a node's keys already", remedy: "name another folder, or remove this one")
        }
        try Files.makeFolder(path, mode: 0o750)
        try Files.makeFolder(keys, mode: 0o700)
        try Files.requirePrivate(keys)
        var publicKey = [UInt8](repeating: 0, count: 32)
        var secretKey = Secret(count: 64)
        publicKey.withUnsafeMutableBufferPointer { publicKey in
            secretKey.withMutableBytes {
                cs_identity_generate(publicKey.baseAddress, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
        }
        var link = Secret(count: 4096)
        let size = link.withMutableBytes {
            cs_link_key_generate($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
        }
        let text = link.withText { key in
            NodeFolder.pem {
                cs_request_create(key, node.text, $0, $1)
            }
        }
        guard size > 0, let certificateRequest = text ?? nil else {
            throw FederationError("keys-failed", "no link key could be made", remedy: "check the OpenSSL installation")
        }
        var request = EnrolmentRequest(
            federation: domain.federation, segment: domain.segment, node: node.text,
            identityKey: Hex.encode(publicKey), certificateRequest: certificateRequest, signature: "")
        request.signature = NodeFolder.sign(request.statement, secretKey)
        try NodeFolder.write(secretKey, count: 64, to: identityKey)
        let now = Clocks.wall()
        // Of a node that is set up again, what it says counts as newer than what it has said in its life before.
        request.published = try publish(
            linkOf: request, node, version: UInt64(max(1, now.milliseconds)), now: now)
        try NodeFolder.write(link, count: Int(size), to: linkKey)
        try TrustFile.write(settings, to: settingsFile)
        try TrustFile.write(request, to: requestFile)
        return request
    }

    /// What the node says of its keys, signed by its identity key.
    private func publish(
        linkOf request: EnrolmentRequest, _ node: NodeID, version: UInt64, now: Timestamp
    ) throws(FederationError) -> SignedKeys {
        var pin = [UInt8](repeating: 0, count: 32)
        guard cs_request_pin(request.certificateRequest, &pin) == 1 else {
            throw FederationError("keys-failed", "no link key could be made", remedy: "check the OpenSSL installation")
        }
        let keys = PublishedKeys(node: node, linkPin: Hex.encode(pin))
        let metadata = try keys.metadata(
            version: version, now: now, by: try IdentityKey.read(identityKey, publicText: request.identityKey))
        return SignedKeys(
            keys: String(decoding: keys.bytes, as: UTF8.self), metadata: String(decoding: metadata, as: UTF8.self))
    }

    /// Ed25519, 32 bytes in hex; nil when there is no request.
    var identityKeyText: String? {
        (try? TrustFile.read(EnrolmentRequest.self, requestFile))?.identityKey.lowercased()
    }

    /// What the node says of its keys, anew: of a node that was enrolled before metadata was signed, or under a later version.
    package func publishedKeys(version: UInt64, now: Timestamp) throws(FederationError) -> SignedKeys {
        let request = try TrustFile.read(EnrolmentRequest.self, requestFile)
        guard let node = NodeID(request.node) else {
            throw FederationError(
                "bad-node-name", "\(requestFile) names \(request.node)", remedy: "use [a-z0-9-]{1,32}")
        }
        return try publish(linkOf: request, node, version: version, now: now)
    }

    /// Installs what the authority answered, once it is found to be for this node's own keys, and such that peers accept
    /// it: chain, name, pin and lint.
    package func install(_ answer: EnrolmentAnswer, now: Timestamp = Clocks.wall()) throws(FederationError) {
        let request = try TrustFile.read(EnrolmentRequest.self, requestFile)
        var pin = [UInt8](repeating: 0, count: 32)
        guard cs_request_pin(request.certificateRequest, &pin) == 1 else {
            throw FederationError(
                "file-malformed", "\(requestFile) holds no request", remedy: "run ekc node init again")
        }
        guard answer.record.node == request.node, answer.record.segment == request.segment,
            answer.federation == request.federation, answer.record.identityKey == request.identityKey,
            answer.record.linkPin == Hex.encode(pin)
        else {
            throw FederationError(
                "answer-for-another", "the answer is for \(answer.record.node) and its keys, this is \(request.node)",
                remedy: "give the authority this node's request.json, and install the answer to it")
        }
        try answer.check(at: now)
        try Files.write(Array(answer.certificate.utf8), to: linkCertificate)
    }

    /// What TLS needs, with the authorities and pins of the signed metadata.
    package func context(
        _ settings: NodeSettings, _ state: SignedFederation
    ) throws(FederationError) -> TLSContext {
        try context(settings, pins: state.pins, denied: Set(state.denied.map(\.node)))
    }

    package func context(
        _ settings: NodeSettings, pins: Pins, denied: Set<NodeID> = []
    ) throws(FederationError) -> TLSContext {
        guard let node = NodeID(settings.node) else {
            throw FederationError("bad-node-name", "node.json names \(settings.node)", remedy: "use [a-z0-9-]{1,32}")
        }
        guard Files.exists(linkCertificate) else {
            throw FederationError(
                "not-enrolled", "\(path) has no certificate yet",
                remedy: "give request.json to the authority, then: ekc node init \(path) --answer answer.json")
        }
        try Files.requirePrivate(keys)
        let certificate = String(decoding: try Files.read(linkCertificate, maximum: 64 * 1024), as: UTF8.self)
        let key = try Secret.read(linkKey)
        let rule = AcceptanceRule(federation: settings.federation, node: node, pins: pins, denied: denied)
        return try TLSContext(certificate: certificate, key: key, pins: pins, rule: rule)
    }

    private static func sign(_ statement: [UInt8], _ key: borrowing Secret) -> String {
        var signature = [UInt8](repeating: 0, count: 64)
        key.withBytes {
            cs_identity_sign(
                &signature, statement, statement.count, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        return Hex.encode(signature)
    }

    /// Runs a function that writes PEM text into a buffer and returns its length.
    static func pem(_ make: (UnsafeMutablePointer<CChar>, Int) -> CInt) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16_384) { buffer in
            guard let start = buffer.baseAddress, make(start, buffer.count) > 0 else { return nil }
            return String(cString: start)
        }
    }

    static func write(_ secret: borrowing Secret, count: Int, to path: String) throws(FederationError) {
        let result = secret.withBytes { bytes in
            Result { () throws(FederationError) in
                try Files.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]), to: path, mode: 0o600)
            }
        }
        try result.get()
    }
}
