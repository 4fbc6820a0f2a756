import Federation

/// The status of a federation as text: a line a node, columns of equal width, nothing that a dumb terminal does not know.
enum StatusScreen {
    private static let titles = [
        "NODE", "STATE", "LINK", "SKEW", "OUTBOX", "FOR IT", "HELD", "TOPOLOGY", "KNOWLEDGE", "KEY DAYS", "HEARD",
        "QUEUES",
    ]

    static func table(_ status: FederationStatus) -> String {
        let rows = [titles] + status.nodes.map(row)
        let widths = titles.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            row.enumerated().map { column, text in
                column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.count + 2)
            }.joined()
        }
        return ([heading(status)] + lines).joined(separator: "\n")
    }

    /// Only nodes with something wrong: what, and what helps.
    /// - Parameter directory: stands in place of `DIR`.
    static func problems(_ status: FederationStatus, directory: String) -> String {
        let wrong = status.nodes.filter { !$0.problems.isEmpty }
        guard !wrong.isEmpty else { return "nothing is wrong: \(status.nodes.count) nodes" }
        return wrong.map { node in
            node.problems.enumerated().map { index, problem in
                let name = index == 0 ? node.node : String(repeating: " ", count: node.node.count)
                let isElsewhere = problem.remedy.contains("at the node")
                let remedy = isElsewhere ? problem.remedy : problem.remedy.replacing("DIR", with: directory)
                let urgent = problem.isUrgent ? "URGENT " : ""
                return "\(name)  \(urgent)\(problem.code.rawValue): \(Plain.text(problem.what))\n    remedy: \(remedy)"
            }.joined(separator: "\n")
        }.joined(separator: "\n")
    }

    private static func heading(_ status: FederationStatus) -> String {
        let wrong = status.nodes.count { !$0.problems.isEmpty }
        return "\(status.federation) at \(status.at): \(status.nodes.count) nodes, with problems \(wrong); "
            + "topology \(status.topologyVersion), knowledge \(status.knowledge)"
    }

    private static func row(_ node: FederationStatus.Node) -> [String] {
        var link = node.link ?? "-"
        if let dark = node.darkSeconds { link += " \(Age(seconds: dark))" }
        if let via = node.via { link += " via \(via)" }
        let held = node.quarantined.map { here in
            here + (node.heldElsewhere ?? 0) == 0 ? "0" : "\(here)+\(node.heldElsewhere ?? 0)"
        }
        let queues = node.queues.filter { $0.waiting > 0 }.map { queue in
            "\(queue.tenancy) \(queue.waiting)" + (queue.oldestSeconds.map { " (\(Age(seconds: $0)))" } ?? "")
                + (queue.overdue > 0 ? " overdue \(queue.overdue)" : "")
        }
        return [
            node.node, node.state, link, node.skewMilliseconds.map(skew) ?? "-", mail(node.outbox),
            mail(node.mailForIt),
            held ?? "-", node.topologyVersion.map { "\($0)" } ?? "-", node.knowledge.map { "\($0)" } ?? "-",
            node.keys.isEmpty ? "-" : node.keys.map { "\($0.days)" }.joined(separator: "/"),
            node.heardSeconds.map { "\(Age(seconds: $0))" } ?? "never",
            node.queues.isEmpty ? "-" : queues.isEmpty ? "0" : queues.joined(separator: ", "),
        ]
    }

    private static func mail(_ mail: FederationStatus.Mail?) -> String {
        guard let mail else { return "-" }
        return "\(mail.waiting)" + (mail.oldestSeconds.map { " (\(Age(seconds: $0)))" } ?? "")
    }

    private static func skew(_ milliseconds: Int64) -> String {
        abs(milliseconds) < 10_000 ? "\(milliseconds) ms" : "\(milliseconds / 1000) s"
    }
}

/// Text that others have a part in, for a terminal: what would steer it is left out.
enum Plain {
    static func text(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.filter { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }))
    }
}
