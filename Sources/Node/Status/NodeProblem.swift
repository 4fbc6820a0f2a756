import Federation

/// Something wrong with a node: what, and the command that helps. In it `DIR` stands for the folder of who asks.
struct NodeProblem: Codable, Equatable {
    /// Of two nodes the one whose worst problem stands earlier here comes first.
    enum Code: String, Codable, CaseIterable {
        case dark
        case refused
        case metadataOnly = "metadata-only"
        case metadataStale = "metadata-stale"
        case nodeRewound = "node-rewound"
        case lost
        case controlOnly = "control-only"
        case countsDisagree = "counts-disagree"
        case keyEnding = "key-ending"
        case storeFilling = "store-filling"
        case clockSkew = "clock-skew"
        case paused
        case denied
        case mailWaits = "mail-waits"
        case roomClosed = "room-closed"
        case held
        case overdue
        case silent
        case topologyBehind = "topology-behind"
        case knowledgeBehind = "knowledge-behind"
        case missing
    }

    var code: Code
    /// It hurts already, or will within days.
    var isUrgent: Bool
    var what: String
    var remedy: String

    static let renewal =
        "have ekc authority issue answer request.json, ekc node init DIR --answer FILE, then start it again"

    var rank: Int { (isUrgent ? 0 : 100) + (Code.allCases.firstIndex(of: code) ?? 0) }
}

/// From where on something is a problem.
enum StatusLimits {
    static let mailMilliseconds: Int64 = 10 * 60_000
    /// Times of somebody else are taken with a tolerance of five minutes.
    static let skewMilliseconds: (warning: Int64, urgent: Int64) = (30_000, 300_000)
    static let certificateDays: (warning: Int64, urgent: Int64) = (10, 3)
    static let authorityDays: (warning: Int64, urgent: Int64) = (180, 30)
    /// Hundredths of the quota: at 80 intake stops.
    static let storeShare: (warning: UInt64, urgent: UInt64) = (70, 80)
    static let diskBytes: (warning: UInt64, urgent: UInt64) = (1 << 30, 256 << 20)
    static let stuckMilliseconds: Int64 = 60_000
    static let dayMilliseconds: Int64 = 86_400_000
}

extension NodeCondition {
    /// What is wrong with the node, the worst first.
    /// - Parameter topologyVersion: of who asks.
    func problems(at now: Timestamp, topologyVersion: UInt64, published: UInt64) -> [NodeProblem] {
        guard state == .live, let link else { return [] }
        if isDenied {
            return [
                NodeProblem(
                    code: .denied, isUrgent: false, what: "a security administrator has taken it out",
                    remedy: "ekc topology status DIR says why; those of targets lift it")
            ]
        }
        var found = linkProblems(link, at: now)
        if let report {
            found += storeProblems(report, at: now) + keyProblems(report, at: now)
            found += queueProblems(report)
            if link.isUp { found += behind(report, at: now, topologyVersion, published) }
        }
        return found.sorted { $0.rank < $1.rank }
    }

