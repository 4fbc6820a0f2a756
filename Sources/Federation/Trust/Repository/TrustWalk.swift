/// One walk to a newer state of the federation's signed metadata: the metadata first, then the target files that changed,
/// then all of it put together. A value without IO, as `TUFWalk` is.
package struct TrustWalk: Sendable {
    private var walk: TUFWalk
    private let known: SignedFederation?
    /// Target files that are wanted, by where they lie.
    private var targets: [String: SignedFederation.Target] = [:]
    private var files: [String: [UInt8]] = [:]
    private var isPastMetadata = false
    private let now: Timestamp

    /// What is signed to be of so far ahead is false time, here or there (threat model, threat 35).
    private static let farthestAhead: Int64 = 48 * 3_600_000

    /// - Parameters:
    ///   - baseline: the newest root with what it vouches for of the rest.
    ///   - known: what is in force; nil: nothing yet.
    package init(_ baseline: TUFTrusted, known: SignedFederation?, now: Timestamp) {
        // What only takes away is taken however late; a node whose keys were not signed anew in time has a month to come in.
        walk = TUFWalk(
            baseline, now: now, takesDelegated: true,
            lateness: { $0 == Denial.role ? 1 << 50 : PublishedKeys.graceDays * 86_400_000 })
        self.known = known
        self.now = now
    }

    /// Asked for and not there yet.
    package var wanted: [TUFWalk.File] {
        isPastMetadata ? targets.values.map(\.file).sorted { $0.path < $1.path } : walk.wanted
    }

    /// Versions of root that were verified: they are kept, whatever comes of the rest.
    package var roots: [TUFWalk.Verified] { walk.verified.filter { $0.role == "root" } }

    /// With these roots, the next walk begins where this one got.
    package var baseline: TUFTrusted { walk.trusted }

    package mutating func arrived(_ path: String, _ bytes: [UInt8]?) throws(FederationError) {
        if isPastMetadata { return try targetArrived(path, bytes) }
        // Of what a newer root does not vouch for any more nothing is known.
        let before = walk.trusted.timestamp
        do throws(TUFFault) { try walk.arrived(path, bytes) } catch { throw error.error }
        if let timestamp = walk.trusted.timestamp, timestamp.bytes != before?.bytes {
            try require(timestamp, after: before)
        }
        guard walk.isDone else { return }
        // What must be there is looked at before anything large is fetched.
        if let fault = walk.faults[Denial.role] { throw fault.error }
        isPastMetadata = true
        for target in SignedFederation.targets(of: walk.trusted) {
            if let bytes = known?.files[target.path], target.facts.difference(of: bytes) == nil {
                files[target.path] = bytes
            } else {
                targets[target.file.path] = target
            }
        }
    }

    /// Of the timestamp that has just been verified.
    private func require(_ timestamp: TUFTimestamp, after known: TUFTimestamp?) throws(FederationError) {
        guard let signed = timestamp.signedAt else {
            throw TUFFault(.malformed, "timestamp", "it does not say when it was signed").error
        }
        if let known = known?.signedAt, signed < known {
            throw TUFFault(
                .rollback, "timestamp", "signed at \(Instant.text(signed)), one of \(Instant.text(known)) is known"
            ).error
        }
        guard signed.milliseconds <= now.milliseconds + TrustWalk.farthestAhead else {
            throw FederationError(
                "metadata-from-the-future", "it was signed at \(Instant.text(signed)), here it is \(Instant.text(now))",
                remedy: "look at this machine's clock; if it is right, at the centre's")
        }
        let expires = timestamp.common.expires
        guard expires.milliseconds <= signed.milliseconds + Freshness.hardMilliseconds else {
            throw FederationError(
                "timestamp-too-long",
                "the timestamp of \(Instant.text(signed)) is good until \(Instant.text(expires)), no longer than 14 days is",
                remedy: "have it signed anew by the centre's own software")
        }
    }

    private mutating func targetArrived(_ place: String, _ bytes: [UInt8]?) throws(FederationError) {
        guard let target = targets.removeValue(forKey: place) else { return }
        do throws(TUFFault) {
            guard let bytes else { throw TUFFault(.targetUnknown, target.path, "it is not there") }
            if let what = target.facts.difference(of: bytes) { throw TUFFault(.targetMismatch, target.path, what) }
            files[target.path] = bytes
        } catch {
            // Without one node's keys the others go on.
            guard target.node != nil else { throw error.error }
        }
    }

    /// The newer state, once nothing is wanted any more.
    /// - Throws: what makes all of it unusable.
    package func result() throws(FederationError) -> SignedFederation? {
        guard isPastMetadata, targets.isEmpty else { return nil }
        return try SignedFederation(walk.trusted, files: files, faults: walk.faults, known: known, now: now)
    }
}
