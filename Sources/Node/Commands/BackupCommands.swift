import ContactCentre
import Federation
import Glibc

/// Copies of a node's store, and the way back from one.
enum BackupCommands {
    static func create(_ command: ParsedCommand) throws -> Int32 {
        let client = NodeCommands.client(command.operands[0])
        let order = AdminAPI.BackupOrder(folder: absolute(command.operands[1]))
        var state = try client.exchange(
            BackupDesk.State.self, "POST", "/api/v1/backups", body: Output.encode(order))
        var told = 0
        while state.state == "running" {
            usleep(200_000)
            state = try client.exchange(BackupDesk.State.self, "GET", "/api/v1/backups")
            if !command.json, state.bytes - told > 256 << 20 {
                told = state.bytes
                Output.error("\(told >> 20) MiB")
            }
        }
        guard let manifest = state.manifest, state.folder == order.folder else {
            throw FederationError(
                state.code ?? "backup-failed", state.detail ?? "the node says nothing of it",
                remedy: state.remedy ?? "see the node's log")
        }
        let rows = manifest.tables.values.reduce(0, +)
        Output.print(
            command, manifest,
            "\(order.folder): \(manifest.bytes >> 10) KiB, \(rows) rows read through\n"
                + "it is not sealed: keep it where the store itself may be kept")
        return 0
    }

    private struct Restored: Encodable {
        var node: String
        /// Where the store is that was there.
        var replaced: String?
    }

    static func restore(_ command: ParsedCommand) throws -> Int32 {
        let place = NodeFolder(command.operands[0])
        let settings = try place.settings()
        guard let node = NodeID(settings.node) else {
            throw FederationError("bad-node-name", "node.json names \(settings.node)", remedy: "use [a-z0-9-]{1,32}")
        }
        let aside = try Backup(command.operands[1]).restore(
            to: place, node: node, tables: ContactCentreTables.all, reason: try command.reason(),
            actor: getuid(), now: Clocks.wall(), progress: { if !command.json { Output.error($0) } })
        let old = aside.map { "the store that was there is \($0)\n" } ?? ""
        Output.print(
            command, Restored(node: settings.node, replaced: aside),
            "\(settings.node) is put back, as a new life of its store\n\(old)next: ekc node run \(place.path); it gets from "
                + "its peers what it has missed (ekc node status)")
        return 0
    }

    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
        defer { free(here) }
        return String(cString: here) + "/" + path
    }
}
