import ContactCentre
import Federation

/// One backup at a time: it takes as long as the disk needs, and whoever asked looks again.
final class BackupDesk: Sendable {
    struct State: Codable {
        /// idle, running, done, failed.
        var state = "idle"
        var folder: String?
        /// Written so far.
        var bytes = 0
        var manifest: Backup.Manifest?
        var code: String?
        var detail: String?
        var remedy: String?
    }

    private let state = Monitor(State())
    private let isStopping = Monitor(false)

    var current: State { state.changeQuietly { $0 } }

    func begin(_ node: FederationNode, _ folder: String, by actor: String) throws(Problem) -> State {
        guard folder.hasPrefix("/") else {
            throw Problem(400, "bad-field", "The folder is no absolute path.", remedy: "Name it from / on.")
        }
        let isFree = state.change { state in
            guard state.state != "running" else { return false }
            state = State(state: "running", folder: folder)
            return true
        }
        guard isFree else {
            throw Problem(409, "backup-running", "A backup is being made.", remedy: "Wait until it is done.")
        }
        Threads.start("backup") { [self] in
            do {
                let manifest = try node.backUp(to: folder) { count in
                    self.state.changeQuietly { $0.bytes = count }
                    guard !self.isStopping.changeQuietly({ $0 }) else {
                        throw FederationError("stopping", "the node is being stopped", remedy: "make it again")
                    }
                }
                try node.store.write(.essential) { transaction in
                    try Events.note("backup-made", of: folder, by: actor, in: transaction)
                }
                state.change { ($0.state, $0.manifest, $0.bytes) = ("done", manifest, manifest.bytes) }
            } catch {
                let problem = Problem(telling: error)
                state.change { state in
                    (state.state, state.code) = ("failed", problem.code)
                    (state.detail, state.remedy) = (problem.detail, problem.remedy)
                }
            }
        }
        return current
    }

    /// Ends what is being made: nothing of it stays, unless it takes longer than a node may take to stop.
    func stop() {
        isStopping.change { $0 = true }
        _ = state.wait(milliseconds: 5_000, until: { $0.state != "running" }, then: { _ in })
    }
}

extension AdminAPI {
    struct BackupOrder: Codable, APIRequest {
        static let fields: Set = ["folder"]
        var folder: String
    }
}
