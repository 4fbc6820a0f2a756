import FederationTestKit

@testable import Federation

/// What an administrator has put aside: a copy that was never run.
struct SimulatedBackup {
    var tables: MemoryEngine.Tables
    /// Of the message that had been accepted last, anywhere.
    var serial: Int
}

/// Regions are backed up and, when their disk is gone, put back as a new life.
extension World {
    func backUp(_ node: SimulatedNode) {
        guard node.isUp else { return }
        met("backup")
        let backup = SimulatedBackup(tables: node.engine.committed, serial: serial)
        let name = node.name
        let streams = try? Store.read(MemoryEngine(backup.tables)) { transaction throws(StoreError) in
            try Sessions.streams(in: transaction)
        }
        // It is there before it is noted: the process may die between.
        node.backup = backup
        let job = WriteJob(.essential) { transaction in
            try BackupMark.note(streams ?? [], of: name, in: transaction)
        } completion: { _ in
        }
        enqueue(node, job)
    }

    /// The disk is gone. What was accepted here since the backup is gone with it, wherever it was not delivered.
    func putBack(_ node: SimulatedNode) {
        guard node.isUp, let backup = node.backup else { return }
        crash(node.name, "put back from a backup")
        hasBeenPutBack.insert(node.name)
        node.isReborn = true
        forget(node.name, since: backup.serial)
        node.engine = MemoryEngine(backup.tables)
        node.synced = nil
        do {
            _ = try NewIncarnation.open(
                node.engine, node: node.name, as: Incarnation(bits: randomID()), reason: "the disk is gone", actor: 0,
                now: Timestamp(milliseconds: now), isBackup: true)
        } catch { violations.append("\(node.name) cannot be put back: \(error)") }
    }

    /// Neighbours have nothing newer of the signed metadata, when they have said so.
    func agree(_ node: SimulatedNode) {
        let life = node.life
        after(Int64(draw(100..<4000))) { [unowned self] in
            guard node.isUp, node.life == life else { return }
            met("restored, for control only")
            enqueue(
                node,
                WriteJob(.essential) { transaction in
                    try transaction.setNumber(MetaKey.controlOnly, 0)
                } completion: { [unowned self] result in
                    guard case .success = result, node.life == life else { return }
                    act(node, node.exchange?.metadataAgreed() ?? [])
                })
        }
    }

    /// As a node does when it starts.
    func askForGaps(_ node: SimulatedNode) {
        guard node.isUp, let inbox = node.inbox else { return }
        enqueue(
            node,
            WriteJob(.essential) { transaction in
                try inbox.askAgain(in: transaction)
            } completion: { _ in
            })
    }

    /// Positions that somebody still waits for.
    func missing() -> UInt64 {
        nodes.values.reduce(0) { sum, node in
            let rows = try? Store.read(node.engine) { transaction throws(StoreError) in
                try Sessions.streams(in: transaction)
            }
            return sum + (rows ?? []).reduce(0) { $0 + $1.row.missing }
        }
    }
}
