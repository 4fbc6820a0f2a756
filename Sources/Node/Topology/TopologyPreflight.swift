import Federation

/// What a newer topology changes, and what it would meet: at the node that is asked, and at the others by what they have last
/// said of themselves. A value: nobody is waited for.
struct TopologyPreflight {
    typealias Finding = TopologyDiff.Finding

    var diff: TopologyDiff
    /// Nil: no node was asked.
    var underWay: AdminAPI.UnderWay?
    /// Why the node does not say what is under way.
    var silence: FederationError?
    /// Nil: what others have said is not wanted.
    var status: FederationStatus?

    /// Those who lose something first.
    var findings: [Finding] {
        var told: Set<String> = []
        let changes = diff.findings.flatMap { finding in
            [finding] + diff.moves.filter { $0.finding == finding }.flatMap { open($0) + waiting($0, &told) }
        }
        let silence = silence.map { [note("under-way-not-known", of: [], UnderWay.notKnown($0))] } ?? []
        let all = held + silence + changes + cutOff + behind + dark
        return all.filter(\.isLoss) + all.filter { !$0.isLoss }
    }

    private func loss(_ code: String, of names: [String], _ text: String) -> Finding {
        Finding(code: code, isLoss: true, names: names, text: text)
    }
    private func note(_ code: String, of names: [String], _ text: String) -> Finding {
        Finding(code: code, isLoss: false, names: names, text: text)
    }

    private static func wait(_ count: some BinaryInteger) -> String {
        "\(Words.count(count, "message")) \(count == 1 ? "waits" : "wait")"
    }

    // MARK: At the node that is asked

    private var held: [Finding] {
        guard let underWay else { return [] }
        let mail = underWay.mail.map {
            loss(
                "mail-for-nobody", of: [$0.destination],
                "\(Words.count($0.count, "message")) (\($0.lane)) \($0.count == 1 ? "waits" : "wait") at \(underWay.node) for "
                    + "\($0.destination), which could not be reached")
        }
        let stranded = underWay.appeals.sorted { $0.key < $1.key }.map {
            loss(
                "appeals-stranded", of: [$0.key],
                "\(Words.count($0.value, "open appeal")) of \($0.key) would be left with nobody")
        }
        let cannot = underWay.cannotVerify.sorted { $0.key < $1.key }.map {
            note("cannot-verify", of: [$0.key], "\($0.key) will not have it (\(Plain.text($0.value)))")
        }
        let resting = diff.resting.compactMap { tenancy -> Finding? in
            let count = underWay.open.reduce(0) { $0 + ($1.tenancy == tenancy ? $1.count : 0) }
            guard count > 0 else { return nil }
            return note(
                "appeals-rest", of: [tenancy],
                "\(Words.count(count, "appeal")) \(count == 1 ? "is" : "are") open at \(tenancy), as \(underWay.node) knows: "
                    + "\(count == 1 ? "it waits" : "they wait") until its node is live again")
        }
        return mail + stranded + resting + cannot
    }

    /// What is open where appeals go elsewhere. The centre knows of all of them, a home of its own.
    private func open(_ move: TopologyDiff.Move) -> [Finding] {
        guard let underWay, !move.oldTenancies.isEmpty,
            underWay.isCentre
                || move.oldTenancies.contains(where: { diff.live.tenancy($0)?.node.text == underWay.node })
        else { return [] }
        let count = underWay.open.reduce(0) { $0 + (isOf(move, $1) ? $1.count : 0) }
        let whose = "of \(move.organisation) \(Words.list(move.subjects))"
        let noun = move.isSpecial ? "special appeal" : "appeal"
        let place = "at \(Words.list(move.oldTenancies)), as \(underWay.node) knows"
        guard count > 0 else {
            return [note("home-appeals", of: move.oldTenancies, "no \(noun) \(whose) is open \(place)")]
        }
        let (are, they) = count == 1 ? ("is", "it") : ("are", "they")
        let what = "\(Words.count(count, noun)) \(whose) \(are) open \(place): "
        switch diff.fate(of: move) {
        case .follow:
            return [note("home-appeals", of: move.oldTenancies, what + "\(they) \(count == 1 ? "follows" : "follow")")]
        case .stay(let why):
            return [
                note(
                    "home-appeals", of: move.oldTenancies,
                    what + "\(they) \(count == 1 ? "stays" : "stay") there, \(why)")
            ]
        case .nobodys:
            // Said of the whole tenancy.
            return []
        }
    }

