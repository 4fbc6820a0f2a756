/// What went wrong, where, and how to put it right; the code is stable, the words are not.
package struct FederationError: Error, Sendable, CustomStringConvertible {
    /// A stable name in kebab-case, such as `store-full`.
    package var code: String
    /// What happened and where.
    package var detail: String
    /// How to put it right.
    package var remedy: String

    package init(_ code: String, _ detail: String, remedy: String) {
        self.code = code
        self.detail = detail
        self.remedy = remedy
    }

    package var description: String { "\(code): \(detail)\n  remedy: \(remedy)" }
}
