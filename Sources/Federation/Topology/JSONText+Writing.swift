/// Writing a tree as JSON (RFC 8259) for people and other software: indented, members in the order of the tree.
extension JSONText {
    package static func write(_ value: Value) -> [UInt8] {
        var bytes: [UInt8] = []
        append(value, depth: 0, to: &bytes)
        bytes.append(0x0A)
        return bytes
    }

    private static func append(_ value: Value, depth: Int, to bytes: inout [UInt8]) {
        switch value {
        case .null: bytes += "null".utf8
        case .bool(let isTrue): bytes += (isTrue ? "true" : "false").utf8
        case .integer(let number): bytes += String(number).utf8
        case .string(let text): append(text, to: &bytes)
        case .array(let nodes):
            append(nodes.count, "[", "]", depth: depth, to: &bytes) { index, bytes in
                append(nodes[index].value, depth: depth + 1, to: &bytes)
            }
        case .object(let members):
            append(members.count, "{", "}", depth: depth, to: &bytes) { index, bytes in
                append(members[index].name, to: &bytes)
                bytes += ": ".utf8
                append(members[index].node.value, depth: depth + 1, to: &bytes)
            }
        }
    }

    private static func append(
        _ count: Int, _ open: String, _ close: String, depth: Int, to bytes: inout [UInt8],
        _ entry: (Int, inout [UInt8]) -> Void
    ) {
        bytes += open.utf8
        for index in 0..<count {
            bytes += (index == 0 ? "\n" : ",\n").utf8
            bytes += Array(repeating: UInt8(ascii: " "), count: depth + 1)
            entry(index, &bytes)
        }
        if count > 0 { bytes += [0x0A] + Array(repeating: UInt8(ascii: " "), count: depth) }
        bytes += close.utf8
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x0A: bytes += "\\n".utf8
            case 0..<0x20: bytes += "\\u00".utf8 + Array(Hex.encode([byte]).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