    private func isOf(_ move: TopologyDiff.Move, _ open: AdminAPI.UnderWay.Open) -> Bool {
        guard move.oldTenancies.contains(open.tenancy), move.subjects.contains(open.subject) else { return false }
        guard open.organisation == move.organisation else { return false }
        return move.isSpecial
            ? open.isSpecial : !(open.isSpecial && diff.hasSpecial(open.organisation, open.subject, on: move.day))
    }

    // MARK: As others have said

    private func said(_ node: FederationStatus.Node) -> String {
        node.heardSeconds.map { "said \(Age(seconds: $0)) ago" } ?? "not heard of yet"
    }

    /// The queue of each old home, once.
    private func waiting(_ move: TopologyDiff.Move, _ told: inout Set<String>) -> [Finding] {
        guard let status else { return [] }
        return move.oldTenancies.filter { told.insert($0).inserted }.compactMap { tenancy -> Finding? in
            guard let id = diff.live.tenancy(tenancy)?.node,
                let node = status.nodes.first(where: { $0.node == id.text })
            else { return nil }
            guard let queue = node.queues.first(where: { $0.tenancy == tenancy }) else {
                return note(
                    "home-queue", of: [tenancy],
                    "what waits at \(tenancy) is not known: \(node.node) has said nothing yet")
            }
            return note(
                "home-queue", of: [tenancy],
                "\(Words.count(queue.waiting, "appeal")) in all \(queue.waiting == 1 ? "waits" : "wait") at \(tenancy) on "
                    + "\(node.node) (\(said(node)))")
        }
    }

    private var live: [FederationStatus.Node] { status?.nodes.filter { $0.link != nil } ?? [] }

    /// What waits for whom it could not reach any more: at the node that is asked as it knows, elsewhere as was said.
    private var cutOff: [Finding] {
        struct Waiting {
            var at: String
            var to: NodeID
            var count: UInt64
            var said: String?
        }
        var waiting: [Waiting] = []
        func look(_ name: String, _ outbox: [String: UInt64], _ said: String?) {
            guard let at = NodeID(name) else { return }
            for (name, count) in outbox {
                guard count > 0, let to = NodeID(name), diff.cutsOff(at, from: to) else { continue }
                waiting.append(Waiting(at: at.text, to: to, count: count, said: said))
            }
        }
        if let underWay {
            // Said already, and worse.
            let nobodys = Set(underWay.mail.map(\.destination))
            look(underWay.node, underWay.outbox.filter { !nobodys.contains($0.key) }, nil)
        }
        let others = live.filter { $0.node != underWay?.node }
        for node in others { look(node.node, node.outboxFor?.mapValues(UInt64.init) ?? [:], said(node)) }
        // A sentence for each node that goes, and for each that stays and loses others.
        var findings: [Finding] = []
        let gone = Dictionary(grouping: waiting.filter { !diff.staysLive($0.to) }, by: \.to)
        for (to, list) in gone.sorted(by: { $0.key < $1.key }) {
            let total = list.reduce(0) { $0 + $1.count }
            let places = list.sorted { $0.at < $1.at }.map { entry in
                let facts = (list.count > 1 ? ["\(entry.count)"] : []) + (entry.said.map { [$0] } ?? [])
                return entry.at + (facts.isEmpty ? "" : " (\(facts.joined(separator: ", ")))")
            }
            findings.append(
                loss(
                    "mail-cut-off", of: [to.text],
                    "\(Self.wait(total)) for \(to), which could not be reached any more, at \(Words.list(places))"))
        }
        let lost = Dictionary(grouping: waiting.filter { diff.staysLive($0.to) }, by: \.at)
        for (at, list) in lost.sorted(by: { $0.key < $1.key }) {
            let total = list.reduce(0) { $0 + $1.count }
            findings.append(
                loss(
                    "mail-cut-off", of: [at],
                    "\(Self.wait(total)) at \(at) for \(Words.list(list.map(\.to.text).sorted())), which it could not reach "
                        + "any more" + (list[0].said.map { " (\($0))" } ?? "")))
        }
        let silent = others.filter { $0.outboxFor == nil && $0.outbox?.waiting ?? 0 > 0 && mayLose($0) }
        if !silent.isEmpty {
            let names = silent.map { "\($0.node) (\($0.outbox?.waiting ?? 0), \(said($0)))" }.sorted()
            findings.append(
                note(
                    "mail-not-known", of: silent.map(\.node).sorted(),
                    "for whom mail waits is not known at \(Words.list(names)): an earlier release does not say"))
        }
        return findings
    }

