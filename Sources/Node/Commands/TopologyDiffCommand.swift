import ContactCentre
import Federation

/// What a new topology would change, before anybody signs it.
enum TopologyDiffCommand {
    struct Report: Encodable {
        var live: UInt64
        var next: UInt64
        var findings: [TopologyDiff.Finding]
    }

    /// The day, in UTC, by which homes are dated.
    static var today: String { Calendar8601.date(Clocks.wall()) }

    /// Of the process: not that of a failure, so that a script tells the two apart.
    private static let lossCode: Int32 = 2

    static func run(_ command: ParsedCommand) throws -> Int32 {
        let (place, file) = (command.operands[0], command.operands[1])
        let live = try live(place)
        var bytes = try topology(file)
        if command.flags.contains("raise") {
            // Of a file that says no version its faults are said.
            bytes = (try? TopologyVersion.raised(bytes, to: live.version + 1)) ?? bytes
        }
        let next: Topology
        do throws(TopologyFaults) { next = try Topology.read(bytes) } catch {
            var check = command
            check.operands = [file]
            return try TopologyCommands.check(check)
        }
        let answer = UnderWay.ask(place, bytes)
        var preflight = TopologyPreflight(diff: TopologyDiff(from: live, to: next, today: today))
        if command.flags.contains("dry-run") {
            guard let answer else {
                throw FederationError(
                    "unreachable", "\(place) is no node's folder",
                    remedy: "name the folder of the centre's node, which runs")
            }
            preflight.underWay = try answer.get()
            preflight.status = try FederationCommands.ask(NodeCommands.client(place))
        } else {
            switch answer {
            case .success(let said): preflight.underWay = said
            case .failure(let error): preflight.silence = error
            case nil: break
            }
        }
        let findings = preflight.findings
        Output.print(
            command, Report(live: live.version, next: next.version, findings: findings),
            words(from: live, to: next, findings).joined(separator: "\n"))
        return findings.contains(where: \.isLoss) ? lossCode : 0
    }

    static func words(from live: Topology, to next: Topology, _ findings: [TopologyDiff.Finding]) -> [String] {
        let head = "topology \(live.version) → \(next.version): "
        guard !findings.isEmpty else { return [head + "nothing changes"] }
        return [head + Words.count(findings.count, "thing")] + findings.map { ($0.isLoss ? "! " : "  ") + $0.text }
    }

    /// Of a topology file, or of a proposal.
    private static func topology(_ file: String) throws -> [UInt8] {
        let bytes = try Files.read(file, maximum: Proposal.maximumBytes)
        guard let proposal = try? Proposal(bytes, from: file) else { return bytes }
        guard let topology = try ProposalContent(proposal).files[SignedFederation.topologyPath] else {
            throw FederationError(
                "no-topology", "\(file) is a proposal that leaves the topology as it is",
                remedy: "ekc topology status FILE says what it changes")
        }
        return topology
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
}
