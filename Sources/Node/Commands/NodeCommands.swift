import Federation
import Glibc

/// Clients of a running node's admin socket.
enum NodeCommands {
    static func client(_ directory: String) -> HTTPClient { HTTPClient(socket: NodeFolder(directory).adminSocket) }

    static func status(_ command: ParsedCommand) throws -> Int32 {
        let status = try client(command.operands[0]).exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
        var lines = [
            "\(status.node) (\(status.segment).\(status.federation)), topology \(status.topologyVersion)",
            "state: \(status.state), incarnation \(status.incarnation)",
            "confinement: \(status.confinement)",
        ]
        if status.state == "node-rewound" {
            lines.append("this store is behind what a peer has seen; stop the node, find out why, then:")
            lines.append("  ekc node init \(command.operands[0]) --new-incarnation --reason \"…\"")
        }
        if let since = status.drainingSince {
            lines.append("draining since \(since): it takes nothing new; ekc node drain \(command.operands[0]) --undo")
        }
        if let damage = status.damage { lines.append("the store is damaged, no work is taken: \(damage)") }
        let metadata = status.metadata
        lines.append(
            "signed metadata: root \(metadata.root), targets \(metadata.targets), timestamp \(metadata.timestamp), "
                + "verified \(Age(seconds: metadata.ageSeconds)) ago"
                + (metadata.ageSeconds * 1000 >= Freshness.hardMilliseconds
                    ? ": nothing new is admitted any more"
                    : metadata.ageSeconds * 1000 >= Freshness.warnMilliseconds ? ": stale" : ""))
        lines += metadata.denied.map { "denied: \($0)" }
        lines += metadata.faults.sorted { $0.key < $1.key }.map { "keys of \($0.key) are refused: \($0.value)" }
        if let awaited = status.controlOnlyUntil {
            lines.append(
                "put back: its messages wait until \(awaited.count) of \(awaited.neighbours.joined(separator: ", ")) have no "
                    + "newer signed metadata; ekc link list \(command.operands[0])")
        }
        lines += status.links.map { "link \($0.peer): \($0.state)" }
        lines += status.outbox.sorted { $0.key < $1.key }.map { "outbox for \($0.key): \($0.value)" }
        if status.quarantined > 0 {
            lines.append("held here: \(status.quarantined); ekc quarantine list \(command.operands[0])")
        }
        if status.heldElsewhere > 0 { lines.append("held by other nodes: \(status.heldElsewhere)") }
        if status.knowledge > 0 { lines.append("knowledge through entry \(status.knowledge)") }
        if status.missing > 0 { lines.append("being got back from peers: \(status.missing)") }
        if status.lost > 0 {
            lines.append("messages that nobody has any more: \(status.lost); see gap-lost in the log")
        }
        lines += status.unbalanced.sorted { $0.key < $1.key }.map { "counts do not agree: \($0.key): \($0.value)" }
        if status.probes > 0 { lines.append("probes applied: \(status.probes)") }
        Output.print(command, status, lines.joined(separator: "\n"))
        return 0
    }

    static func probe(_ command: ParsedCommand) throws -> Int32 {
        let destination = command.operands[1]
        let order = AdminAPI.ProbeOrder(
            destination: destination, count: try command.number("count", 1...1_000_000, otherwise: 1),
            size: try command.number("size", 1...200_000, otherwise: 100),
            group: try command.number("group", 1...256, otherwise: 1))
        let client = client(command.operands[0])
        let accepted = try client.exchange(
            AdminAPI.ProbesAccepted.self, "POST", "/api/v1/probes", body: Output.encode(order))
        if command.flags.contains("no-wait") {
            Output.print(command, accepted, "accepted \(accepted.accepted)")
            return 0
        }
        let deadline = Clocks.monotonicMicroseconds() + 60_000_000
        while Clocks.monotonicMicroseconds() < deadline {
            let state = try client.exchange(AdminAPI.ProbesApplied.self, "GET", "/api/v1/probes/\(destination)")
            if state.applied >= accepted.through {
                Output.print(command, accepted, "accepted \(accepted.accepted), applied by \(destination)")
                return 0
            }
            usleep(20_000)
        }
        throw FederationError(
            "not-applied",
            "\(destination) has not applied all within a minute; nothing is lost, they wait in the outbox",
            remedy: "ekc node status shows the links")
    }
}