    private func linkProblems(_ link: Link, at now: Timestamp) -> [NodeProblem] {
        var found: [NodeProblem] = []
        func add(_ code: NodeProblem.Code, _ isUrgent: Bool, _ what: String, _ remedy: String) {
            found.append(NodeProblem(code: code, isUrgent: isUrgent, what: what, remedy: remedy))
        }
        let age = Age(from: darkSince ?? link.since, to: now)
        let waits = mail.map { $0.waiting > 0 ? "; \($0.waiting) messages wait for it" : "" } ?? ""
        let why = link.why.map { " (\($0))" } ?? ""
        switch link.state {
        case "running", "here": break
        case "paused":
            let via = link.via.map { ", behind \($0)" } ?? ""
            add(
                .paused, false, "its link is paused for \(age)\(via)\(why)\(waits)",
                "ekc link resume DIR \(link.via ?? node)")
        case "refused":
            add(.refused, true, "one end accepts nothing of the other for \(age)\(why)\(waits)", "ekc node status DIR")
        case "metadata-only":
            add(
                .metadataOnly, true, "nothing but signed metadata passes for \(age)\(why)\(waits)",
                "at the node whose certificate has ended: \(NodeProblem.renewal); if none has, set the clocks by NTP")
        case _ where link.isPaused:
            add(.paused, false, "its link is paused at the other end for \(age)\(waits)", "ekc link resume there")
        case _ where link.why?.contains("store-damaged") == true:
            add(
                .dark, true, "it works no more for \(age): its store is damaged\(waits)",
                "at \(node): ekc node status says what, and the way back")
        default:
            let via = link.via.map { ", behind \($0)" } ?? ""
            add(
                .dark, true, "dark for \(age)\(via)\(why)\(waits)",
                link.via == nil ? "ekc link test DIR \(node)" : "ekc link test DIR \(link.via?.text ?? "")")
        }
        let said = heard ?? link.since
        if link.isUp, now.milliseconds - said.milliseconds > FederationObservation.silenceMilliseconds {
            add(
                .silent, false, "it has said nothing of itself for \(Age(from: said, to: now))",
                "bring it to release 0.2.0, or see its log")
        }
        if let skew = link.skew, abs(skew) >= StatusLimits.skewMilliseconds.warning {
            add(
                .clockSkew, abs(skew) >= StatusLimits.skewMilliseconds.urgent,
                "its clock is \(abs(skew) / 1000) s \(skew > 0 ? "ahead" : "behind")",
                "set the clock there by NTP; ekc node check there says more")
        }
        if link.isUp, let mail, mail.waiting > 0, let oldest = mail.oldest,
            now.milliseconds - oldest.milliseconds > StatusLimits.mailMilliseconds
        {
            add(
                .mailWaits, false, "\(mail.waiting) messages wait for it, the oldest for \(Age(from: oldest, to: now))",
                "ekc outbox list DIR")
        }
        return found
    }

    private func storeProblems(_ report: NodeReport, at now: Timestamp) -> [NodeProblem] {
        var found: [NodeProblem] = []
        func add(_ code: NodeProblem.Code, _ isUrgent: Bool, _ what: String, _ remedy: String) {
            found.append(NodeProblem(code: code, isUrgent: isUrgent, what: what, remedy: remedy))
        }
        if report.isRewound {
            add(
                .nodeRewound, true, "its store is behind what its peers have seen",
                "at the node: find out why, then ekc node init DIR --new-incarnation --reason …")
        }
        if report.isControlOnly {
            add(
                .controlOnly, true,
                "its store was put back, and its messages wait until neighbours agree on the metadata",
                "at the node: ekc node status DIR says whom it waits for; mend its links with them")
        }
        if report.lost > 0 {
            add(.lost, true, "\(report.lost) messages are gone for good", "at the node: gap-lost in its log names them")
        }
        if report.unbalanced > 0 {
            add(
                .countsDisagree, true, "the two ends of \(report.unbalanced) streams count differently",
                "at the node: ekc node status DIR names them")
        }
        let share = report.quotaBytes == 0 ? 0 : report.usedBytes / max(1, report.quotaBytes / 100)
        if share >= StatusLimits.storeShare.warning || report.diskBytes < StatusLimits.diskBytes.warning {
            add(
                .storeFilling,
                share >= StatusLimits.storeShare.urgent || report.diskBytes < StatusLimits.diskBytes.urgent,
                "its store is \(share) % full, its disk still takes \(report.diskBytes >> 20) MiB",
                "at the node: ekc store stat DIR; free the disk, or raise quotaBytes in node.json")
        }
        if let oldest = report.oldest, now.milliseconds - oldest.milliseconds > StatusLimits.mailMilliseconds {
            add(
                .mailWaits, false,
                "\(report.waiting) messages wait in its outbox, the oldest for \(Age(from: oldest, to: now))",
                "at the node: ekc outbox list DIR")
        }
        if report.closedRooms > 0 {
            add(
                .roomClosed, false, "\(report.closedRooms) rooms of its outbox are full for others",
                "at the node: ekc outbox list DIR says whose")
        }
        let held = report.quarantined + report.heldElsewhere
        if held > 0 {
            add(
                .held, false,
                "\(report.quarantined) messages are held there, \(report.heldElsewhere) of its own elsewhere",
                "at the node: ekc quarantine list DIR")
        }
        if report.missing > 0 {
            add(
                .missing, false, "\(report.missing) messages are being got back from peers",
                "wait; ekc node status DIR at the node shows them")
        }
        return found
    }

