import ContactCentre
import Federation
import FoundationEssentials
import SampleData

/// Knowledge at the centre, and to read at every node.
enum KnowledgeCommands {
    static func generate(_ command: ParsedCommand) throws -> Int32 {
        let count = try command.number("count", 1...SampleKnowledge.most, otherwise: 2000)
        let sample = try SampleKnowledge()
        Output.line(String(decoding: Output.encode((0..<count).map(sample.entry)), as: UTF8.self))
        return 0
    }

    static func generateAppeals(_ command: ParsedCommand) throws -> Int32 {
        let count = try command.number("count", 1...2_000_000, otherwise: 100)
        let seed = UInt64(try command.number("seed", 0...Int.max, otherwise: 1))
        let topology: Topology
        do throws(TopologyFaults) { topology = try Topology.read(SampleData.demoTopology) } catch {
            throw FederationError("topology-invalid", "\(error.faults)", remedy: "build ekc again")
        }
        let sample = try SampleAppeals(
            seed: seed, subjects: topology.subjects, isPersonal: command.flags.contains("personal"))
        let channels: [AppealRecord.Channel] = SampleAppeals.channels
        // One a line: they may be more than anybody wants in memory.
        for number in 0..<count {
            let submission = sample.submission(number, channel: channels[number % channels.count])
            Output.line(String(decoding: Output.encode(submission), as: UTF8.self))
        }
        return 0
    }

    static func importFile(_ command: ParsedCommand) throws -> Int32 {
        let file = command.operands[1]
        let bytes = try Files.read(file, maximum: 60 << 20)
        let entries: [KnowledgeEntry]
        do throws(Problem) { entries = try JSONBody.decodeList(KnowledgeEntry.self, from: bytes) } catch {
            throw FederationError(
                error.code, "\(file): \(error.detail)",
                remedy: "write [{\"id\", \"organisation\", \"topic\", \"line\", \"question\", \"answer\"}]")
        }
        let faults = KnowledgeEntry.faults(entries)
        guard faults.isEmpty else {
            let more = faults.count > 20 ? "\n… and \(faults.count - 20) more" : ""
            throw FederationError(
                "bad-entry", "\(file): \(faults.count) faults\n" + faults.prefix(20).joined(separator: "\n") + more,
                remedy: "mend the file; nothing of it was imported")
        }
        let count = try importEntries(entries, NodeCommands.client(command.operands[0]))
        Output.print(
            command, AdminAPI.Count(count: count),
            "\(count) drafts imported\nnext: ekc knowledge publish \(command.operands[0])")
        return 0
    }

    /// In one request, and so in one commit: all of them are drafts, or none is.
    static func importEntries(_ entries: [KnowledgeEntry], _ client: HTTPClient) throws(FederationError) -> Int {
        try client.exchange(
            AdminAPI.Count.self, "POST", "/api/v1/knowledge/drafts", body: Output.encode(entries)
        ).count
    }

    static func publish(_ command: ParsedCommand) throws -> Int32 {
        let count = try publish(NodeCommands.client(command.operands[0]))
        Output.print(command, AdminAPI.Count(count: count), "\(count) entries published")
        return 0
    }

    static func publish(_ client: HTTPClient) throws(FederationError) -> Int {
        try client.exchange(AdminAPI.Count.self, "POST", "/api/v1/knowledge/publish", body: []).count
    }

    static func show(_ command: ParsedCommand) throws -> Int32 {
        let found = try NodeCommands.client(command.operands[0])
            .exchange(PublishedEntry.self, "GET", "/api/v1/knowledge/\(PercentEncoding.segment(command.operands[1]))")
        Output.print(
            command, found,
            "\(found.entry.id), revision \(found.revision), \(found.entry.organisation), line \(found.entry.line)\n"
                + "\(found.entry.question)\n\(found.entry.answer)")
        return 0
    }
}
