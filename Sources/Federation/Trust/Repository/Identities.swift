/// Whose identity key is whose, from one version of `targets` to the next: a node's is never another without three days'
/// notice (threat model, threat 2), so that the node itself and everybody else see what is to happen before it does.
///
/// Two fields of `targets` beside its delegations: `x-dismissed`, `[{node, key}]`, whose key counts no longer, kept for good so that
/// nobody comes back under another by a detour; `x-announced`, `[{node, key, from}]`, a key that may take the place of a node's
/// from an instant on. Keys are Ed25519, 32 bytes in hex.
package struct Identities: Sendable, Equatable {
    package struct Notice: Sendable, Hashable {
        package var key: String
        /// From when it may take its place.
        package var from: Timestamp
    }

    /// Between a notice in force and the key that it announces.
    package static let noticeMilliseconds: Int64 = 72 * 3_600_000
    /// More, for as many holders as must sign the notice.
    package static let signingMilliseconds: Int64 = 24 * 3_600_000

    /// Keys of nodes that sign for their keys.
    private var delegated: [NodeID: String] = [:]
    package private(set) var dismissed: [NodeID: String] = [:]
    package private(set) var announced: [NodeID: Notice] = [:]

    package init() {}

    package init(_ targets: TUFTargets) throws(TUFFault) {
        for delegation in targets.delegations {
            guard let node = SignedFederation.node(of: delegation) else { continue }
            delegated[node] = delegation.role.keys.values.first?.publicText.lowercased()
        }
        let signed = targets.text.signed
        for (node, fields, key) in try Identities.entries("x-dismissed", signed) {
            guard dismissed.updateValue(key, forKey: node) == nil else { throw fields.fault("\(node) stands twice") }
        }
        for (node, fields, key) in try Identities.entries("x-announced", signed) {
            let notice = Notice(key: key, from: try fields.instant("from"))
            guard announced.updateValue(notice, forKey: node) == nil else { throw fields.fault("\(node) stands twice") }
        }
    }

    private static func entries(
        _ name: String, _ signed: SignedFields
    ) throws(TUFFault) -> [(node: NodeID, fields: SignedFields, key: String)] {
        guard signed.has(name) else { return [] }
        return try signed.list(name).map { (entry) throws(TUFFault) in
            let fields = try SignedFields(entry.value, "targets")
            let key = try fields.text("key")
            guard let node = NodeID(try fields.text("node")), Hex.decode(key, count: 32) != nil, key == key.lowercased()
            else { throw fields.fault("an entry of \(name) names no node and key") }
            return (node, fields, key)
        }
    }

    /// The key that is a node's, though it may count no longer.
    package func key(of node: NodeID) -> String? { delegated[node] ?? dismissed[node] }

    // MARK: Changing

    package mutating func dismiss(_ node: NodeID) {
        if let key = delegated.removeValue(forKey: node) { dismissed[node] = key }
    }

    package mutating func announce(_ node: NodeID, _ notice: Notice?) { announced[node] = notice }

    /// - Returns: nil when the key counts from now on; else the notice that has to run out first.
    /// - Parameter key: in lower-case hex.
    package mutating func admit(_ node: NodeID, _ key: String, now: Timestamp) -> Notice? {
        if let own = self.key(of: node), own != key {
            let whole =
                (now.milliseconds + Identities.noticeMilliseconds + Identities.signingMilliseconds) / 1000 * 1000
            let notice =
                announced[node].flatMap { $0.key == key ? $0 : nil }
                ?? Notice(key: key, from: Timestamp(milliseconds: whole))
            announce(node, notice)
            if notice.from > now { return notice }
        }
        delegated[node] = key
        dismissed[node] = nil
        return nil
    }

    /// For the metadata.
    var fields: [(String, JSONText.Value)] {
        func entry(_ node: NodeID, _ key: String, _ more: [(String, JSONText.Value)] = []) -> JSONText.Value {
            .table([("node", .string(node.text)), ("key", .string(key))] + more)
        }
        let gone = dismissed.sorted { $0.key < $1.key }.map { entry($0.key, $0.value) }
        let notices = announced.sorted { $0.key < $1.key }.map {
            entry($0.key, $0.value.key, [("from", .string(Instant.text($0.value.from)))])
        }
        return (gone.isEmpty ? [] : [("x-dismissed", .list(gone))])
            + (notices.isEmpty ? [] : [("x-announced", .list(notices))])
    }

    // MARK: Verifying

    /// Who was awake has seen each notice for as long as it must run; who has slept sees that it was given after he fell asleep.
    /// - Parameters:
    ///   - known: of the version in force, which was the newest until `seen`.
    ///   - shown: when the newer timestamp was signed.
    ///   - now: here.
    func requireNoticed(
        since known: Identities, seen: Timestamp?, shown: Timestamp, now: Timestamp
    ) throws(FederationError) {
        let earliest = seen?.advanced(byMilliseconds: Identities.noticeMilliseconds)
        for (node, notice) in announced.sorted(by: { $0.key < $1.key }) where known.announced[node] != notice {
            guard let earliest, notice.from >= earliest else {
                throw FederationError(
                    "notice-too-short",
                    "\(node) would get another identity key from \(Instant.text(notice.from)) on, sooner than 72 h from now",
                    remedy: "propose it anew, and have it signed within a day")
            }
        }
        for node in Set(known.delegated.keys).union(known.dismissed.keys).sorted() {
            guard let own = known.key(of: node), key(of: node) != own else { continue }
            guard let key = key(of: node) else {
                throw FederationError(
                    "identity-forgotten", "the identity key of \(node) is neither kept nor dismissed",
                    remedy: "have it dismissed by name: ekc topology propose --dismiss \(node)")
            }
            // By both clocks: neither makes a notice run out alone.
            let latest = min(now, shown).advanced(byMilliseconds: Freshness.toleranceMilliseconds)
            guard let notice = announced[node], notice.key == key, notice.from <= latest else {
                throw FederationError(
                    "identity-unannounced", "\(node) has another identity key, and no notice of it has run out",
                    remedy: "ask the holders of targets and the engineer of \(node) at once: nothing newer is taken")
            }
        }
    }
}
