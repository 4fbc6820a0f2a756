import Federation

/// What a new topology would change, before anybody signs it.
enum TopologyDiffCommand {
    struct Report: Encodable {
        var live: UInt64
        var next: UInt64
        var findings: [TopologyDiff.Finding]
    }

    /// The day, in UTC, by which homes are dated.
    static var today: String { String(Clocks.wall().rfc3339.prefix(10)) }

    static func run(_ command: ParsedCommand) throws -> Int32 {
        let (place, file) = (command.operands[0], command.operands[1])
        let live = try live(place)
        let bytes = try Files.read(file, maximum: 16 << 20)
        let next: Topology
        do throws(TopologyFaults) { next = try Topology.read(bytes) } catch {
            var check = command
            check.operands = [file]
            return try TopologyCommands.check(check)
        }
        let isRunning = Files.exists(NodeFolder(place).adminSocket)
        let isAsked = command.flags.contains("dry-run")
        guard isRunning || !isAsked else {
            throw FederationError(
                "unreachable", "\(place) is no node that runs",
                remedy: "name the folder of the centre's node, which runs")
        }
        let findings = TopologyPreflight(
            diff: TopologyDiff(from: live, to: next, today: today),
            underWay: isRunning ? try underWay(place, bytes) : nil,
            status: isAsked ? try FederationCommands.ask(NodeCommands.client(place)) : nil
        ).findings
        let lines = findings.map { ($0.isLoss ? "! " : "  ") + $0.text }
        let head = "topology \(live.version) → \(next.version): "
        Output.print(
            command, Report(live: live.version, next: next.version, findings: findings),
            lines.isEmpty
                ? head + "nothing changes"
                : ([head + Words.count(lines.count, "thing")] + lines).joined(separator: "\n"))
        return findings.contains(where: \.isLoss) ? 1 : 0
    }

    static func read(_ bytes: [UInt8]) throws(FederationError) -> Topology {
        do throws(TopologyFaults) { return try Topology.read(bytes) } catch {
            throw FederationError(
                "topology-invalid", error.faults.first.map { "line \($0.line): \($0.message)" } ?? "it has faults",
                remedy: "ekc topology check FILE lists them all")
        }
    }

    private static func live(_ place: String) throws(FederationError) -> Topology {
        let trust = ProposalCommands.trust(place)
        return trust.isThere ? try trust.load().inForce.topology : try FederationNode.topology(place)
    }

    /// What the node of a folder would meet; it runs.
    static func underWay(_ place: String, _ topology: [UInt8]) throws(FederationError) -> AdminAPI.UnderWay {
        try NodeCommands.client(place).exchange(
            AdminAPI.UnderWay.self, "POST", "/api/v1/topology/diff",
            body: Output.encode(AdminAPI.NextTopology(topology: String(decoding: topology, as: UTF8.self))))
    }
}
