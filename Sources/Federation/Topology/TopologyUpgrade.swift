/// A topology file of format 1, which knew no rights, as format 2: the text stays, and `rights` come behind it for the
/// messages that the software has sent until now.
package enum TopologyUpgrade {
    /// What the contact centre needs between its segments: hand-overs from the centre outwards and between homes, answers and
    /// the like back, knowledge to all.
    package static func rights(of segments: [String]) -> String {
        let others = segments.filter { $0 != "centre" }
        func list(_ names: [String]) -> String { "[" + names.map { "\"\($0)\"" }.joined(separator: ", ") + "]" }
        func row(_ from: [String], _ to: [String], _ kinds: [MessageKind]) -> String {
            #"    {"from": \#(list(from)), "to": \#(list(to)), "kinds": \#(list(kinds.map(\.description)))}"#
        }
        var rows: [String] = []
        let centre = segments.filter { $0 == "centre" }
        if !centre.isEmpty {
            rows.append(row(centre, centre, [.topology, .entry, .probe]))
            if !others.isEmpty {
                rows.append(row(centre, others, [.escalation, .status, .entry, .probe]))
                rows.append(row(others, centre, [.answer, .returned, .status, .topology, .probe]))
            }
        }
        if !others.isEmpty { rows.append(row(others, others, [.escalation, .probe])) }
        return "\"rights\": [\n" + rows.joined(separator: ",\n") + "\n  ]"
    }

    /// - Throws: `topology-invalid` when it is no text of format 1.
    package static func upgraded(_ bytes: [UInt8]) throws(FederationError) -> [UInt8] {
        func invalid(_ why: String) -> FederationError {
            FederationError("topology-invalid", why, remedy: "ekc topology check FILE lists its faults")
        }
        let root: JSONText.Node
        do throws(JSONText.Fault) {
            root = try JSONText.read(bytes, lenient: true, maximum: TopologyDraft.maximumBytes)
        } catch { throw invalid("byte \(error.offset): \(error.message)") }
        guard case .object(let members) = root.value,
            let format = members.first(where: { $0.name == "format" }), case .integer(1) = format.node.value,
            !members.contains(where: { $0.name == "rights" }), let last = members.last
        else { throw invalid("it is not of format 1") }
        var segments: [String] = []
        if case .array(let entries)? = members.first(where: { $0.name == "segments" })?.node.value {
            for case .object(let fields) in entries.map(\.value) {
                if case .string(let id)? = fields.first(where: { $0.name == "id" })?.node.value { segments.append(id) }
            }
        }
        var text = bytes
        text[format.node.offset] = UInt8(ascii: "2")
        // In the place before the last field, which is there: nothing has to be known of commas and comments behind it.
        text.insert(contentsOf: (rights(of: segments) + ",\n  ").utf8, at: last.offset)
        return text
    }
}
