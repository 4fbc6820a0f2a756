import FoundationEssentials

/// A node's `trust/`: a static tree of the federation's signed metadata and targets, as a web server would serve it. What is
/// in force is what `metadata/timestamp.json` leads to: it is written last.
package struct TrustFolder: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    private static let timestamp = "metadata/timestamp.json"

    /// What is on the disk.
    package struct Loaded: Sendable {
        /// The newest root, with what it vouches for of the rest.
        package var baseline: TUFTrusted
        package var inForce: SignedFederation

        package init(baseline: TUFTrusted, inForce: SignedFederation) {
            self.baseline = baseline
            self.inForce = inForce
        }
    }

    package var freshnessFile: String { path + "/freshness.json" }

    /// Time that dates are held against: never before what was verified here.
    private func time(_ wall: Timestamp) throws(FederationError) -> Timestamp {
        guard Files.exists(freshnessFile) else { return wall }
        return try TrustFile.read(Freshness.self, freshnessFile).time(wall)
    }

    package var isThere: Bool { Files.exists(path + "/" + TrustFolder.timestamp) }

    /// Reads and verifies all of it. Dates are not looked at: what was good once stays in force until something newer is.
    /// - Throws: `not-trusting` when there is nothing; `trust-damaged`.
    package func load() throws(FederationError) -> Loaded {
        let roots = try roots()
        guard let first = roots.first, isThere else {
            throw FederationError(
                "not-trusting", "\(path) holds no signed topology",
                remedy: "ekc node trust DIR TREE installs what central operations have published")
        }
        var chain: [TUFTrusted] = []
        do throws(TUFFault) {
            var trusted = try TUFTrusted(anchor: try read(first))
            chain.append(trusted)
            for version in roots.dropFirst() {
                try trusted.update(root: try read(version))
                chain.append(trusted)
            }
        } catch { throw damaged(error.description) }
        guard let newest = chain.last else { throw damaged("no root") }
        var baseline = newest
        var fault: TUFFault?
        // The newest root may have other keys than those that signed what is in force.
        for root in chain.reversed() {
            do throws(TUFFault) {
                let (metadata, faults) = try complete(root)
                if root.root.common.version == newest.root.common.version { baseline = metadata }
                return Loaded(baseline: baseline, inForce: try assembled(metadata, faults))
            } catch { fault = fault ?? error }
        }
        throw damaged(fault?.description ?? "")
    }

    private func damaged(_ why: String) -> FederationError {
        FederationError(
            "trust-damaged", "\(path): \(why)",
            remedy: "move it away, and install it again: ekc node trust DIR TREE; its neighbours have the same tree")
    }

    /// Versions of root, from the first.
    func roots() throws(FederationError) -> [UInt64] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path + "/metadata")) ?? []
        let versions = names.filter { $0.hasSuffix(".root.json") }.compactMap { UInt64($0.dropLast(10)) }.sorted()
        for (index, version) in versions.enumerated() where version != versions[0] + UInt64(index) {
            throw damaged("root \(versions[0] + UInt64(index)) is missing")
        }
        return versions
    }

    func read(_ root: UInt64) throws(TUFFault) -> [UInt8] {
        try read(TUFWalk.path(of: "root", version: root), TUFRoot.maximumBytes)
    }

    private func read(_ file: String, _ maximum: Int) throws(TUFFault) -> [UInt8] {
        do throws(FederationError) { return try Files.read(path + "/" + file, maximum: maximum) } catch {
            throw TUFFault(.missing, file, error.detail)
        }
    }

    private func complete(
        _ root: TUFTrusted
    ) throws(TUFFault) -> (metadata: TUFTrusted, faults: [String: TUFFault]) {
        var trusted = root
        try trusted.update(timestamp: try read(TrustFolder.timestamp, TUFTimestamp.maximumBytes), now: nil)
        guard let snapshot = trusted.timestamp?.snapshot else { return (trusted, [:]) }
        try trusted.update(
            snapshot: try read(TUFWalk.path(of: "snapshot", version: snapshot.version), TUFSnapshot.maximumBytes),
            now: nil)
        try take("targets", nil, &trusted)
        guard trusted.hasSnapshot, trusted.has("targets") else {
            throw TUFFault(.mismatch, "snapshot", "the timestamp names another")
        }
        var faults: [String: TUFFault] = [:]
        for delegation in trusted.targets["targets"]?.delegations ?? []
        where trusted.snapshot?.meta[delegation.name] != nil {
            do throws(TUFFault) { try take(delegation.name, "targets", &trusted) } catch {
                faults[delegation.name] = error
            }
        }
        return (trusted, faults)
    }

    private func take(_ role: String, _ parent: String?, _ trusted: inout TUFTrusted) throws(TUFFault) {
        guard let meta = trusted.snapshot?.meta[role] else { throw TUFFault(.missing, role, "it is not listed") }
        let bytes = try read(TUFWalk.path(of: role, version: meta.version), TUFTargets.maximumBytes)
        try trusted.update(targets: bytes, of: role, parent: parent, now: nil)
    }

    private func assembled(
        _ metadata: TUFTrusted, _ faults: [String: TUFFault]
    ) throws(TUFFault) -> SignedFederation {
        var files: [String: [UInt8]] = [:]
        for target in SignedFederation.targets(of: metadata) {
            do throws(TUFFault) {
                let bytes = try read(target.file.path, target.file.maximum)
                if let what = target.facts.difference(of: bytes) { throw TUFFault(.targetMismatch, target.path, what) }
                files[target.path] = bytes
            } catch { if target.node == nil { throw error } }
        }
        do throws(FederationError) {
            return try SignedFederation(metadata, files: files, faults: faults)
        } catch { throw TUFFault(.malformed, SignedFederation.topologyPath, "\(error.code): \(error.detail)") }
    }

    // MARK: Writing

    /// Keeps versions of root.
    package func keep(_ roots: [TUFWalk.Verified]) throws(FederationError) {
        for root in roots { try write(root.file.path, root.bytes) }
    }

    /// Puts a newer state in place of the older one: every file is there before the timestamp that leads to it.
    package func commit(_ next: SignedFederation) throws(FederationError) {
        guard let timestamp = next.metadata.timestamp else { return }
        var kept: Set<String> = [TrustFolder.timestamp]
        var news: [(file: String, bytes: [UInt8])] = []
        for (file, bytes) in TrustFolder.tree(of: next).sorted(by: { $0.key < $1.key })
        where file != TrustFolder.timestamp {
            kept.insert(file)
            if !holds(file, bytes) { news.append((file, bytes)) }
        }
        // Of a whole federation there are hundreds: one sync for all of them.
        let isMany = news.count > TrustFolder.mostSynced
        for (file, bytes) in news { try write(file, bytes, isSynced: !isMany) }
        if isMany { try Files.syncAll(in: path) }
        try write(TrustFolder.timestamp, timestamp.bytes)
        clean(keeping: kept)
    }

    /// Puts a state in place of whatever is here, its anchor included.
    package func replace(with state: SignedFederation) throws(FederationError) {
        let draft = TrustFolder(path + ".new")
        try? FileManager.default.removeItem(atPath: draft.path)
        try draft.commit(state)
        if Files.exists(path) {
            try Files.exchange(draft.path, path)
            try? FileManager.default.removeItem(atPath: draft.path)
        } else {
            try Files.rename(draft.path, to: path)
        }
    }

    private func holds(_ file: String, _ bytes: [UInt8]) -> Bool {
        Files.exists(path + "/" + file) && (try? Files.read(path + "/" + file, maximum: bytes.count)) == bytes
    }

    /// Every file of a state but the older versions of root.
    package static func tree(of state: SignedFederation) -> [String: [UInt8]] {
        let metadata = state.metadata
        var tree: [String: [UInt8]] = [:]
        tree[TUFWalk.path(of: "root", version: metadata.root.common.version)] = metadata.root.bytes
        tree[timestamp] = metadata.timestamp?.bytes
        if let snapshot = metadata.snapshot {
            tree[TUFWalk.path(of: "snapshot", version: snapshot.common.version)] = snapshot.bytes
        }
        for (role, known) in metadata.targets where metadata.has(role) {
            tree[TUFWalk.path(of: role, version: known.common.version)] = known.bytes
        }
        for target in SignedFederation.targets(of: metadata) { tree[target.file.path] = state.files[target.path] }
        return tree
    }

    /// Files that are synced one by one.
    private static let mostSynced = 16

    private func write(_ file: String, _ bytes: [UInt8], isSynced: Bool = true) throws(FederationError) {
        let place = path + "/" + file
        try Files.makeFolder(String(place[..<(place.lastIndex(of: "/") ?? place.startIndex)]), mode: 0o755)
        try Files.write(bytes, to: place, isSynced: isSynced)
    }

    /// What nothing leads to goes. The roots stay: who has slept long walks over them.
    private func clean(keeping kept: Set<String>) {
        for file in (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? []
        where !kept.contains(file) && !file.hasSuffix(".root.json") && isOfTree(file) {
            try? FileManager.default.removeItem(atPath: path + "/" + file)
        }
    }

    private func isOfTree(_ file: String) -> Bool {
        guard file.hasPrefix("metadata/") || file.hasPrefix("targets/") else { return false }
        var isFolder = false
        return FileManager.default.fileExists(atPath: path + "/" + file, isDirectory: &isFolder) && !isFolder
    }

    /// A file of the tree for whoever asks.
    /// - Returns: nil when it is not there, or is no name of such a file.
    package func serve(_ file: String, maximum: Int) -> [UInt8]? {
        let parts = file.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0] == "metadata" || parts[0] == "targets", file.utf8.count <= 512,
            parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." && !$0.utf8.contains(0) })
        else { return nil }
        return try? Files.read(path + "/" + file, maximum: maximum)
    }

    // MARK: Installing

    /// Walks a tree that somebody has brought, from an anchor or from what is here already, and puts it in force.
    /// - Parameters:
    ///   - tree: a folder as `ekc topology publish` writes it.
    ///   - anchor: the root that is believed; nil: the tree's first one is, which the caller has shown to a person.
    package func install(
        from tree: TrustFolder, anchor: [UInt8]?, now: Timestamp
    ) throws(FederationError) -> SignedFederation {
        let loaded = isThere ? try load() : nil
        let baseline: TUFTrusted
        if let loaded {
            baseline = loaded.baseline
        } else {
            let first = try tree.roots().first ?? 1
            do throws(TUFFault) {
                if let anchor {
                    baseline = try TUFTrusted(anchor: anchor)
                } else {
                    baseline = try TUFTrusted(anchor: tree.read(first))
                }
            } catch { throw error.error }
        }
        var walk = TrustWalk(baseline, known: loaded?.inForce, now: try time(now))
        while let file = walk.wanted.first { try walk.arrived(file.path, tree.serve(file.path, maximum: file.maximum)) }
        guard let next = try walk.result() else { throw damaged("the walk has not ended") }
        // Of what was refused nothing stays.
        if loaded == nil {
            try write(TUFWalk.path(of: "root", version: baseline.root.common.version), baseline.root.bytes)
        }
        try keep(walk.roots)
        try commit(next)
        return next
    }
}
