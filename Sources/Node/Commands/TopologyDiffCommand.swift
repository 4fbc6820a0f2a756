import Federation

/// What a new topology would change, before anybody signs it.
enum TopologyDiffCommand {
    struct Report: Encodable {
        var live: UInt64
        var next: UInt64
        var findings: [TopologyDiff.Finding]
    }

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
        let diff = TopologyDiff(from: live, to: next)
        var findings = diff.findings
        let isRunning = Files.exists(NodeFolder(place).adminSocket)
        let isAsked = command.flags.contains("dry-run")
        guard isRunning || !isAsked else {
            throw FederationError(
                "unreachable", "\(place) is no node that runs",
                remedy: "name the folder of the centre's node, which runs")
        }
        if isRunning { findings = try underWay(place, bytes) + findings }
        if isAsked { findings += answers(diff, try FederationCommands.ask(NodeCommands.client(place))) }
        findings = findings.filter(\.isLoss) + findings.filter { !$0.isLoss }
        let lines = findings.map { ($0.isLoss ? "! " : "  ") + $0.text }
        let head = "topology \(live.version) → \(next.version): "
        Output.print(
            command, Report(live: live.version, next: next.version, findings: findings),
            lines.isEmpty
                ? head + "nothing changes" : ([head + "\(lines.count) things"] + lines).joined(separator: "\n"))
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

    /// What lies at the node that is asked.
    private static func underWay(_ place: String, _ bytes: [UInt8]) throws -> [TopologyDiff.Finding] {
        let found = try NodeCommands.client(place).exchange(
            AdminAPI.UnderWay.self, "POST", "/api/v1/topology/diff",
            body: Output.encode(AdminAPI.NextTopology(topology: String(decoding: bytes, as: UTF8.self))))
        let mail = found.mail.map {
            TopologyDiff.Finding(
                code: "mail-for-nobody", isLoss: true,
                text:
                    "\($0.count) messages (\($0.lane)) wait at \(found.node) for \($0.destination), which could not be reached"
            )
        }
        let appeals = found.appeals.sorted { $0.key < $1.key }.map {
            TopologyDiff.Finding(
                code: "appeals-stranded", isLoss: true,
                text: "\($0.value) open appeals of \($0.key) would be left with nobody")
        }
        let cannot = found.cannotVerify.sorted { $0.key < $1.key }.map {
            TopologyDiff.Finding(code: "cannot-verify", isLoss: false, text: "\($0.key) will not have it (\($0.value))")
        }
        return mail + appeals + cannot
    }

    /// What every node has last said of itself; nobody is waited for.
    private static func answers(_ diff: TopologyDiff, _ status: FederationStatus) -> [TopologyDiff.Finding] {
        var findings: [TopologyDiff.Finding] = []
        let live = status.nodes.filter { $0.link != nil }
        let dark = live.filter { $0.darkSeconds != nil || $0.heard == nil }
        for node in dark {
            let since = node.darkSeconds.map { " for \(Age(seconds: $0))" } ?? ""
            findings.append(
                TopologyDiff.Finding(
                    code: "node-dark", isLoss: false,
                    text: "\(node.node) is dark\(since): it will have it when it is back; what waits there is not known"
                ))
        }
        for node in live {
            guard let id = NodeID(node.node), diff.cutOff.contains(id), let outbox = node.outbox, outbox.waiting > 0
            else {
                continue
            }
            findings.append(
                TopologyDiff.Finding(
                    code: "mail-cut-off", isLoss: true,
                    text:
                        "\(outbox.waiting) messages wait at \(node.node) for others, which it could not reach any more"
                        + (node.heardSeconds.map { " (said \(Age(seconds: $0)) ago)" } ?? "")))
        }
        let answered = live.count - dark.count
        findings.append(
            TopologyDiff.Finding(
                code: "answered", isLoss: false, text: "\(answered) of \(live.count) nodes have said how they are"))
        return findings
    }
}
