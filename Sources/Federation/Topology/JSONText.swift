/// Our one strict reader for topology and everything signed: RFC 8259, with a place on every value. Repeated keys,
/// fractions, exponents, integers beyond 2^53, invalid UTF-8 and depth over 32 are refused. Topology files may hold
/// `//` comments and trailing commas; signed texts may not.
package struct JSONText: Sendable {
    /// A value and the byte at which it begins.
    package struct Node: Sendable {
        package var value: Value
        package var offset: Int

        /// Where the first null stands, in it or in what it holds.
        package var firstNull: Int? {
            switch value {
            case .null: offset
            case .bool, .integer, .string: nil
            case .array(let nodes): nodes.lazy.compactMap(\.firstNull).first
            case .object(let members): members.lazy.compactMap(\.node.firstNull).first
            }
        }
    }

    package indirect enum Value: Sendable {
        case null
        case bool(Bool)
        case integer(Int64)
        case string(String)
        case array([Node])
        case object([Member])
    }

    package struct Member: Sendable {
        package var name: String
        package var offset: Int
        package var node: Node
    }

    /// Where the text breaks a rule of the format.
    package struct Fault: Error, Sendable, Hashable {
        package var offset: Int
        package var message: String

        package init(offset: Int, message: String) {
            self.offset = offset
            self.message = message
        }
    }

    private let bytes: [UInt8]
    private let lenient: Bool
    private var position = 0
    private static let maximumDepth = 32

    /// - Parameters:
    ///   - lenient: comments and trailing commas are allowed.
    ///   - maximum: bytes.
    package static func read(_ bytes: [UInt8], lenient: Bool, maximum: Int) throws(Fault) -> Node {
        guard bytes.count <= maximum else { throw Fault(offset: 0, message: "longer than \(maximum) bytes") }
        var reader = JSONText(bytes: bytes, lenient: lenient)
        try reader.skip()
        let node = try reader.value(depth: 0)
        try reader.skip()
        guard reader.position == bytes.count else { throw reader.fault("the end of the text was expected") }
        return node
    }

    private init(bytes: [UInt8], lenient: Bool) {
        self.bytes = bytes
        self.lenient = lenient
    }

    /// Line and column, from 1, of a byte; columns count bytes.
    package static func place(of offset: Int, in bytes: [UInt8]) -> (line: Int, column: Int) {
        var line = 1
        var start = 0
        for index in 0..<min(offset, bytes.count) where bytes[index] == 0x0A {
            line += 1
            start = index + 1
        }
        return (line, offset - start + 1)
    }

    private func fault(_ message: String, at offset: Int? = nil) -> Fault {
        Fault(offset: offset ?? position, message: message)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skip() throws(Fault) {
        while let byte = current {
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            case UInt8(ascii: "/"):
                guard lenient, position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "/") else {
                    throw fault("a value was expected, not '/'")
                }
                while let inside = current, inside != 0x0A { position += 1 }
            default: return
            }
        }
    }

    private mutating func value(depth: Int) throws(Fault) -> Node {
        guard depth < JSONText.maximumDepth else { throw fault("nested deeper than \(JSONText.maximumDepth)") }
        let offset = position
        switch current {
        case UInt8(ascii: "{"): return Node(value: .object(try object(depth)), offset: offset)
        case UInt8(ascii: "["): return Node(value: .array(try array(depth)), offset: offset)
        case UInt8(ascii: "\""): return Node(value: .string(try string()), offset: offset)
        case UInt8(ascii: "t"): return Node(value: try word("true", .bool(true)), offset: offset)
        case UInt8(ascii: "f"): return Node(value: try word("false", .bool(false)), offset: offset)
        case UInt8(ascii: "n"): return Node(value: try word("null", .null), offset: offset)
        case .some(UInt8(ascii: "0")...UInt8(ascii: "9")), UInt8(ascii: "-"):
            return Node(value: .integer(try integer()), offset: offset)
        default: throw fault("a value was expected")
        }
    }

    private mutating func word(_ text: String, _ value: Value) throws(Fault) -> Value {
        guard bytes[position...].starts(with: text.utf8) else { throw fault("a value was expected") }
        position += text.utf8.count
        return value
    }

    private mutating func integer() throws(Fault) -> Int64 {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        let digits = position
        while let byte = current, (0x30...0x39).contains(byte) { position += 1 }
        guard position > digits, position - digits == 1 || bytes[digits] != 0x30 else {
            throw fault("not a number", at: start)
        }
        if let byte = current, byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e") {
            throw fault("only whole numbers without exponent", at: start)
        }
        guard let number = Int64(String(decoding: bytes[start..<position], as: UTF8.self)),
            number.magnitude <= 1 << 53
        else { throw fault("the number is beyond 2^53", at: start) }
        return number
    }

    private mutating func array(_ depth: Int) throws(Fault) -> [Node] {
        position += 1
        var nodes: [Node] = []
        while true {
            try skip()
            if current == UInt8(ascii: "]"), nodes.isEmpty || lenient { break }
            nodes.append(try value(depth: depth + 1))
            try skip()
            if current == UInt8(ascii: "]") { break }
            guard current == UInt8(ascii: ",") else { throw fault("a comma or a closing bracket was expected") }
            position += 1
        }
        position += 1
        return nodes
    }

    private mutating func object(_ depth: Int) throws(Fault) -> [Member] {
        position += 1
        var members: [Member] = []
        var places: [String: Int] = [:]
        while true {
            try skip()
            if current == UInt8(ascii: "}"), members.isEmpty || lenient { break }
            guard current == UInt8(ascii: "\"") else { throw fault("a field name in quotes was expected") }
            let offset = position
            let name = try string()
            if let first = places.updateValue(offset, forKey: name) {
                let place = JSONText.place(of: first, in: bytes)
                throw fault("field \"\(name)\" stands at \(place.line):\(place.column) already", at: offset)
            }
            try skip()
            guard current == UInt8(ascii: ":") else { throw fault("a colon was expected") }
            position += 1
            try skip()
            members.append(Member(name: name, offset: offset, node: try value(depth: depth + 1)))
            try skip()
            if current == UInt8(ascii: "}") { break }
            guard current == UInt8(ascii: ",") else { throw fault("a comma or a closing brace was expected") }
            position += 1
        }
        position += 1
        return members
    }

    private mutating func string() throws(Fault) -> String {
        let start = position
        position += 1
        var text: [UInt8] = []
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let valid = String(validating: text, as: UTF8.self) else {
                    throw fault("the text is not UTF-8", at: start)
                }
                return valid
            case UInt8(ascii: "\\"): text.append(contentsOf: try escaped())
            case 0..<0x20: throw fault("a control character stands in the text", at: position - 1)
            default: text.append(byte)
            }
        }
        throw fault("the text has no end", at: start)
    }

    private mutating func escaped() throws(Fault) -> [UInt8] {
        guard let byte = current else { throw fault("the text has no end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var scalar = UInt32(try hexadecimal())
            if (0xD800..<0xDC00).contains(scalar) {
                guard bytes[position...].starts(with: "\\u".utf8) else { throw fault("half of a surrogate pair") }
                position += 2
                let low = UInt32(try hexadecimal())
                guard (0xDC00..<0xE000).contains(low) else { throw fault("half of a surrogate pair") }
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let unicode = Unicode.Scalar(scalar) else { throw fault("half of a surrogate pair") }
            return Array(String(Character(unicode)).utf8)
        default: throw fault("an unknown escape", at: position - 1)
        }
    }

    private mutating func hexadecimal() throws(Fault) -> UInt16 {
        guard bytes.count - position >= 4,
            bytes[position..<position + 4].allSatisfy({ ($0 < 0x80) && Character(UnicodeScalar($0)).isHexDigit }),
            let number = UInt16(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
        else { throw fault("four hexadecimal digits were expected") }
        position += 4
        return number
    }
}