    private func keyProblems(_ report: NodeReport, at now: Timestamp) -> [NodeProblem] {
        keys(at: now).compactMap { key in
            let limits = key.name == "link" ? StatusLimits.certificateDays : StatusLimits.authorityDays
            guard key.days < limits.warning else { return nil }
            let words = key.name == "link" ? "the certificate of its link key" : "its segment's authority"
            return NodeProblem(
                code: .keyEnding, isUrgent: key.days < limits.urgent,
                what: key.ends <= now ? "\(words) has ended" : "\(words) ends in \(key.days) days",
                remedy: key.name == "link"
                    ? "at the node: \(NodeProblem.renewal)"
                    : "make a new authority with the security administrator of its segment")
        }
    }

    private func queueProblems(_ report: NodeReport) -> [NodeProblem] {
        let overdue = tenancies.filter { queue($0)?.overdue ?? 0 > 0 }
        guard !overdue.isEmpty else { return [] }
        let counts = overdue.map { "\($0): \(queue($0)?.overdue ?? 0)" }.joined(separator: ", ")
        return [
            NodeProblem(
                code: .overdue, isUrgent: false, what: "appeals wait past their due time: \(counts)",
                remedy: "call the tenancy: its people are missing, or too few")
        ]
    }

    private func behind(
        _ report: NodeReport, at now: Timestamp, _ topologyVersion: UInt64, _ published: UInt64
    ) -> [NodeProblem] {
        var found: [NodeProblem] = []
        if report.metadataAge >= UInt64(Freshness.warnMilliseconds) {
            found.append(
                NodeProblem(
                    code: .metadataStale, isUrgent: report.metadataAge >= UInt64(Freshness.hardMilliseconds),
                    what:
                        "it has verified no newer signed metadata for \(Age(seconds: Int64(report.metadataAge / 1000)))",
                    remedy:
                        "at the node: its log says why it refuses it; at the centre: see whether it signs the timestamp"
                ))
        }
        if report.topologyVersion != topologyVersion {
            found.append(
                NodeProblem(
                    code: .topologyBehind, isUrgent: false,
                    what: "it goes by topology \(report.topologyVersion), here \(topologyVersion) is in force",
                    remedy: "at the lower one: its log says why it has not taken the newer, or that it needs a restart")
            )
        }
        if let stuck = stuckSince, now.milliseconds - stuck.milliseconds > StatusLimits.stuckMilliseconds {
            found.append(
                NodeProblem(
                    code: .knowledgeBehind, isUrgent: false,
                    what: "it knows \(report.knowledge) of \(published) entries, and no more for "
                        + "\(Age(from: stuck, to: now))",
                    remedy: "ekc link test DIR \(node); at the node: ekc store stat DIR, its log"))
        }
        return found
    }

    struct Key {
        /// link, authority.
        var name: String
        var ends: Timestamp
        /// Whole days that are left; below 0: it has ended.
        var days: Int64
    }

    /// When each key of the node ends.
    func keys(at now: Timestamp) -> [Key] {
        guard let report else { return [] }
        return [("link", report.certificateEnds), ("authority", report.authorityEnds)].compactMap { name, ends in
            guard ends.milliseconds > 0 else { return nil }
            let left = Double(ends.milliseconds - now.milliseconds) / Double(StatusLimits.dayMilliseconds)
            return Key(name: name, ends: ends, days: Int64(left.rounded(.down)))
        }
    }
}

/// How long something lasts, in words: `3 d`, `5 h`, `12 min`, `40 s`.
struct Age: CustomStringConvertible {
    var seconds: Int64

    init(seconds: Int64) { self.seconds = max(0, seconds) }

    init(from: Timestamp, to: Timestamp) { self.init(seconds: (to.milliseconds - from.milliseconds) / 1000) }

    var description: String {
        switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }
}
