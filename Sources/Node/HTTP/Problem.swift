package import Federation

/// A refusal as RFC 9457 problem details: the code is stable and for machines, detail and remedy are for people.
package struct Problem: Error, Sendable, Equatable, Codable, CustomStringConvertible {
    /// The HTTP status, 400 to 599.
    package var status: Int
    /// A stable name in kebab-case, such as `store-full`.
    package var code: String
    /// What happened and where.
    package var detail: String
    /// How to put it right.
    package var remedy: String
    /// The kind of problem in words; absent where the code says it all.
    package var title: String?
    /// Seconds after which to try again: the Retry-After header, not part of the body.
    package var retryAfter: Int?

    package init(_ status: Int, _ code: String, _ detail: String, remedy: String, retryAfter: Int? = nil) {
        self.status = status
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.retryAfter = retryAfter
    }

    /// An error of the layers below, under the status that the caller has chosen for it.
    package init(_ error: FederationError, status: Int, retryAfter: Int? = nil) {
        self.init(status, error.code, error.detail, remedy: error.remedy, retryAfter: retryAfter)
    }

    /// `urn:ekc:problem:<code>`.
    package var type: String { "urn:ekc:problem:" + code }

    package var description: String { "\(code): \(detail)\n  remedy: \(remedy)" }

    private enum CodingKeys: String, CodingKey { case type, title, status, code, detail, remedy }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        title = try fields.decodeIfPresent(String.self, forKey: .title)
        status = try fields.decode(Int.self, forKey: .status)
        code = try fields.decode(String.self, forKey: .code)
        detail = try fields.decode(String.self, forKey: .detail)
        remedy = try fields.decode(String.self, forKey: .remedy)
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(type, forKey: .type)
        try fields.encodeIfPresent(title, forKey: .title)
        try fields.encode(status, forKey: .status)
        try fields.encode(code, forKey: .code)
        try fields.encode(detail, forKey: .detail)
        try fields.encode(remedy, forKey: .remedy)
    }
}
