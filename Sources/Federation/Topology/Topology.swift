import Glibc

/// Which nodes there are, who may talk to whom, and whose appeals are at home where. Valid by construction: `read` gives
/// either a topology in which everything fits or every fault at once.
package struct Topology: Sendable {
    /// An organisation that takes part, and from when to when; what it was, another may go on with (PFR and FSS became the
    /// Social Fund on 2023-01-01). All but OSZN have a first line.
    package struct Participant: Sendable, Hashable {
        package var id: String
        /// ISO 8601; nil: from the beginning on.
        package var from: String?
        /// The first day on which it is no more.
        package var to: String?
        /// Who goes on with what is its own.
        package var successor: String?
    }

    /// Of a file that names none: those of 2022.
    static let firstParticipants = ["OSZN", "PFR", "FSS", "MSE", "ROSTRUD"]

    /// An organisation's code: what a participant may be called.
    package static func isOrganisation(_ text: String) -> Bool {
        (2...16).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
    }

    /// A subject's code: two digits.
    package static func isSubject(_ text: String) -> Bool {
        text.utf8.count == 2 && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    package enum NodeState: String, Sendable, CaseIterable { case planned, live, suspended, retired }

    package struct Segment: Sendable, Hashable {
        package var id: String
        package var profile: String
    }

    package struct Address: Sendable, Hashable, CustomStringConvertible {
        package var host: String
        package var port: UInt16
        package var description: String { "\(host):\(port)" }

        /// However it is spelt: one text of an IP address, names in lower case without the last dot.
        var canonical: Address {
            var bytes = in6_addr()
            for text in [host, "::ffff:" + host] where inet_pton(AF_INET6, text, &bytes) == 1 {
                return Address(host: withUnsafeBytes(of: bytes) { Hex.encode($0) }, port: port)
            }
            let name = host.lowercased()
            return Address(host: name.hasSuffix(".") ? String(name.dropLast()) : name, port: port)
        }

        package init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }
    }

    package struct Node: Sendable, Hashable {
        package var id: NodeID
        package var segment: String
        package var subject: String?
        package var state: NodeState
        package var addresses: [Address]
    }

    package struct Tenancy: Sendable, Hashable {
        package var id: String
        package var organisation: String
        package var node: NodeID
        package var lines: [String]
        package var open: Bool
        package var dueMinutes: Int
        /// What the operator says while the node is not live, in Russian.
        package var fallback: String?
    }

    package struct Home: Sendable, Hashable {
        package var organisation: String
        package var subjects: [String]
        package var tenancy: String
        /// ISO 8601 dates; `to` is the first day on which it is no longer so.
        package var from: String
        package var to: String?
    }

    package struct Special: Sendable, Hashable {
        package var organisation: String
        /// Nil: all.
        package var subjects: [String]?
        package var tenancy: String
    }

    package struct Link: Sendable, Hashable {
        package var dials: NodeID
        package var listens: NodeID
    }

    package internal(set) var version: UInt64
    package internal(set) var federation: String
    package internal(set) var segments: [Segment]
    package internal(set) var nodes: [Node]
    package internal(set) var tenancies: [Tenancy]
    package internal(set) var homes: [Home]
    package internal(set) var special: [Special]
    package internal(set) var links: [Link]
    package internal(set) var rights: Rights
    package internal(set) var participants: [Participant]
    /// Of the topologies that were in force before.
    package internal(set) var history = RightsHistory()

    private var byID: [NodeID: Node]
    /// By place in `segments`, for what is asked for each message: bit k of row × column, kind k.
    private let segmentOf: [NodeID: Int]
    private let matrix: [UInt64]
    private let tenancyByID: [String: Tenancy]
    private let ways: Ways

    init(_ draft: TopologyDraft) {
        version = draft.version
        federation = draft.federation
        // A draft without faults has whole entries only.
        segments = draft.segments.compactMap(\.value.whole)
        nodes = draft.nodes.compactMap(\.value.whole)
        tenancies = draft.tenancies.compactMap(\.value.whole)
        homes = draft.homes.compactMap(\.value.whole)
        special = draft.special.compactMap(\.value.whole)
        links = draft.links.compactMap(\.value.whole)
        rights = draft.matrix
        participants = draft.participants.compactMap(\.value.whole)
        byID = Dictionary(nodes.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        tenancyByID = Dictionary(tenancies.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        ways = Ways(
            nodes.map(\.id), links, relays: Set(nodes.filter { $0.state == .live }.map(\.id)))
        let places = Dictionary(
            segments.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        segmentOf = byID.compactMapValues { places[$0.segment] }
        let (rights, names) = (rights, segments.map(\.id))
        matrix = names.flatMap { from in
            names.map { to in rights.kinds[Rights.Pair(from: from, to: to), default: 0] }
        }
    }

    /// The same with other addresses of some nodes.
    func reached(at addresses: [NodeID: [Address]]) -> Topology {
        var topology = self
        for index in nodes.indices {
            guard let own = addresses[nodes[index].id] else { continue }
            topology.nodes[index].addresses = own
            topology.byID[nodes[index].id]?.addresses = own
        }
        return topology
    }

    package func node(_ id: NodeID) -> Node? { byID[id] }

    /// Whether one node may send a kind of message to another. What is published for everyone goes to whom it may.
    package func allows(_ kind: MessageKind, from: NodeID, to: NodeID) -> Bool {
        guard let row = segmentOf[from] else { return false }
        guard to != .everyone else {
            return segments.indices.contains { matrix[row * segments.count + $0] & 1 << kind.rawValue != 0 }
        }
        guard let column = segmentOf[to] else { return false }
        return kind.isExchangeOwn || matrix[row * segments.count + column] & 1 << kind.rawValue != 0
    }

    /// What becomes of a message that has come here.
    package func verdict(
        on kind: MessageKind, from: NodeID, to: NodeID, sentUnder version: UInt64
    ) -> RightVerdict {
        if allows(kind, from: from, to: to) { return .allowed }
        if version > self.version { return .awaitsTopology }
        guard version < self.version, let sender = byID[from]?.segment else { return .denied }
        let receiver = to == .everyone ? nil : byID[to]?.segment
        guard to == .everyone || receiver != nil else { return .denied }
        return history.allowed(kind, from: sender, to: receiver, under: version) ? .changed : .denied
    }

    /// Who has what is an organisation's on a day: itself, or who goes on after its end.
    package func acting(_ organisation: String, on day: String) -> String {
        var acting = organisation
        for _ in participants {
            guard let entry = participants.first(where: { $0.id == acting }), let to = entry.to, to <= day,
                let next = entry.successor
            else { break }
            acting = next
        }
        return acting
    }

    /// Whether a tenancy of one organisation may have what another's is: its own, or a predecessor's.
    package func isServed(_ organisation: String, by other: String) -> Bool {
        Topology.successors(of: organisation, participants).contains(other)
    }

    /// An organisation, then who goes on with what is its own, one after the other.
    static func successors(of organisation: String, _ participants: [Participant]) -> [String] {
        var chain = [organisation]
        while let next = participants.first(where: { $0.id == chain[chain.count - 1] })?.successor,
            !chain.contains(next)
        {
            chain.append(next)
        }
        return chain
    }

    package func tenancy(_ id: String) -> Tenancy? { tenancyByID[id] }

    /// The one node of segment `centre`.
    package var centre: NodeID? { nodes.first { $0.segment == "centre" }?.id }

    /// Every pair (organisation, subject) that some home covers, in order.
    package var subjects: [String] { Set(homes.flatMap(\.subjects)).sorted() }
    package var organisations: [String] { Set(homes.map(\.organisation)).sorted() }

    /// The nodes that this one dials.
    package func dials(_ id: NodeID) -> [NodeID] { links.filter { $0.dials == id }.map(\.listens) }
    package func listens(_ id: NodeID) -> [NodeID] { links.filter { $0.listens == id }.map(\.dials) }

    package func areLinked(_ one: NodeID, _ other: NodeID) -> Bool {
        links.contains { ($0.dials == one && $0.listens == other) || ($0.dials == other && $0.listens == one) }
    }
}

extension Topology: Routes {
    package func nextHop(from: NodeID, to: NodeID) -> NodeID? { ways.nextHop(from: from, to: to) }
    package var topologyVersion: UInt64 { version }
    package var publisher: NodeID? { centre }

    package func verdict(on header: EnvelopeHeader) -> RightVerdict {
        verdict(
            on: header.kind, from: header.stream.origin, to: header.stream.destination,
            sentUnder: header.topologyVersion)
    }
}

/// One thing that is wrong in a topology file, where, and how to put it right.
package struct TopologyFault: Error, Sendable, Hashable {
    package var line: Int
    package var column: Int
    /// Kebab-case.
    package var code: String
    package var message: String
    package var remedy: String
}

package struct TopologyFaults: Error, Sendable {
    package var faults: [TopologyFault]
}
