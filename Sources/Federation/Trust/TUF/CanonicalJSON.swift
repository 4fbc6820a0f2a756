/// Canonical JSON as TUF signs it (OLPC): no space, members by the code points of their names, in strings nothing escaped
/// but the quote and the backslash, whole numbers only. The signature covers this form of exactly the tree that is used.
package enum CanonicalJSON {
    package static func encode(_ value: JSONText.Value) -> [UInt8] {
        var bytes: [UInt8] = []
        append(value, to: &bytes)
        return bytes
    }

    private static func append(_ value: JSONText.Value, to bytes: inout [UInt8]) {
        switch value {
        case .null: bytes += "null".utf8
        case .bool(let isTrue): bytes += (isTrue ? "true" : "false").utf8
        case .integer(let number): bytes += String(number).utf8
        case .string(let text): append(text, to: &bytes)
        case .array(let nodes):
            bytes.append(UInt8(ascii: "["))
            for (index, node) in nodes.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                append(node.value, to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            // By bytes, not as Swift compares strings: UTF-8 keeps the order of code points.
            let sorted = members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            for (index, member) in sorted.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                append(member.name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                append(member.node.value, to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
            bytes.append(byte)
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// Making trees by hand, for what is signed here.
extension JSONText.Value {
    package static func table(_ members: [(String, JSONText.Value)]) -> JSONText.Value {
        .object(
            members.map { name, value in
                JSONText.Member(name: name, offset: 0, node: JSONText.Node(value: value, offset: 0))
            })
    }

    package static func list(_ values: [JSONText.Value]) -> JSONText.Value {
        .array(values.map { JSONText.Node(value: $0, offset: 0) })
    }
}
