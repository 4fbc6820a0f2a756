/// One walk of the client workflow (TUF 1.0, section 5.3 to 5.6) over a source that may be a neighbour, a web server or a
/// folder: it says which files it wants and is given them. A value without IO.
///
/// Files have the names of a static tree with consistent snapshots: `metadata/3.root.json`, `metadata/timestamp.json`,
/// `metadata/7.node-subject-77.json`, `targets/nodes/subject-77/<sha256>.keys.json`.
package struct TUFWalk: Sendable {
    package struct File: Sendable, Hashable {
        package var path: String
        /// Bytes, at most.
        package var maximum: Int

        package init(path: String, maximum: Int) {
            self.path = path
            self.maximum = maximum
        }
    }

    /// What has been verified, in its order, with the name that a client gives it.
    package struct Verified: Sendable {
        package var role: String
        package var file: File
        package var bytes: [UInt8]
    }

    private enum Stage { case root, timestamp, snapshot, targets, delegated, done }

    package static let mostRoots = 256

    package private(set) var trusted: TUFTrusted
    /// Asked for and not there yet.
    package private(set) var wanted: [File] = []
    package private(set) var verified: [Verified] = []
    /// Why metadata of delegated roles was refused: the others are none the worse for it.
    package private(set) var faults: [String: TUFFault] = [:]
    private var stage = Stage.root
    private let now: Timestamp
    private let firstRoot: UInt64
    /// Delegated roles by the paths of their files.
    private var roles: [String: String] = [:]
    private let takesDelegated: Bool
    private let lateness: @Sendable (String) -> Int64

    /// - Parameters:
    ///   - trusted: with what is on the disk, as the baseline.
    ///   - takesDelegated: every role to which `targets` delegates and which the snapshot lists is taken too.
    ///   - lateness: milliseconds for which a delegated role's metadata is taken beyond its date.
    package init(
        _ trusted: TUFTrusted, now: Timestamp, takesDelegated: Bool,
        lateness: @escaping @Sendable (String) -> Int64 = { _ in 0 }
    ) {
        self.lateness = lateness
        self.trusted = trusted
        self.now = now
        self.takesDelegated = takesDelegated
        firstRoot = trusted.root.common.version
        wantRoot()
    }

    package var isDone: Bool { stage == .done }

    /// A file that was wanted has come.
    /// - Parameter bytes: nil: the source does not have it.
    package mutating func arrived(_ path: String, _ bytes: [UInt8]?) throws(TUFFault) {
        guard let place = wanted.firstIndex(where: { $0.path == path }) else { return }
        let file = wanted.remove(at: place)
        switch stage {
        case .root: try rootArrived(file, bytes)
        case .timestamp:
            guard let bytes else { throw missing("timestamp", path) }
            let isNews = try trusted.update(timestamp: bytes, now: now)
            if isNews { verified.append(Verified(role: "timestamp", file: file, bytes: bytes)) }
            stage = .snapshot
            try wantSnapshot()
        case .snapshot:
            guard let bytes else { throw missing("snapshot", path) }
            try trusted.update(snapshot: bytes, now: now)
            verified.append(Verified(role: "snapshot", file: file, bytes: bytes))
            try wantTargets()
        case .targets:
            guard let bytes else { throw missing("targets", path) }
            try trusted.update(targets: bytes, of: "targets", now: now)
            verified.append(Verified(role: "targets", file: file, bytes: bytes))
            wantDelegated()
        case .delegated: delegatedArrived(file, bytes)
        case .done: break
        }
    }

    private func missing(_ role: String, _ path: String) -> TUFFault {
        TUFFault(.missing, role, "\(path) is not there")
    }

    private mutating func rootArrived(_ file: File, _ bytes: [UInt8]?) throws(TUFFault) {
        if let bytes {
            guard trusted.root.common.version - firstRoot < UInt64(TUFWalk.mostRoots) else {
                throw TUFFault(.rootTooMany, "root", "more than \(TUFWalk.mostRoots) versions to walk")
            }
            try trusted.update(root: bytes)
            verified.append(Verified(role: "root", file: file, bytes: bytes))
            return wantRoot()
        }
        stage = .timestamp
        want("timestamp", version: nil, TUFTimestamp.maximumBytes)
    }

    private mutating func wantRoot() {
        want("root", version: trusted.root.common.version + 1, TUFRoot.maximumBytes)
    }

    private mutating func want(_ role: String, version: UInt64?, _ maximum: Int) {
        wanted.append(File(path: TUFWalk.path(of: role, version: version), maximum: maximum))
    }

    private var isConsistent: Bool { trusted.root.isConsistent }

    private mutating func wantSnapshot() throws(TUFFault) {
        guard let meta = trusted.timestamp?.snapshot else { return }
        if trusted.hasSnapshot, trusted.isFresh("snapshot", now) { return try wantTargets() }
        want(
            "snapshot", version: isConsistent ? meta.version : nil,
            min(meta.facts.length ?? TUFSnapshot.maximumBytes, TUFSnapshot.maximumBytes))
    }

    private mutating func wantTargets() throws(TUFFault) {
        stage = .targets
        if isGood("targets", parent: nil) { return wantDelegated() }
        guard let meta = trusted.snapshot?.meta["targets"] else {
            throw TUFFault(.missing, "targets", "the snapshot does not list it")
        }
        want("targets", of: meta)
    }

    /// What is kept and past its date is asked for again, and refused if it comes again: else who withholds the newer
    /// could freeze it.
    private func isGood(_ role: String, parent: String?) -> Bool {
        let late = parent == nil ? 0 : lateness(role)
        return trusted.has(role) && trusted.isVouchedFor(role, parent: parent)
            && trusted.isFresh(role, now.advanced(byMilliseconds: -late))
    }

    private mutating func want(_ role: String, of meta: TUFMeta) {
        want(
            role, version: isConsistent ? meta.version : nil,
            min(meta.facts.length ?? TUFTargets.maximumBytes, TUFTargets.maximumBytes))
    }

    private mutating func wantDelegated() {
        stage = .delegated
        for delegation in takesDelegated ? trusted.targets["targets"]?.delegations ?? [] : [] {
            let role = delegation.name
            if isGood(role, parent: "targets") { continue }
            guard let meta = trusted.snapshot?.meta[role] else { continue }
            want(role, of: meta)
            wanted.last.map { roles[$0.path] = role }
        }
        if wanted.isEmpty { stage = .done }
    }

    private mutating func delegatedArrived(_ file: File, _ bytes: [UInt8]?) {
        let role = roles[file.path] ?? file.path
        do throws(TUFFault) {
            guard let bytes else { throw missing(role, file.path) }
            try trusted.update(
                targets: bytes, of: role, parent: "targets", now: now.advanced(byMilliseconds: -lateness(role)))
            verified.append(Verified(role: role, file: file, bytes: bytes))
        } catch { faults[role] = error }
        if wanted.isEmpty { stage = .done }
    }
}

extension TUFWalk {
    /// Where a role's metadata lies in a static tree.
    package static func path(of role: String, version: UInt64?) -> String {
        "metadata/" + (version.map { "\($0)." } ?? "") + PercentEncoding.segment(role) + ".json"
    }

    /// Where a target lies in a static tree: its hash before its name.
    package static func path(ofTarget path: String, _ facts: TUFFileFacts, isConsistent: Bool = true) -> String {
        guard isConsistent, let hash = facts.first else { return "targets/" + path }
        guard let slash = path.lastIndex(of: "/") else { return "targets/\(hash).\(path)" }
        return "targets/\(path[...slash])\(hash).\(path[path.index(after: slash)...])"
    }
}
