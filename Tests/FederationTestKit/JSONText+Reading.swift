package import Federation

/// Looking into JSON that a test has read.
extension JSONText.Node {
    package var members: [JSONText.Member] { if case .object(let members) = value { members } else { [] } }
    package var items: [JSONText.Node] { if case .array(let nodes) = value { nodes } else { [] } }
    package var text: String? { if case .string(let text) = value { text } else { nil } }
    package var names: Set<String> { Set(members.map(\.name)) }
    package var texts: [String] { items.compactMap(\.text) }
    package subscript(_ name: String) -> JSONText.Node? { members.first { $0.name == name }?.node }

    /// Of a schema: its properties; those that are not required with a question mark.
    package var fields: Set<String> {
        let required = self["required"]?.texts ?? []
        return Set((self["properties"]?.names ?? []).map { required.contains($0) ? $0 : $0 + "?" })
    }
}
