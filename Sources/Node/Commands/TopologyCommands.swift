import ContactCentre
import Federation

/// What central operations do with topology files.
enum TopologyCommands {
    private struct Fault: Encodable {
        var file: String
        var line: Int
        var column: Int
        var code: String
        var message: String
        var remedy: String
    }

    private struct Report: Encodable {
        var faults: [Fault]
    }

    static func check(_ command: ParsedCommand) throws -> Int32 {
        let file = command.operands[0]
        let bytes = try Files.read(file, maximum: 16 << 20)
        do throws(TopologyFaults) {
            let topology = try Topology.read(bytes)
            Output.print(
                command, Report(faults: []),
                "\(file): good: version \(topology.version), \(topology.nodes.count) nodes, \(topology.links.count) links, "
                    + "\(topology.tenancies.count) tenancies")
            return 0
        } catch {
            let faults = error.faults.map {
                Fault(
                    file: file, line: $0.line, column: $0.column, code: $0.code, message: $0.message, remedy: $0.remedy)
            }
            let lines = faults.map { "\(file):\($0.line):\($0.column): \($0.code): \($0.message); \($0.remedy)" }
            Output.print(command, Report(faults: faults), lines.joined(separator: "\n"))
            return 1
        }
    }

    private struct Upgraded: Encodable {
        var wrote: String
    }

    static func upgrade(_ command: ParsedCommand) throws -> Int32 {
        let (file, out) = (command.operands[0], command.operands[1])
        guard !Files.exists(out) else {
            throw FederationError("file-exists", "\(out) is there already", remedy: "name a new file")
        }
        let text = try TopologyUpgrade.upgraded(try Files.read(file, maximum: 16 << 20))
        try Files.write(text, to: out)
        Output.print(
            command, Upgraded(wrote: out),
            "\(out): format 2, with rights for what format 1 allowed\nnext: ekc topology check \(out)")
        return 0
    }

    private struct Routes: Encodable {
        var routes: [Row]
    }

    struct Row: Encodable {
        var organisation: String
        var subject: String
        var reason: String
        var tenancy: String
        var node: String
        var state: String
        var explanation: String
    }

    /// Where each appeal would go: a row for each organisation that takes part, subject and reason.
    static func routes(_ command: ParsedCommand) throws -> Int32 {
        let topology = try FederationNode.topology(command.operands[0])
        let date = command.values["on"] ?? Calendar8601.date(Clocks.wall())
        guard EntryReader.isDate(date) else {
            throw UsageError(message: "--on \(date) is no date", remedy: "use YYYY-MM-DD")
        }
        let (rows, missing) = rows(topology, on: date)
        guard missing == 0 else {
            throw FederationError(
                "no-home", "on \(date) \(missing) of the cases have no home", remedy: "name a later day with --on")
        }
        let lines = rows.map { row in
            [row.organisation, row.subject, row.reason, row.tenancy, row.node, row.state, row.explanation]
                .joined(separator: "\t")
        }
        Output.print(command, Routes(routes: rows), lines.joined(separator: "\n"))
        return 0
    }

    /// - Returns: and how many cases have no home. Of whom takes no part on that day nothing is asked.
    static func rows(_ topology: Topology, on date: String) -> (rows: [Row], missing: Int) {
        let router = Router(topology)
        var (rows, missing): ([Row], Int) = ([], 0)
        for organisation in topology.organisations {
            for subject in topology.subjects {
                guard
                    topology.takesPart(organisation, on: date)
                        || topology.destination(of: organisation, subject, isSpecial: false, on: date) != nil
                else { continue }
                for reason in EscalationReason.allCases {
                    guard
                        let route = router.route(
                            organisation: organisation, subject: subject, reason: reason, on: date)
                    else {
                        missing += 1
                        continue
                    }
                    rows.append(
                        Row(
                            organisation: organisation, subject: subject, reason: reason.rawValue,
                            tenancy: route.tenancy.id, node: route.node.id.text, state: route.node.state.rawValue,
                            explanation: route.explanation))
                }
            }
        }
        return (rows, missing)
    }
}
