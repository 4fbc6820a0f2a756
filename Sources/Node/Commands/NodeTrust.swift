import Federation
import FoundationEssentials

/// The signed topology comes to a node for the first time, by hand.
enum NodeTrust {
    private static let mostBytes = 128 << 20

    private struct Installed: Encodable {
        var federation: String
        var topology: UInt64
        var root: UInt64
        var timestamp: UInt64
        var fingerprint: String
    }

    static func install(_ command: ParsedCommand) throws -> Int32 {
        let folder = NodeFolder(command.operands[0])
        let settings = try folder.settings()
        let lock = try lock(folder)
        defer { lock?.release() }
        let tree = try open(command.operands[1], beside: folder)
        defer { tree.close() }
        let isFirst = !folder.trust.isThere
        let anchor = try command.values["root"].map { try Files.read($0, maximum: TUFRoot.maximumBytes) }
        let fingerprint = try fingerprint(of: tree.folder, anchor)
        if isFirst || command.values["fingerprint"] != nil {
            try confirm(fingerprint, command, isAnchored: anchor != nil)
        }
        let state: SignedFederation
        if isFirst {
            // In a folder of its own, until it is found to be for this node.
            let draft = TrustFolder(folder.path + "/trust.new")
            try? FileManager.default.removeItem(atPath: draft.path)
            defer { try? FileManager.default.removeItem(atPath: draft.path) }
            state = try draft.install(from: tree.folder, anchor: anchor, now: Clocks.wall())
            if let node = NodeID(settings.node) { try require(node, folder, settings, in: state) }
            try Files.rename(draft.path, to: folder.trust.path)
        } else {
            state = try folder.trust.install(from: tree.folder, anchor: nil, now: Clocks.wall())
        }
        let done = Installed(
            federation: state.topology.federation, topology: state.topology.version,
            root: state.metadata.root.common.version, timestamp: state.metadata.timestamp?.common.version ?? 0,
            fingerprint: fingerprint.description)
        Output.print(
            command, done,
            "topology \(done.topology) of \(done.federation), root \(done.root), timestamp \(done.timestamp) in "
                + "\(folder.trust.path)\nnext: ekc node run \(folder.path)")
        return 0
    }

    /// A node that runs has read its metadata already, and writes what is newer itself.
    private static func lock(_ folder: NodeFolder) throws -> StoreLock? {
        guard Files.isFolder(folder.storeFolder) else { return nil }
        do { return try StoreLock(directory: folder.storeFolder) } catch {
            guard error.code == .inUse else { throw error }
            throw FederationError(
                "node-running", "\(folder.path) is a node that runs",
                remedy: "while it runs its neighbours bring it what is newer; if none can, stop it, trust, and start it"
            )
        }
    }

    /// The node is one of the federation's, under the identity key that it has.
    private static func require(
        _ node: NodeID, _ folder: NodeFolder, _ settings: NodeSettings, in state: SignedFederation
    ) throws {
        guard state.topology.federation == settings.federation else {
            throw FederationError(
                "wrong-federation",
                "the tree is of \(state.topology.federation), this node is of \(settings.federation)",
                remedy: "name the tree of this federation")
        }
        guard state.topology.node(node) != nil else {
            throw FederationError(
                "not-in-topology", "node \(node) is not in the topology of the tree",
                remedy: "ask central operations to propose it, and take the tree that is published then")
        }
        let own = try TrustFile.read(EnrolmentRequest.self, folder.requestFile).identityKey
        if let record = state.pins.nodes.first(where: { $0.node == node.text }), record.identityKey != own {
            throw FederationError(
                "identity-conflict", "the tree has another identity key for \(node) than this node has",
                remedy: "tell central operations at once: they may not know this node, or somebody else is it")
        }
    }

    // MARK: The anchor

    private static func fingerprint(of tree: TrustFolder, _ anchor: [UInt8]?) throws -> Digest32 {
        if let anchor { return Digest.sha256(anchor) }
        guard let fingerprint = try tree.fingerprint() else {
            throw FederationError(
                "tree-malformed", "\(tree.path) has no first root, metadata/1.root.json",
                remedy: "take the whole tree, or name a root that you trust: --root FILE")
        }
        return fingerprint
    }

    private static func confirm(_ fingerprint: Digest32, _ command: ParsedCommand, isAnchored: Bool) throws {
        if let told = command.values["fingerprint"] {
            guard let bytes = Hex.decode(told.filter { !$0.isWhitespace && $0 != ":" }, count: 32),
                Digest32(bytes) == fingerprint
            else {
                throw FederationError(
                    "fingerprint-differs", "the root has the fingerprint \(fingerprint.grouped), another was told",
                    remedy: "do not go on: ask central operations by a way that did not bring the tree")
            }
            return
        }
        // Who names a root vouches for it.
        if isAnchored { return }
        guard Terminal.isThere else {
            throw UsageError(
                message: "node trust wants --fingerprint", remedy: "give the one that central operations have told you")
        }
        let terminal = try Terminal()
        terminal.say("fingerprint of the federation's first root:\n  \(fingerprint.grouped)")
        let answer = try terminal.ask("is it the one that central operations have told you another way? [yes/N]")
        guard answer == "yes" else {
            throw FederationError(
                "fingerprint-differs", "it was not confirmed, and nothing is installed",
                remedy: "ask central operations for it by a way that did not bring the tree")
        }
    }

    // MARK: The tree

    private struct Opened {
        var folder: TrustFolder
        var isTemporary: Bool

        func close() {
            if isTemporary { try? FileManager.default.removeItem(atPath: folder.path) }
        }
    }

    /// A folder as it is; an archive is unpacked beside the node's own.
    private static func open(_ path: String, beside node: NodeFolder) throws(FederationError) -> Opened {
        if Files.isFolder(path) { return Opened(folder: TrustFolder(path), isTemporary: false) }
        let entries = try TarArchive.entries(try Files.read(path, maximum: mostBytes))
        let place = node.path + "/trust.unpacked"
        try? FileManager.default.removeItem(atPath: place)
        let opened = Opened(folder: TrustFolder(place), isTemporary: true)
        for entry in entries {
            // As it may lie under a folder of any name, what counts begins at metadata/ or targets/.
            var parts = entry.name.split(separator: "/").map(String.init)[...]
            while let first = parts.first, first != "metadata", first != "targets" { parts = parts.dropFirst() }
            guard parts.count >= 2, !parts.contains("..") else { continue }
            let file = place + "/" + parts.joined(separator: "/")
            try Files.makeFolder(String(file.prefix(upTo: file.lastIndex(of: "/") ?? file.endIndex)), mode: 0o755)
            try Files.write(entry.content, to: file)
        }
        return opened
    }
}
