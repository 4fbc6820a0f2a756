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
}