    private func mayLose(_ node: FederationStatus.Node) -> Bool {
        guard let at = NodeID(node.node) else { return false }
        return diff.live.nodes.contains { $0.id != at && diff.cutsOff(at, from: $0.id) }
    }

    /// Who has not taken what is in force, or hears of nothing newer: it may not take this one either.
    private var behind: [Finding] {
        guard let status else { return [] }
        var findings: [Finding] = []
        let older = live.filter { $0.topologyVersion.map { $0 < status.topologyVersion } ?? false }
        for (version, nodes) in Dictionary(grouping: older, by: { $0.topologyVersion ?? 0 }).sorted(by: {
            $0.key < $1.key
        }) {
            let names = nodes.map { "\($0.node) (\(said($0)))" }.sorted()
            findings.append(
                note(
                    "topology-behind", of: nodes.map(\.node).sorted(),
                    "\(Words.list(names)) \(nodes.count == 1 ? "goes" : "go") by topology \(version), \(status.topologyVersion) is "
                        + "in force: \(nodes.count == 1 ? "it" : "they") may not take this one either"))
        }
        func age(_ node: FederationStatus.Node) -> Int64 {
            // Who is dark has verified nothing since.
            Int64(clamping: node.metadataAgeSeconds ?? 0) + (node.darkSeconds == nil ? 0 : node.heardSeconds ?? 0)
        }
        for (least, most, words) in [
            (Freshness.hardMilliseconds, Int64.max, "nothing new is admitted there, no node, right or key"),
            (Freshness.warnMilliseconds, Freshness.hardMilliseconds, "see why, before others go by this one"),
        ] {
            let stale = live.filter { (least / 1000..<most / 1000).contains(age($0)) }
            guard !stale.isEmpty else { continue }
            let names = stale.sorted { $0.node < $1.node }.map { "\($0.node) (for \(Age(seconds: age($0))))" }
            findings.append(
                note(
                    "metadata-stale", of: stale.map(\.node).sorted(),
                    "\(Words.list(names)) \(stale.count == 1 ? "has" : "have") verified no newer signed metadata: \(words)"
                ))
        }
        return findings
    }

    private var dark: [Finding] {
        guard status != nil else { return [] }
        let dark = live.filter { $0.darkSeconds != nil || $0.heard == nil }
        let (answered, all) = (live.count - dark.count, live.count)
        return dark.map { node in
            let since = node.darkSeconds.map { " for \(Age(seconds: $0))" } ?? ""
            let will = NodeID(node.node).map(diff.staysLive) ?? false ? "it will have it when it is back; " : ""
            return note(
                "node-dark", of: [node.node],
                "\(node.node) is dark\(since): \(will)what has come there since is not known")
        } + [
            note(
                "answered", of: live.filter { $0.darkSeconds == nil && $0.heard != nil }.map(\.node).sorted(),
                "\(answered) of \(Words.count(all, "node")) \(answered == 1 ? "has said how it is" : "have said how they are")"
            )
        ]
    }
}
