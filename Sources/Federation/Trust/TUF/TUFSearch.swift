/// Finds who vouches for a target: depth first, delegations in their order, a terminating one ends the search (TUF 1.0,
/// section 5.6.7). A value without IO: it names the metadata that must be loaded before it can go on.
package struct TUFSearch: Sendable {
    package enum Step: Sendable {
        /// The metadata of this role is wanted.
        case load(role: String, parent: String?)
        case found(TUFFileFacts)
        case none
    }

    /// Roles that are looked at for one target.
    package static let mostRoles = 256

    private let path: String
    private var rest: [(role: String, parent: String?)] = [("targets", nil)]
    private var visited: Set<String> = []

    package init(_ path: String) { self.path = path }

    /// What is to be done; to be asked again when it is done.
    package mutating func next(in trusted: TUFTrusted) -> Step {
        while let (role, parent) = rest.last, visited.count < TUFSearch.mostRoles {
            if visited.contains(role) {
                rest.removeLast()
                continue
            }
            guard trusted.has(role), trusted.isVouchedFor(role, parent: parent), let metadata = trusted.targets[role]
            else { return .load(role: role, parent: parent) }
            rest.removeLast()
            visited.insert(role)
            if let target = metadata.targets[path] { return .found(target) }
            var children: [(role: String, parent: String?)] = []
            for delegation in metadata.delegations where delegation.covers(path) {
                children.append((delegation.name, role))
                if delegation.isTerminating {
                    rest = []
                    break
                }
            }
            rest += children.reversed()
        }
        return .none
    }
}
