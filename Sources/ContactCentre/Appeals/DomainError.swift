/// A refusal by the contact centre's rules: a stable code, and words.
package struct DomainError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of refusal it is; the API gives each its status.
    package enum Kind: Sendable {
        case badInput
        /// Also for what does not exist: the two are not told apart.
        case notYours
        case conflict
        case tooLarge
        case keyReused
        /// Not now, and not here.
        case unavailable
    }

    package var kind: Kind
    package var code: String
    package var detail: String
    package var remedy: String

    package init(_ kind: Kind, _ code: String, _ detail: String, remedy: String) {
        self.kind = kind
        self.code = code
        self.detail = detail
        self.remedy = remedy
    }

    package var description: String { "\(code): \(detail)\n  remedy: \(remedy)" }
}
