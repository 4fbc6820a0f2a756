import Federation

/// `node check`: what a node needs, looked at from its machine.
enum CheckCommands {
    struct Report: Codable {
        var node: String
        var isRunning: Bool
        var steps: [CheckStep]

        /// Its process is there, takes a question, and does not answer.
        var hangs: Bool { steps.contains { $0.name == "node" && $0.outcome == .failed } }
    }

    static func check(_ command: ParsedCommand) throws -> Int32 {
        let report = NodeCheck(NodeFolder(command.operands[0])).run()
        let failed = report.steps.count { $0.outcome == .failed }
        let heading =
            "\(report.node), \(report.hangs ? "does not answer" : report.isRunning ? "running" : "not running"): "
            + (failed == 0 ? "nothing is in its way" : "\(failed) things are in its way")
        Output.print(
            command, report,
            ([heading] + CheckWords.lines(report.steps, directory: command.operands[0])).joined(separator: "\n"))
        return failed == 0 ? 0 : 1
    }
}

enum CheckWords {
    /// - Parameter directory: stands in place of `DIR` where the remedy is for here.
    static func lines(_ steps: [CheckStep], directory: String) -> [String] {
        let names = steps.map { $0.name + ($0.peer.map { " " + $0 } ?? "") }
        let width = names.map(\.count).max() ?? 0
        return zip(steps, names).flatMap { step, name in
            let line =
                "  \(step.outcome.rawValue.padding(8))  \(name.padding(width))  \(Plain.text(step.detail))"
            guard step.outcome != .good, let remedy = step.remedy else { return [line] }
            let isElsewhere = remedy.contains("at \(step.peer ?? "-")")
            return [line, "    remedy: " + (isElsewhere ? remedy : remedy.replacing("DIR", with: directory))]
        }
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
