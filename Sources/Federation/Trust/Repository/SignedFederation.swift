/// What the signed metadata says, all of it together: topology, authorities, keys of nodes, who is denied.
///
/// Targets of `targets`: `topology.json`; `segments/<segment>/authority.pem`, an authority a segment; `pins.json`, if the
/// federation ran before its metadata was signed: what counts of a node that has not signed its keys yet. Delegated:
/// `nodes/<id>/keys.json` to `node-<id>`, each node's identity key; and `deny`.
package struct SignedFederation: Sendable {
    package static let topologyPath = "topology.json"
    package static let pinsPath = "pins.json"

    package static func authorityPath(_ segment: String) -> String { "segments/\(segment)/authority.pem" }

    /// Every role's metadata.
    package let metadata: TUFTrusted
    package let targets: TUFTargets
    package let deny: TUFTargets
    /// Target files by their paths.
    package let files: [String: [UInt8]]
    package let topology: Topology
    package let pins: Pins
    package let identities: Identities
    /// When this node verified it; nil: it was read from the disk.
    package var verifiedAt: Timestamp?
    /// Not lifted.
    package let denied: [Denial]
    /// Nodes whose keys are not good, and why: nobody talks to them.
    package let faults: [NodeID: TUFFault]

    /// A target file that belongs to it.
    package struct Target: Sendable {
        package var path: String
        package var facts: TUFFileFacts
        package var maximum: Int
        /// Whose keys they are: without them the others are none the worse.
        package var node: NodeID?

        /// Where it lies in a static tree.
        package var file: TUFWalk.File {
            TUFWalk.File(
                path: TUFWalk.path(ofTarget: path, facts), maximum: min(facts.length ?? maximum, maximum))
        }
    }

    /// The target files that the metadata names and that mean something here.
    package static func targets(of metadata: TUFTrusted) -> [Target] {
        guard let targets = metadata.current("targets") else { return [] }
        var found: [Target] = []
        for (path, target) in targets.targets.sorted(by: { $0.key < $1.key }) {
            let maximum: Int? =
                switch path {
                case topologyPath: TopologyDraft.maximumBytes
                case pinsPath: 8 << 20
                default: segment(of: path) == nil ? nil : 64 << 10
                }
            if let maximum { found.append(Target(path: path, facts: target, maximum: maximum)) }
        }
        for delegation in targets.delegations {
            guard let node = node(of: delegation), let own = metadata.current(delegation.name),
                let facts = own.targets[PublishedKeys.path(of: node)]
            else { continue }
            found.append(
                Target(
                    path: PublishedKeys.path(of: node), facts: facts, maximum: PublishedKeys.maximumBytes, node: node))
        }
        return found
    }

    /// Of an authority's path; nothing else has its form.
    private static func segment(of path: String) -> String? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, NodeID(parts[1]) != nil, path == authorityPath(parts[1]) else { return nil }
        return parts[1]
    }

    /// Whose keys a delegation is for: its one pattern covers nothing else, and one key signs, the node's own.
    package static func node(of delegation: TUFDelegation) -> NodeID? {
        guard delegation.name.hasPrefix("node-"), let node = NodeID(String(delegation.name.dropFirst(5))),
            delegation.scope == .paths(["nodes/\(node)/*"]), delegation.isTerminating, delegation.role.threshold == 1,
            delegation.role.keys.count == 1, delegation.role.keys.values.first?.scheme == .ed25519
        else { return nil }
        return node
    }

    /// What `targets` says has a meaning here: delegations to nodes and to `deny`, and authorities that are such.
    package static func requireMeaning(of targets: TUFTargets, _ files: [String: [UInt8]]) throws(TUFFault) {
        for delegation in targets.delegations where delegation.name != Denial.role && node(of: delegation) == nil {
            throw TUFFault(
                .malformed, "targets",
                "\(delegation.name.debugDescription) is neither deny nor a node with one key of its own")
        }
        for (path, pem) in files.sorted(by: { $0.key < $1.key }) where segment(of: path) != nil {
            guard CertificateFacts(pem: String(decoding: pem, as: UTF8.self))?.isAuthority == true else {
                throw TUFFault(.malformed, path, "it is no certificate of an authority")
            }
        }
    }

    /// Puts it together.
    /// - Parameters:
    ///   - metadata: verified, every role of the version that the snapshot names.
    ///   - files: target files by path, each already held against its hash.
    ///   - faults: roles whose metadata was refused.
    ///   - known: what is in force until now; nil: nothing, or it is what was in force.
    ///   - now: nil: it was verified before.
    /// - Throws: what makes all of it unusable: `topology-invalid`, `topology-not-newer`, `deny-lifts`, `identity-unannounced` …
    package init(
        _ metadata: TUFTrusted, files: [String: [UInt8]], faults: [String: TUFFault] = [:],
        known: SignedFederation? = nil, now: Timestamp? = nil
    ) throws(FederationError) {
        guard let targets = metadata.current("targets"), let bytes = files[SignedFederation.topologyPath] else {
            throw TUFFault(.targetUnknown, SignedFederation.topologyPath, "targets names no topology").error
        }
        guard targets.delegation(Denial.role) != nil, let deny = metadata.current(Denial.role) else {
            throw (faults[Denial.role] ?? TUFFault(.missing, Denial.role, "who is denied is not known")).error
        }
        self.metadata = metadata
        self.targets = targets
        self.deny = deny
        self.files = files
        topology = try FederationNode.topology(bytes, from: SignedFederation.topologyPath)
        if let known, known.files[SignedFederation.topologyPath] != bytes {
            guard topology.version > known.topology.version else {
                throw FederationError(
                    "topology-not-newer",
                    "it has version \(topology.version), version \(known.topology.version) is in force",
                    remedy: "publish it under a higher version: ekc topology revert does so with an old one")
            }
            guard topology.federation == known.topology.federation else {
                throw FederationError(
                    "wrong-federation", "it is of \(topology.federation), this is \(known.topology.federation)",
                    remedy: "publish the topology of this federation")
            }
        }
        do throws(TUFFault) {
            try SignedFederation.requireMeaning(of: targets, files)
            identities = try Identities(targets)
            if let known { try SignedFederation.requireStillSigned(metadata, targets, faults, since: known) }
        } catch { throw error.error }
        verifiedAt = now
        if let known, let now {
            try identities.requireNoticed(
                since: known.identities, seen: known.seen, shown: metadata.timestamp?.signedAt ?? now, now: now)
        }
        var refused: [NodeID: TUFFault] = [:]
        for delegation in targets.delegations {
            if let node = SignedFederation.node(of: delegation), let fault = faults[delegation.name] {
                refused[node] = fault
            }
        }
        // Without its centre nobody would hear of a lift any more: one key cannot do that.
        let centre = topology.centre
        denied = try SignedFederation.denied(deny, targets, faults, known).filter { $0.node != centre }
        pins = try SignedFederation.pins(metadata, targets, files, topology, &refused)
        self.faults = refused
        if now != nil {
            try SignedFederation.requireUsable(topology)
            if let centre, known?.reaches(centre) == true, !reaches(centre) {
                throw
                    (faults[PublishedKeys.role(of: centre)]
                    ?? TUFFault(.missing, "targets", "nobody could accept the centre, \(centre)")).error
            }
        }
    }

    /// What this software can go by.
    static func requireUsable(_ topology: Topology) throws(FederationError) {
        guard let centre = topology.centre, topology.node(centre)?.state == .live else {
            throw FederationError(
                "centre-not-live", "the centre is not live: nothing newer would reach anybody, an undoing neither",
                remedy: "leave the centre live")
        }
        if let segment = topology.segments.first(where: { $0.profile != "tls13" }) {
            throw FederationError(
                "profile-unknown",
                "segment \(segment.id) has profile \(segment.profile), which this software does not speak",
                remedy: "name profile tls13")
        }
    }

    /// The latest instant at which it was the newest, by its own words or by this node's clock.
    private var seen: Timestamp? {
        let signed = metadata.timestamp?.signedAt
        return verifiedAt.map { max($0, signed ?? $0) } ?? signed
    }

    /// Others could accept a node by it.
    private func reaches(_ node: NodeID) -> Bool {
        let record = pins.nodes.first { $0.node == node.text }
        return record.map { record in pins.anchors.contains { $0.segment == record.segment } } ?? false
    }

    /// What a node has once signed of its keys goes on to count: nothing that others carry takes its place.
    private static func requireStillSigned(
        _ metadata: TUFTrusted, _ targets: TUFTargets, _ faults: [String: TUFFault], since known: SignedFederation
    ) throws(TUFFault) {
        for delegation in known.targets.delegations {
            let role = delegation.name
            guard known.metadata.current(role) != nil, metadata.current(role) == nil, faults[role] == nil,
                let next = targets.delegation(role), next.role == delegation.role
            else { continue }
            throw TUFFault(.rollback, role, "it is not listed any more")
        }
    }

    private static func denied(
        _ deny: TUFTargets, _ targets: TUFTargets, _ faults: [String: TUFFault], _ known: SignedFederation?
    ) throws(FederationError) -> [Denial] {
        if let fault = faults[Denial.role] { throw fault.error }
        do throws(TUFFault) {
            let entries = try Denial.read(deny)
            let lifted = try Denial.lifted(targets)
            // The same node under the same id: an entry that names another gives back what it took.
            let nodes = Dictionary(entries.map { ($0.id, $0.node) }, uniquingKeysWith: { first, _ in first })
            if let gone = known?.denied.first(where: { nodes[$0.id] != $0.node && !lifted.contains($0.id) }) {
                throw TUFFault(
                    .denyLifts, Denial.role, "entry \(gone.id) of \(gone.node) is gone, and not lifted by targets")
            }
            return entries.filter { !lifted.contains($0.id) }
        } catch { throw error.error }
    }

    /// `pins.json` as it was carried over from before metadata was signed.
    package func carriedPins() throws(FederationError) -> Pins? { try SignedFederation.carriedPins(files) }

    private static func carriedPins(_ files: [String: [UInt8]]) throws(FederationError) -> Pins? {
        guard let bytes = files[pinsPath] else { return nil }
        return try TrustFile.read(Pins.self, bytes, from: pinsPath)
    }

    private static func pins(
        _ metadata: TUFTrusted, _ targets: TUFTargets, _ files: [String: [UInt8]], _ topology: Topology,
        _ refused: inout [NodeID: TUFFault]
    ) throws(FederationError) -> Pins {
        var pins = Pins(federation: topology.federation)
        for segment in topology.segments {
            guard let pem = files[authorityPath(segment.id)] else { continue }
            pins.anchors.append(Pins.Anchor(segment: segment.id, certificate: String(decoding: pem, as: UTF8.self)))
        }
        let carried = try carriedPins(files)
        for node in topology.nodes {
            let role = PublishedKeys.role(of: node.id)
            let delegation = targets.delegation(role)
            if let identity = delegation?.role.keys.values.first,
                metadata.current(role) != nil || refused[node.id] != nil
            {
                guard refused[node.id] == nil else { continue }
                do throws(TUFFault) {
                    guard let bytes = files[PublishedKeys.path(of: node.id)] else {
                        throw TUFFault(.targetUnknown, PublishedKeys.path(of: node.id), "it is not there")
                    }
                    let keys = try PublishedKeys(bytes, of: node.id)
                    var record = KeyRecord(
                        node: node.id.text, segment: node.segment, identityKey: identity.publicText,
                        linkPin: keys.linkPin)
                    record.nextLinkPin = keys.nextLinkPin
                    pins.nodes.append(record)
                } catch { refused[node.id] = error }
            } else if let record = carried?.nodes.first(where: { $0.node == node.id.text }),
                record.segment == node.segment,
                delegation?.role.keys.values.first?.publicText.lowercased() == record.identityKey.lowercased()
            {
                pins.nodes.append(record)
            }
        }
        return pins
    }
}
