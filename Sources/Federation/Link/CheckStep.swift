/// One thing that was looked at: how it is, and what helps when it is not as it should be.
package struct CheckStep: Codable, Sendable, Equatable {
    package enum Outcome: String, Codable, Sendable {
        case good
        /// It works, and somebody should look.
        case doubtful
        case failed
        /// It could not be looked at from here.
        case skipped
    }

    /// Such as `tcp`; with the neighbour behind it when it is about one.
    package var name: String
    package var peer: String?
    package var outcome: Outcome
    package var detail: String
    package var remedy: String?

    package init(
        _ name: String, _ outcome: Outcome, _ detail: String, peer: NodeID? = nil, remedy: String? = nil
    ) {
        self.name = name
        self.peer = peer?.text
        self.outcome = outcome
        self.detail = detail
        self.remedy = remedy
    }

    package init(_ name: String, _ error: FederationError, peer: NodeID? = nil) {
        self.init(name, .failed, "\(error.code): \(error.detail)", peer: peer, remedy: error.remedy)
    }
}
