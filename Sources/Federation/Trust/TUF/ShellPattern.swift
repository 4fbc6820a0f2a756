/// A part of a delegation's path pattern (TUF 1.0, section 4.5): `*` any characters, `?` one, `[abc]`, `[a-z]` one of these,
/// `[!abc]` one that is none of these; an open bracket is itself. By code points and without a locale, as python-tuf
/// matches: two clients that read a pattern differently would believe different roles.
package struct ShellPattern {
    private enum Part {
        case star, any
        case one(Unicode.Scalar)
        case oneOf([ClosedRange<Unicode.Scalar>], isNot: Bool)

        func takes(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .star, .any: true
            case .one(let own): own == scalar
            case .oneOf(let ranges, let isNot): ranges.contains { $0.contains(scalar) } != isNot
            }
        }

        var isStar: Bool { if case .star = self { true } else { false } }
    }

    private var parts: [Part] = []

    package init(_ text: some Collection<Unicode.Scalar>) {
        var rest = Array(text)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*": parts.append(.star)
            case "?": parts.append(.any)
            case "[": parts.append(ShellPattern.bracket(&rest) ?? .one("["))
            default: parts.append(.one(scalar))
            }
        }
    }

    /// A bracket that stands first is one of those that are meant, and so is a hyphen at either end.
    private static func bracket(_ rest: inout ArraySlice<Unicode.Scalar>) -> Part? {
        var inside = rest
        let isNot = inside.first == "!"
        if isNot { inside.removeFirst() }
        guard let end = inside.dropFirst().firstIndex(of: "]") else { return nil }
        rest = rest[(end + 1)...]
        inside = inside[..<end]
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        while let first = inside.popFirst() {
            if inside.count >= 2, inside.first == "-", let last = inside.dropFirst().first {
                inside = inside.dropFirst(2)
                if first <= last { ranges.append(first...last) }
            } else {
                ranges.append(first...first)
            }
        }
        return .oneOf(ranges, isNot: isNot)
    }

    /// Goes back to the last star only: time grows with both lengths, whatever the number of stars.
    package func matches(_ text: some Collection<Unicode.Scalar>) -> Bool {
        let text = Array(text)
        var (at, part) = (0, 0)
        var star: (part: Int, at: Int)?
        while at < text.count {
            if part < parts.count, parts[part].isStar {
                star = (part, at)
                part += 1
            } else if part < parts.count, parts[part].takes(text[at]) {
                at += 1
                part += 1
            } else if let last = star {
                star = (last.part, last.at + 1)
                (at, part) = (last.at + 1, last.part + 1)
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy(\.isStar)
    }
}
