#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

import Federation

/// The body of an API request: which fields it may have is said once, and any other is refused.
package protocol APIRequest: Decodable, Sendable {
    /// Every field that the JSON object may have.
    static var fields: Set<String> { get }
}

/// A value of which unknown fields are refused; use it for objects inside a request too.
package struct Strict<Value: APIRequest>: Decodable, Sendable {
    package var value: Value

    package init(_ value: Value) { self.value = value }

    package init(from decoder: any Decoder) throws {
        let present = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
        if let unknown = present.filter({ !Value.fields.contains($0) }).min() {
            throw UnknownField(path: decoder.codingPath + [AnyKey(stringValue: unknown)])
        }
        value = try Value(from: decoder)
    }
}

extension Strict: Encodable where Value: Encodable {
    package func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
}

/// JSON of API bodies. Signed files and topologies have a stricter reader of their own.
package enum JSONBody {
    /// Sorted keys, no escaped slashes, absent instead of null, UTF-8.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    /// Decodes one object.
    /// - Parameter fields: those that it may have here; nil: all of its type.
    /// - Throws: 400 `bad-json` for what is not UTF-8, not JSON, or of another type, naming the place;
    ///   400 `unknown-field` naming the field.
    package static func decode<Value: APIRequest>(
        _ type: Value.Type, from bytes: [UInt8], fields: Set<String>? = nil
    ) throws(Problem) -> Value {
        try decode(Strict<Value>.self, known: fields ?? Value.fields, from: bytes).value
    }

    /// Decodes a list of objects.
    package static func decodeList<Value: APIRequest>(_ type: Value.Type, from bytes: [UInt8]) throws(Problem)
        -> [Value]
    {
        try decode([Strict<Value>].self, known: Value.fields, from: bytes).map(\.value)
    }

    private static func decode<Value: Decodable>(
        _ type: Value.Type, known: Set<String>, from bytes: [UInt8]
    ) throws(Problem) -> Value {
        guard !bytes.isEmpty else { throw bad("It is empty.", remedy: "Send a JSON object.") }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw bad("It is not UTF-8.", remedy: "Send JSON in UTF-8.")
        }
        // Foundation takes one of two fields of the same name, and says no place: another reader might take the other.
        var strangers: [String] = []
        do throws(JSONText.Fault) {
            let root = try JSONText.read(bytes, lenient: false, maximum: bytes.count)
            if let null = root.firstNull { throw JSONText.Fault(offset: null, message: "null: leave the field out") }
            if case .object(let members) = root.value { strangers = members.map(\.name).filter { !known.contains($0) } }
        } catch {
            let place = JSONText.place(of: error.offset, in: bytes)
            throw bad(
                "\(place.line):\(place.column): \(error.message).", remedy: "Send JSON as it is described.")
        }
        if let stranger = strangers.min() { throw unknown([AnyKey(stringValue: stranger)], known) }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as UnknownField {
            throw unknown(error.path, known)
        } catch let error as DecodingError {
            throw refusal(error)
        } catch {
            throw bad("It cannot be read.", remedy: "Send a JSON object.")
        }
    }

    /// Decodes what another node or the server has answered: fields that are not known yet are passed over.
    package static func decodeReply<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    private static func unknown(_ path: [any CodingKey], _ known: Set<String>) -> Problem {
        let known = known.isEmpty ? "none" : known.sorted().joined(separator: ", ")
        return Problem(
            400, "unknown-field", "The request has an unknown field: \(place(path)).",
            remedy: path.count == 1 ? "Leave it out; known are: \(known)." : "Leave it out.")
    }

    private static func refusal(_ error: DecodingError) -> Problem {
        switch error {
        case .keyNotFound(let key, let context):
            bad("It lacks \(place(context.codingPath + [key])).", remedy: "Add that field.")
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            bad(
                "\(place(context.codingPath)) is not \(name(of: type)).",
                remedy: "Correct the value; leave a field out rather than sending null.")
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            bad("\(place(context.codingPath)) is not a value of its kind.", remedy: "Correct the value.")
        default: bad("It is not JSON.", remedy: "Send one JSON object.")
        }
    }

    private static func bad(_ detail: String, remedy: String) -> Problem {
        Problem(400, "bad-json", "The request's body is refused. " + detail, remedy: remedy)
    }

    /// `history[2].text`; the whole body when empty.
    private static func place(_ path: [any CodingKey]) -> String {
        var text = ""
        for key in path {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                // At most 64 characters of what the client chose to call it.
                text += (text.isEmpty ? "" : ".") + key.stringValue.prefix(64)
            }
        }
        return text.isEmpty ? "the body" : text
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "an integer"
        case is any BinaryFloatingPoint.Type: "a number"
        case is any Collection.Type: type is any ExpressibleByDictionaryLiteral.Type ? "an object" : "an array"
        default: "a value of its kind"
        }
    }
}

private struct UnknownField: Error {
    var path: [any CodingKey]
}

private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
