import ContactCentre
import Federation

extension FederationNode {
    /// After the store was put back from a backup: once, at the next start.
    func reconcile(_ desk: Desk<Outbox>) throws {
        let isDue = try store.read { transaction throws(StoreError) in try transaction.number(MetaKey.reconcile) != 0 }
        guard isDue else { return }
        if topology.centre == id {
            let others = topology.nodes.filter { $0.state == .live && $0.id != id }.map(\.id)
            try store.write(.essential) { transaction in
                for other in others { try desk.askForEverything(other, in: transaction) }
            }
        }
        var last: [UInt8]? = []
        while let start = last {
            last = try store.write(.essential) { transaction in try desk.askWhatIsMine(after: start, in: transaction) }
        }
        try store.write(.essential) { transaction in try transaction.setNumber(MetaKey.reconcile, 0) }
    }
}
