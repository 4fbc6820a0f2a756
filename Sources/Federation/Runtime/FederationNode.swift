/// One node of the federation, in this process: its store, its outbox and its links.
package final class FederationNode: Sendable {
    package let id: NodeID
    package let folder: NodeFolder
    package let settings: NodeSettings
    package let inForce: TopologyInForce
    package let inbox: Inbox
    /// The domain's.
    package let tables: [Table]
    package let store: Store
    package let outbox: Outbox
    package let links: LinkLoop
    package let trust: TrustKeeper
    let log: @Sendable (LinkLoop.Event) -> Void
    /// The store was put back, and neighbours have not said yet that they have nothing newer.
    let isControlOnly = Monitor(false)
    /// Held while a topology is put in force.
    let applying = Monitor(())

    private init(
        id: NodeID, folder: NodeFolder, settings: NodeSettings, inForce: TopologyInForce, inbox: Inbox, tables: [Table],
        store: Store, outbox: Outbox, links: LinkLoop, trust: TrustKeeper,
        log: @escaping @Sendable (LinkLoop.Event) -> Void
    ) {
        self.id = id
        self.folder = folder
        self.settings = settings
        self.inForce = inForce
        self.inbox = inbox
        self.tables = tables
        self.store = store
        self.outbox = outbox
        self.links = links
        self.trust = trust
        self.log = log
    }

    /// The topology that is in force now.
    package var topology: Topology { inForce.current }

    /// Opens a node's folder: settings and signed metadata are read and checked, the store is taken, the link address is
    /// bound. Links begin with `start`.
    /// - Parameters:
    ///   - tables: the domain's.
    ///   - application: made with the node's own outbox, so that it can send.
    package static func open(
        _ folder: NodeFolder, tables: [Table], log: @escaping @Sendable (LinkLoop.Event) -> Void,
        application: (NodeID, TopologyInForce, Outbox) -> any Application
    ) throws -> FederationNode {
        let settings = try folder.settings()
        guard let id = NodeID(settings.node) else {
            throw FederationError(
                "bad-node-name", "node.json names \"\(settings.node)\"", remedy: "use a name of [a-z0-9-]{1,32}")
        }
        let signed = try folder.trust.load()
        var topology = settings.seen(signed.inForce.topology)
        try require(id, settings, in: topology)
        let context = try folder.context(settings, signed.inForce)
        let trust = try TrustKeeper(folder.trust, signed, online: folder.onlineKeys)
        let links = LateLinks()
        try requireStore(of: folder)
        let store = try Store.open(
            directory: folder.storeFolder, tables: tables, limits: settings.limits,
            newIncarnation: Incarnation(bits: Random.id128()),
            observer: { links.tell($0) }, wayBack: { folder.wayBack },
            damaged: { damage in
                log(LinkLoop.Event(code: "store-damaged", peer: nil, detail: "\(damage.detail); \(folder.wayBack)"))
                links.halt(damage.detail)
            })
        if store.health.damage == nil { try noteRights(of: &topology, in: store) }
        let inForce = TopologyInForce(topology, denied: Set(signed.inForce.denied.map(\.node)))
        let version: @Sendable () -> UInt64 = { inForce.current.version }
        let outbox = Outbox(
            node: id, incarnation: store.incarnation, permit: { inForce.permit($0, from: id, to: $1) })
        let configuration = LinkLoop.Configuration(
            node: id, topology: topology, context: context, log: log)
        do {
            try Draining.requireInService(store)
            let inbox = Inbox(
                node: id, application: application(id, inForce, outbox), sender: outbox,
                attempts: try FileAttempts(folder.attemptsFile),
                topologyVersion: version, admission: { inForce.admission(of: $0, at: id) },
                keysOffered: { trust.offered($0, $1) })
            let loop = try LinkLoop(configuration, store: store, inbox: inbox)
            links.set(loop)
            let node = FederationNode(
                id: id, folder: folder, settings: settings, inForce: inForce, inbox: inbox, tables: tables,
                store: store, outbox: outbox, links: loop, trust: trust, log: log)
            if let alarm = node.ownKeyAlarm(signed.inForce) { log(alarm) }
            // What a courier has brought was held against nothing.
            for (room, count) in store.health.damage == nil ? try node.mailForNobody(under: topology) : [] {
                log(
                    LinkLoop.Event(
                        code: "mail-for-nobody", peer: room.destination,
                        detail: "\(count) envelopes wait (\(room.lane)), and the topology has no way to it"))
            }
            return node
        } catch {
            store.close()
            throw error
        }
    }

    /// A node that has run has a store: where there is none, its disk is not there.
    private static func requireStore(of folder: NodeFolder) throws(StoreError) {
        let files = ["data.mdb", "daemon.lock"].map { folder.storeFolder + "/" + $0 }
        guard Files.exists(folder.attemptsFile), !files.contains(where: Files.exists) else { return }
        throw StoreError(
            .unusable, "\(folder.storeFolder) is empty, and this node has run before",
            remedy: "mount its disk, or put a backup back; to begin with nothing, remove \(folder.attemptsFile)")
    }

    package func start() {
        links.start()
        isControlOnly.changeQuietly { $0 = links.ask { $0.isControlOnly } }
        if let notice = controlOnlyNotice { log(notice) }
        trust.start(
            TrustKeeper.Outside(
                send: { [links] peer, bytes in links.say(bytes, to: peer) },
                apply: { [unowned self] state in putInForce(state) },
                publishKeys: { [unowned self] state, now in try offerKeys(state, now) },
                goesOn: { [unowned self] in goOn() }, log: log))
        links.follow(metadata: trust)
    }

    /// Says good-bye to peers, then commits what waits. Nothing accepted is left behind in memory.
    package func stop() {
        trust.stop()
        links.stop()
        store.close()
    }

    package static func topology(_ path: String) throws(FederationError) -> Topology {
        try topology(try Files.read(path, maximum: 16 << 20), from: path)
    }

    static func topology(_ bytes: [UInt8], from path: String) throws(FederationError) -> Topology {
        do throws(TopologyFaults) { return try Topology.read(bytes) } catch {
            let first = error.faults.first.map { "\(path):\($0.line):\($0.column): \($0.message)" } ?? path
            throw FederationError(
                "topology-invalid", "faults: \(error.faults.count), the first: \(first)",
                remedy: "ekc topology check FILE lists them all")
        }
    }

    /// The node has its place in the topology, and may run.
    package static func require(_ id: NodeID, _ settings: NodeSettings, in topology: Topology) throws(FederationError) {
        guard let entry = topology.node(id) else {
            throw FederationError(
                "not-in-topology", "node \(id) is not in the topology", remedy: "add it to nodes, or mend node.json")
        }
        guard entry.segment == settings.segment, topology.federation == settings.federation else {
            throw FederationError(
                "wrong-segment",
                "node.json says \(settings.segment).\(settings.federation), "
                    + "the topology \(entry.segment).\(topology.federation)",
                remedy: "make the two agree; the certificate is bound to its segment")
        }
        guard entry.state == .live else {
            throw FederationError(
                "node-not-live", "node \(id) is \(entry.state.rawValue) in the topology", remedy: "make it live first")
        }
    }

    /// The store is opened before the loop that follows it exists.
    private final class LateLinks: Sendable {
        private let loop = Monitor<LinkLoop?>(nil)
        func set(_ loop: LinkLoop) { self.loop.changeQuietly { $0 = loop } }
        func halt(_ why: String) { loop.changeQuietly { $0 }?.halt(why: why) }
        func tell(_ report: CommitReport) { loop.changeQuietly { $0 }?.committed(report) }
    }
}
