/// Figures in Prometheus' text exposition format 0.0.4.
struct Metrics {
    enum Kind: String { case gauge, counter }

    private struct Sample {
        var labels: [(name: String, value: String)]
        var value: Double
    }

    private struct Family {
        var name: String
        var kind: Kind
        var help: String
        var samples: [Sample] = []
    }

    private var families: [Family] = []

    /// Begins a family; samples that follow are of it.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        families.append(Family(name: name, kind: kind, help: help))
    }

    /// One value of the family that was begun last.
    mutating func sample(_ value: Double, _ labels: KeyValuePairs<String, String> = [:]) {
        families[families.count - 1].samples.append(
            Sample(labels: labels.map { (name: $0.key, value: $0.value) }, value: value))
    }

    /// Families without a value are left out: what is not known is not nought.
    var text: String {
        families.filter { !$0.samples.isEmpty }.map { family in
            ([
                "# HELP \(family.name) \(Metrics.escaped(family.help))",
                "# TYPE \(family.name) \(family.kind.rawValue)",
            ]
                + family.samples.map { sample in
                    let labels = sample.labels.map { "\($0.name)=\"\(Metrics.escaped($0.value, quotes: true))\"" }
                    return family.name + (labels.isEmpty ? "" : "{" + labels.joined(separator: ",") + "}")
                        + " " + Metrics.number(sample.value)
                }).joined(separator: "\n") + "\n"
        }.joined()
    }

    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        let text = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        return quotes ? text.replacing("\"", with: "\\\"") : text
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }
}
