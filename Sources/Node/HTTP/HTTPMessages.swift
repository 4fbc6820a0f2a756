import Federation
import FoundationEssentials

/// Who is at the other end of a request's connection.
enum HTTPPeer: Sendable, Hashable {
    case network
    /// By the kernel's word (SO_PEERCRED).
    case process(uid: UInt32, pid: Int32)
}

/// A whole request: its body is in.
struct HTTPRequest: Sendable {
    var method: String
    /// Percent-decoded segments of the path.
    var path: [String]
    var query: [String: String]
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]
    var peer: HTTPPeer
}

/// An answer.
struct HTTPResponse: Sendable {
    var status: UInt32
    var contentType: String
    var body: [UInt8]
    var headers: [(String, String)] = []

    static func json(_ value: some Encodable, status: UInt32 = 200) -> HTTPResponse {
        HTTPResponse(status: status, contentType: "application/json", body: JSONBody.encode(value))
    }
}

/// Problem details (RFC 9457) with a stable code.
struct Problem: Error, Sendable, Encodable {
    var status: UInt32
    var code: String
    var detail: String
    var remedy: String

    private enum CodingKeys: String, CodingKey { case type, status, code, detail, remedy }

    init(_ status: UInt32, _ code: String, _ detail: String, remedy: String) {
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("urn:ekc:problem:\(code)", forKey: .type)
        try container.encode(status, forKey: .status)
        try container.encode(code, forKey: .code)
        try container.encode(detail, forKey: .detail)
        try container.encode(remedy, forKey: .remedy)
    }

    var response: HTTPResponse {
        var response = HTTPResponse(
            status: status, contentType: "application/problem+json", body: JSONBody.encode(self))
        if status == 503 { response.headers.append(("Retry-After", "5")) }
        return response
    }

    /// What of an error may be told.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as StoreError where error.code == .full || error.code == .stopping:
            self.init(503, error.code.rawValue, error.detail, remedy: error.remedy)
        case let error as StoreError where error.code == .tooLarge:
            self.init(413, error.code.rawValue, error.detail, remedy: error.remedy)
        case let error as FederationError: self.init(409, error.code, error.detail, remedy: error.remedy)
        default: self.init(500, "internal", "the node could not do this", remedy: "see the node's log")
        }
    }
}

/// JSON of requests and answers: camel case, absent instead of null, sorted keys.
enum JSONBody {
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(value)).map(Array.init) ?? Array("{}".utf8)
    }

    /// - Parameter fields: those that may stand there; another is `unknown-field`.
    static func decode<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8], fields: Set<String>) throws(Problem)
        -> Value
    {
        let root: JSONText.Node
        do throws(JSONText.Fault) { root = try JSONText.read(bytes, lenient: false, maximum: 1 << 20) } catch {
            let place = JSONText.place(of: error.offset, in: bytes)
            throw Problem(
                400, "malformed-json", "\(place.line):\(place.column): \(error.message)", remedy: "send a JSON object")
        }
        guard case .object(let members) = root.value else {
            throw Problem(400, "malformed-json", "the body is not an object", remedy: "send a JSON object")
        }
        if let unknown = members.first(where: { !fields.contains($0.name) }) {
            throw Problem(
                400, "unknown-field", "\"\(unknown.name)\" is no field of this request",
                remedy: "use \(fields.sorted().joined(separator: ", "))")
        }
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch let error as DecodingError {
            throw Problem(400, "bad-field", JSONBody.place(of: error), remedy: "see the API's description")
        } catch { throw Problem(400, "malformed-json", "the body cannot be read", remedy: "send a JSON object") }
    }

    private static func place(of error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\"\(key.stringValue)\" is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            "\"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" has a value of another kind"
        @unknown default: "a field has a value of another kind"
        }
    }
}
