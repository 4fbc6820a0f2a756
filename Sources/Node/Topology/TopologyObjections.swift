import ContactCentre
import Federation

/// What speaks against a newer topology: asked before holders sign it, and once more when it is published.
struct TopologyObjections {
    /// Open appeals that would be left with nobody, by tenancy.
    private(set) var stranded: [String: Int] = [:]
    /// Of those and of the tenancies that were asked for, as far as the node knows.
    private(set) var open: [OpenAppeals.Group: Int] = [:]
    /// The first is the one that a publication is refused for.
    private(set) var errors: [FederationError] = []

    /// What holds whatever becomes of what is under way.
    static func lasting(_ diff: TopologyDiff) -> FederationError? {
        diff.findings.first { $0.code == "home-taken-away" }.map {
            FederationError(
                "home-taken-away", $0.text,
                remedy: "make the node live first, or let the home move later: ekc topology diff says all of it")
        }
    }

    /// - Parameter tenancies: whose open appeals are wanted too.
    init(_ diff: TopologyDiff, at node: FederationNode, counting tenancies: Set<String> = []) throws {
        do { try node.requireNoMail(under: diff.next) } catch let error as FederationError { errors.append(error) }
        if let error = TopologyObjections.lasting(diff) { errors.append(error) }
        let leaving = diff.live.tenanciesLeaving(for: diff.next)
        var appeals = OpenAppeals(at: node.id, of: diff.live, tenancies: leaving.union(tenancies))
        while try node.store.read({ transaction throws(StoreError) in try appeals.look(in: transaction) }) {}
        open = appeals.found
        for (group, count) in open where leaving.contains(group.tenancy) || group == OpenAppeals.unreadable {
            stranded[group.tenancy, default: 0] += count
        }
        if leaving.isEmpty { stranded = [:] }
        guard !stranded.isEmpty else { return }
        let list = stranded.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        errors.append(
            FederationError(
                "tenancy-has-appeals", "open appeals would be left with nobody: \(list)",
                remedy: "let them be answered or returned first, and route new ones elsewhere by a dated home"))
    }
}
