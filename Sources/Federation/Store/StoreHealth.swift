import Glibc

/// That a store is not what was written to it. Kept as `damaged` in its folder, so that no start forgets it; it goes with the
/// folder when a backup is put in its place.
package struct StoreDamage: TrustRecord, Equatable {
    package var format = 1
    /// Milliseconds since 1970 UTC.
    package var foundAt: Int64
    /// What, and in which table if that is known.
    package var detail: String
    /// Tables that are not to be read any more; nil: none is.
    package var unreadable: [String]?
    /// Every page was looked at: there is no more than this. Absent: it was met, and what else there is nobody knows.
    package var isWhole: Bool?

    package init(foundAt: Timestamp, detail: String, unreadable: [String]?, isWhole: Bool? = nil) {
        self.foundAt = foundAt.milliseconds
        self.detail = detail
        self.unreadable = unreadable
        self.isWhole = isWhole
    }

    /// Nil when the report names none.
    package init?(_ report: StoreReport, foundAt: Timestamp) {
        guard let first = report.damage.first else { return nil }
        let more = report.damage.count > 1 ? " (and \(report.damage.count - 1) more)" : ""
        let place = first.table.map { "table \($0): " } ?? ""
        let names = report.damage.compactMap(\.table)
        let isReadable = names.count == report.damage.count && !names.contains(PageWalk.listOfTables)
        self.init(
            foundAt: foundAt, detail: place + first.detail + more, unreadable: isReadable ? names : nil, isWhole: true)
    }

    static func file(in directory: String) -> String { directory + "/damaged" }

    /// Both are true; a look at every page says more than what a reader has met before.
    func with(_ other: StoreDamage) -> StoreDamage {
        var both = self
        if other.isWhole == true, isWhole != true { (both.detail, both.unreadable) = (other.detail, other.unreadable) }
        if isWhole == true {
            both.unreadable = unreadable.flatMap { mine in other.unreadable.map { Set(mine).union($0).sorted() } }
        }
        both.isWhole = isWhole == true || other.isWhole == true
        return both
    }
}

/// Whether a store may be believed. Once it may not, nothing is written any more, until a backup is put in its place.
package final class StoreHealth: Sendable {
    private let state: Monitor<StoreDamage?>
    private let directory: String?
    private let wayBack: @Sendable () -> String
    private let told: @Sendable (StoreDamage) -> Void

    /// - Parameters:
    ///   - directory: the store's folder; nil: it has none.
    ///   - wayBack: for people, how a backup is put back.
    ///   - told: once, when damage is found that was not known.
    package init(
        directory: String?,
        wayBack: @escaping @Sendable () -> String = { "stop the node and put a backup back: ekc backup restore" },
        told: @escaping @Sendable (StoreDamage) -> Void = { _ in }
    ) {
        self.directory = directory
        self.wayBack = wayBack
        self.told = told
        state = Monitor(directory.flatMap(StoreHealth.known))
    }

    package var damage: StoreDamage? { state.changeQuietly { $0 } }

    /// What whoever asks for work is answered, when there is damage.
    package var refusal: StoreError? { damage.map(refusal(of:)) }

    func refusal(of damage: StoreDamage) -> StoreError {
        StoreError(.damaged, "the store is not what was written: \(damage.detail)", remedy: wayBack())
    }

    /// Looks whether another process has found damage.
    package func look() {
        guard let directory, Files.exists(StoreDamage.file(in: directory)) else { return }
        if let known = StoreHealth.known(in: directory), known != damage { found(known) }
    }

    /// What a reader or the writer has met: what else there is nobody knows yet, so nothing is read before somebody has
    /// looked.
    func met(_ error: StoreError) {
        found(StoreDamage(foundAt: Clocks.wall(), detail: error.detail, unreadable: nil))
    }

    /// - Returns: false when it could not be written down: a node that starts on this store does not know it.
    @discardableResult
    package func found(_ damage: StoreDamage) -> Bool {
        let (now, isNew) = state.change { state in
            let isNew = state == nil
            let now = state?.with(damage) ?? damage
            state = now
            return (now, isNew)
        }
        let isKept = directory.map { (try? TrustFile.write(now, to: StoreDamage.file(in: $0))) != nil } ?? true
        if isNew { told(now) }
        return isKept
    }

    /// A mark that cannot be read is a mark.
    private static func known(in directory: String) -> StoreDamage? {
        let file = StoreDamage.file(in: directory)
        guard Files.exists(file) else { return nil }
        return (try? TrustFile.read(StoreDamage.self, file))
            ?? StoreDamage(foundAt: Clocks.wall(), detail: "it was found before", unreadable: nil)
    }
}

/// `running` in the store's folder: how many processes have not come to their end, one after the other, counted when each
/// begins. A look at the whole store, or an end, sets that back. It is written in place, so that a full disk is no
/// obstacle; where there is none and none can be made, an end that is none is not noticed.
package struct RunningMark: Sendable {
    private let file: String

    package init(directory: String) { file = directory + "/running" }

    /// Starts that did not come to their end; 0: the last one did. What cannot be read is one.
    package var unended: Int {
        guard Files.exists(file) else { return 0 }
        let text = (try? Files.read(file, maximum: 100)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return Int(text.filter { !$0.isWhitespace }).map { max(0, $0) } ?? 1
    }

    func set(_ count: Int) throws(FederationError) {
        do throws(FederationError) { try Files.overwrite(file, Array("\(count)         \n".utf8.prefix(10))) } catch {
            guard errno == ENOSPC || errno == EDQUOT else { throw error }
        }
    }

    /// It came to its end, or somebody has looked since.
    package func clear() throws(FederationError) { try set(0) }
}
