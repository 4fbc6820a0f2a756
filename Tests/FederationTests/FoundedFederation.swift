import FederationTestKit
import Testing

@testable import Federation

/// A federation whose signed metadata has just begun: a centre and subjects, and the three invented holders.
final class FoundedFederation {
    let folder: TemporaryFolder
    let holders: OpenCeremony
    /// Hours go by as a test says.
    var now = Clocks.wall()
    private(set) var answers: [EnrolmentAnswer] = []

    static func topology(_ version: Int, _ leaves: [(String, String)] = [("subject-77", "live")]) -> [UInt8] {
        let nodes = leaves.map { #", {"id": "\#($0.0)", "segment": "oszn", "state": "\#($0.1)", "addresses": []}"# }
        let links = leaves.map { #"{"dials": "\#($0.0)", "listens": "centre"}"# }
        return Array(
            """
            // Of a test.
            { "format": 2, "version": \(version), "federation": "ekc.test",
              "segments": [ {"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"} ],
              "nodes": [ {"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:7410"]}\(nodes.joined()) ],
              "rights": [
                {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
                {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]} ],
              "tenancies": [], "homes": [], "special": [], "links": [ \(links.joined(separator: ", ")) ] }
            """.utf8)
    }

    /// - Parameter carried: the nodes are known by pins, as before metadata was signed.
    init(carried: Bool = false, isFounded: Bool = true) throws {
        folder = try TemporaryFolder()
        holders = try OpenCeremony(folder.path + "/holders")
        for segment in ["centre", "oszn"] {
            _ = try Authority.create(folder.path + "/ca-" + segment, segment: segment, federation: "ekc.test")
        }
        answers = [try enrol("centre", "centre"), try enrol("subject-77", "oszn")]
        guard isFounded else { return }
        var founding = try founding()
        if carried {
            var pins = Pins(federation: "ekc.test")
            for answer in answers { try pins.add(answer) }
            founding.pins = pins
        } else {
            founding.answers = answers
        }
        var proposal = try founding.proposal(reason: "test", now: now)
        try holders.sign(&proposal)
        _ = try centre.found(proposal, tree: tree, now: now)
    }

    func enrol(_ node: String, _ segment: String, replacing: Bool = false) throws -> EnrolmentAnswer {
        let place = NodeFolder("\(folder.path)/\(node)\(replacing ? "-again" : "")")
        let request = try place.create(NodeSettings(node: node, segment: segment, federation: "ekc.test"))
        return try Authority(folder.path + "/ca-" + segment).issue(
            request, replacing: replacing, now: Clocks.wall())
    }

    var centre: NodeFolder { NodeFolder(folder.path + "/centre") }
    var tree: TrustFolder { TrustFolder(folder.path + "/tree") }

    func founding() throws -> Founding {
        let online = try centre.makeOnlineKeys()
        return try holders.founding(
            FoundedFederation.topology(1), snapshot: online.snapshot.key, timestamp: online.timestamp.key)
    }

    func current() throws -> TrustFolder.Loaded { try centre.trust.load() }

    func propose(_ change: (inout ProposalDraft) throws -> Void) throws -> Proposal {
        var draft = ProposalDraft()
        try change(&draft)
        now = now.advanced(byMilliseconds: 1000)
        return try draft.proposal(after: try current(), reason: "a change", now: now)
    }

    /// As the centre does it: what follows, verified as by every node, then kept.
    @discardableResult
    func publish(_ proposal: Proposal) throws -> SignedFederation {
        let current = try current()
        let online = try centre.makeOnlineKeys()
        let published = try Publication.following(
            current.baseline, current.inForce, proposal, snapshot: online.snapshot, timestamp: online.timestamp,
            now: now)
        try centre.trust.keep(published.roots)
        try centre.trust.commit(published.state)
        try centre.keep(proposal)
        return published.state
    }

    /// A newer timestamp, as the centre signs one every ten minutes.
    func renew() throws {
        let current = try current()
        let online = try centre.makeOnlineKeys()
        try centre.trust.commit(
            try Publication.renewed(
                current.baseline, current.inForce, snapshot: online.snapshot, timestamp: online.timestamp, now: now
            ).state)
    }

    @discardableResult
    func signAndPublish(_ proposal: Proposal) throws -> SignedFederation {
        var proposal = proposal
        try holders.sign(&proposal)
        return try publish(proposal)
    }

    func key(_ name: String, _ role: String) throws -> SigningKey {
        try SigningKey.read(holders.path(role, name), holder: name)
    }

    func newKey(_ holder: String) throws -> SigningKey {
        made += 1
        return try SigningKey.create("\(folder.path)/new-\(made).key", holder: holder)
    }
    private var made = 0
}

/// The code of what a body throws; nil: nothing.
func code(of body: () throws -> Void) -> String? {
    do { try body() } catch let error as FederationError { return error.code } catch let error as TUFFault {
        return error.code.rawValue
    } catch { return "\(error)" }
    return nil
}
