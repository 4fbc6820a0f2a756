/// Why metadata or a target was refused (TUF 1.0, section 5): each reason has its own code. What was trusted before stays.
package struct TUFFault: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        /// No strict JSON, or a field that is missing or of the wrong kind.
        case malformed = "metadata-malformed"
        case wrongType = "metadata-wrong-type"
        case specVersion = "spec-version"
        case tooLarge = "metadata-too-large"
        case missing = "metadata-missing"
        /// Not signed by as many of the role's keys as it wants.
        case threshold = "metadata-threshold"
        /// An older version than was trusted before, or a role that is no longer listed.
        case rollback = "metadata-rollback"
        case expired = "metadata-expired"
        /// Another version, length or hash than the metadata above it says.
        case mismatch = "metadata-mismatch"
        /// Not the next version of root.
        case rootVersion = "root-version"
        case rootTooMany = "root-too-many"
        /// One key value, or one holder, twice in a role.
        case keyTwice = "key-twice"
        case holderTwice = "holder-twice"
        case delegationUnknown = "delegation-unknown"
        case targetUnknown = "target-unknown"
        case targetMismatch = "target-mismatch"
        /// `deny` can only take away: what it has said, `targets` takes back.
        case denyLifts = "deny-lifts"
    }

    package var code: Code
    /// The role, or the target's path.
    package var subject: String
    package var detail: String

    package init(_ code: Code, _ subject: String, _ detail: String) {
        self.code = code
        self.subject = subject
        self.detail = detail
    }

    package var description: String { "\(code.rawValue): \(subject): \(detail)" }

    private var remedy: String {
        switch code {
        case .malformed, .wrongType, .specVersion, .tooLarge, .missing, .mismatch, .targetMismatch, .targetUnknown,
            .delegationUnknown:
            "fetch it again, or from another place; if it stays so, tell central operations"
        case .threshold: "publish what enough holders have signed: ekc topology status says who is missing"
        case .rollback: "somebody shows an older state; find out who, and fetch it from another place"
        case .expired: "look at this machine's clock; if it is right, have the role signed anew"
        case .rootVersion, .rootTooMany: "fetch the versions of root one after the other; publish each that is missing"
        case .denyLifts: "publish it with every entry there was; ekc topology propose --lift takes one back"
        case .keyTwice, .holderTwice: "have each holder make a key of his own: one person counts once"
        }
    }

    /// For people.
    package var error: FederationError { FederationError(code.rawValue, "\(subject): \(detail)", remedy: remedy) }
}
