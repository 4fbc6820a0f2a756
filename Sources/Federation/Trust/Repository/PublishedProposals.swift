import FoundationEssentials

/// What the centre has published, as it was proposed: in its folder `published/<version of targets>.json`, and what had no
/// targets under the name and version of its role, such as `published/deny-3.json`.
extension NodeFolder {
    private var published: String { path + "/published" }

    func publishedFile(_ version: UInt64) -> String { "\(published)/\(version).json" }

    package func keep(_ proposal: Proposal) throws(FederationError) {
        try Files.makeFolder(published, mode: 0o755)
        if let targets = proposal.roles["targets"] {
            return try Files.write(proposal.bytes, to: publishedFile(try targets.version()))
        }
        for (role, text) in proposal.roles.sorted(by: { $0.key < $1.key }).prefix(1) {
            try Files.write(proposal.bytes, to: "\(published)/\(role)-\(try text.version()).json")
        }
    }

    /// What a former federation has published is not what this one can go back to.
    func setPublishedAside(_ now: Timestamp) throws(FederationError) {
        if Files.exists(published) { try Files.rename(published, to: "\(published).\(now.milliseconds)") }
    }

    /// What had no targets: its role and version, in order of time.
    package func publishedBeside() throws(FederationError) -> [(name: String, proposal: Proposal)] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: published)) ?? [])
            .filter { $0.hasSuffix(".json") && UInt64($0.dropLast(5)) == nil }
        return try names.map { (file) throws(FederationError) in
            let bytes = try Files.read(published + "/" + file, maximum: Proposal.maximumBytes)
            return (String(file.dropLast(5)), try Proposal(bytes, from: file))
        }.sorted { $0.proposal.created < $1.proposal.created }
    }

    /// Versions of targets, in order.
    package func publishedVersions() -> [UInt64] {
        ((try? FileManager.default.contentsOfDirectory(atPath: published)) ?? [])
            .compactMap { $0.hasSuffix(".json") ? UInt64($0.dropLast(5)) : nil }.sorted()
    }

    package func published(_ version: UInt64) throws(FederationError) -> Proposal {
        let file = publishedFile(version)
        guard Files.exists(file) else {
            let known = publishedVersions().map(String.init).joined(separator: ", ")
            throw FederationError(
                "not-published", "targets \(version) was not published from here; what was: \(known)",
                remedy: "name one of these versions; the centre's folder has them")
        }
        return try Proposal(try Files.read(file, maximum: Proposal.maximumBytes), from: file)
    }

    /// The topology that was in force with a version of targets.
    package func publishedTopology(_ version: UInt64) throws(FederationError) -> [UInt8] {
        let content = try ProposalContent(try published(version))
        let facts = content.targets?.targets[SignedFederation.topologyPath]
        for earlier in publishedVersions().reversed() where earlier <= version {
            if let bytes = try published(earlier).files[SignedFederation.topologyPath],
                facts?.difference(of: bytes) == nil, facts != nil
            {
                return bytes
            }
        }
        throw FederationError(
            "not-published", "the topology of targets \(version) is not in \(published)",
            remedy: "name another version")
    }
}

extension TrustFolder {
    /// Keeps the root that is believed.
    func keepAnchor(_ bytes: [UInt8]) throws(FederationError) {
        let version: UInt64
        do throws(TUFFault) { version = try TUFRoot(bytes).common.version } catch { throw error.error }
        try keep([
            TUFWalk.Verified(
                role: "root",
                file: TUFWalk.File(
                    path: TUFWalk.path(of: "root", version: version), maximum: TUFRoot.maximumBytes), bytes: bytes)
        ])
    }

    /// Writes what is in force as a static tree that any web server serves: every version of root, the timestamp last.
    package func export(to tree: TrustFolder) throws(FederationError) -> SignedFederation {
        let state = try load().inForce
        for version in try roots() {
            let root: [UInt8]
            do throws(TUFFault) { root = try read(version) } catch { throw error.error }
            try tree.keepAnchor(root)
        }
        try tree.commit(state)
        return state
    }

    /// SHA-256 of the first root: by it people know a federation.
    package func fingerprint() throws(FederationError) -> Digest32? {
        guard try roots().first == 1 else { return nil }
        do throws(TUFFault) { return Digest.sha256(try read(1)) } catch { throw error.error }
    }
}
