import ContactCentre
import FederationTestKit

@testable import Federation

/// A node's process and disk. The process may die at any instant; the disk keeps what was committed.
final class SimulatedNode {
    let name: NodeID
    var engine = MemoryEngine()
    /// What survives a crash, where the planted bug makes it differ from what was committed.
    var synced: MemoryEngine.Tables?
    /// An older disk, to be put back by mistake.
    var snapshot: MemoryEngine.Tables?

    /// The newest one.
    var backup: SimulatedBackup?
    var isReborn = false
    /// Beside the store: survives the process.
    var attempts = MemoryAttempts()
    let topologyVersion = Monitor<UInt64>(1)
    /// The contact centre's view of it, where there is one.
    var homes: TopologyInForce?

    // The process: gone after a crash.
    var isUp = false
    /// Counts lives of the process, so that what was under way in an earlier one is dropped.
    var life = 0
    var exchange: Exchange?
    var inbox: Inbox?
    var outbox: Outbox?
    var incarnation: Incarnation?
    var rooms: RoomLedger?
    var application: CountingApplication?
    var desk: Desk<Outbox>?
    var queue: [WriteJob] = []
    var lazy: [WriteJob] = []
    var committing = false
    var assemblers: [SessionNumber: FrameAssembler] = [:]
    var connections: [SessionNumber: Int] = [:]

    init(_ name: NodeID) { self.name = name }

    func start(
        newIncarnation: Incarnation, routes: any Routes, bug: PlantedBug?, limits: RoomLedger.Limits, now: Timestamp
    )
        throws
    {
        let incarnation = try Startup.run(on: engine, newIncarnation: newIncarnation, now: now)
        self.incarnation = incarnation
        let version: @Sendable () -> UInt64 = { [topologyVersion] in topologyVersion.changeQuietly { $0 } }
        let application = CountingApplication(bug: bug, topologyVersion: version)
        application.isReborn = isReborn
        self.application = application
        let outbox = Outbox(node: name, incarnation: incarnation, topologyVersion: version)
        self.outbox = outbox
        inbox = Inbox(
            node: name, application: application, sender: outbox, attempts: attempts, topologyVersion: version)
        rooms = try Store.read(engine) { transaction throws(StoreError) in
            try RoomLedger(limits: limits, in: transaction)
        }
        let known = try Store.read(engine) { transaction throws(StoreError) in
            (
                try Sessions.streams(in: transaction), try Sessions.peers(in: transaction),
                try transaction.number(MetaKey.controlOnly) != 0
            )
        }
        exchange = Exchange(
            node: name, incarnation: incarnation, routes: routes, rows: known.0, peers: known.1,
            isControlOnly: known.2)
        isUp = true
    }

    func kill() {
        isUp = false
        life += 1
        exchange = nil
        desk = nil
        rooms = nil
        queue = []
        lazy = []
        committing = false
        assemblers = [:]
        connections = [:]
        if let synced { engine.restore(synced) }
    }
}

/// The committed outbox, as the exchange reads it.
struct SimulatedReading: OutboxReading {
    let engine: MemoryEngine

    func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? {
        try? Store.read(engine) { transaction throws(StoreError) in
            try Outbox.soundPack(holding: position, of: ordinal, stream, in: transaction)
        }
    }
}

/// A star: every way between two others leads over the relay.
struct SimulatedRoutes: Routes {
    let relay: NodeID
    let leaves: [NodeID]
    let topologyVersion: UInt64 = 1
    var publisher: NodeID? { leaves.last }

    func nextHop(from: NodeID, to: NodeID) -> NodeID? {
        if from == to { return nil }
        return from == relay ? to : relay
    }
}
