/// Until when something of the signed metadata is good, and whether somebody should act (threat model, section 2).
package struct Expiry: Sendable, Hashable {
    /// A role, or `authority of <segment>`.
    package var subject: String
    package var version: UInt64?
    package var expires: Timestamp
    /// The alarm that is due; nil: none is.
    package var alarm: Alarm?

    package enum Alarm: Sendable, Hashable, CustomStringConvertible {
        /// Less than so many days.
        case days(Int64)
        /// Less than this part of its life.
        case part(Int64)
        case over

        package var description: String {
            switch self {
            case .days(let days): "less than \(days) days"
            case .part(let part): "less than 1/\(part) of its life"
            case .over: "expired"
            }
        }
    }

    /// What people sign: they need weeks for it.
    static func ofPeople(_ expires: Timestamp, _ now: Timestamp) -> Alarm? {
        if now >= expires { return .over }
        return [7, 30, 90, 180].first { expires.milliseconds - now.milliseconds < $0 * 86_400_000 }.map { .days($0) }
    }

    /// What machines sign.
    /// - Parameter life: days.
    static func ofMachines(_ expires: Timestamp, life: Int64, _ now: Timestamp) -> Alarm? {
        if now >= expires { return .over }
        let left = expires.milliseconds - now.milliseconds
        return [30, 10, 3].first { left * $0 < life * 86_400_000 }.map { .part($0) }
    }

    /// Of all there is, what ends first at the front.
    package static func all(of federation: SignedFederation, root: TUFRoot, now: Timestamp) -> [Expiry] {
        let metadata = federation.metadata
        var all = [people("root", root.common, now)]
        if let snapshot = metadata.snapshot {
            all.append(machine("snapshot", snapshot.common, Publication.snapshotDays, now))
        }
        if let timestamp = metadata.timestamp {
            all.append(machine("timestamp", timestamp.common, Publication.timestampDays, now))
        }
        for (role, targets) in metadata.targets where metadata.has(role) {
            all.append(
                role.hasPrefix("node-")
                    ? machine(role, targets.common, PublishedKeys.days, now) : people(role, targets.common, now))
        }
        for segment in federation.topology.segments {
            guard let pem = federation.files[SignedFederation.authorityPath(segment.id)],
                let facts = CertificateFacts(pem: String(decoding: pem, as: UTF8.self))
            else { continue }
            let expires = Timestamp(milliseconds: facts.notAfter * 1000)
            all.append(
                Expiry(
                    subject: "authority of \(segment.id)", version: nil, expires: expires,
                    alarm: ofPeople(expires, now)))
        }
        return all.sorted { ($0.expires, $0.subject) < ($1.expires, $1.subject) }
    }

    private static func people(_ role: String, _ common: TUFCommon, _ now: Timestamp) -> Expiry {
        Expiry(
            subject: role, version: common.version, expires: common.expires, alarm: ofPeople(common.expires, now))
    }

    private static func machine(_ role: String, _ common: TUFCommon, _ life: Int64, _ now: Timestamp) -> Expiry {
        Expiry(
            subject: role, version: common.version, expires: common.expires,
            alarm: ofMachines(common.expires, life: life, now))
    }
}
