import Federation
import FoundationEssentials

/// Keys, authorities and the signed topology of the demo: what people do in a ceremony, done by itself.
extension Demo {
    private var ceremony: OpenCeremony {
        get throws(FederationError) { try OpenCeremony(options.directory + "/holders") }
    }

    /// Every node has its keys, its certificate and what central operations have published.
    func enrol() throws {
        var answers: [EnrolmentAnswer] = []
        for segment in topology.segments {
            _ = try Authority.create(
                options.directory + "/authority-" + segment.id, segment: segment.id, federation: topology.federation)
        }
        for entry in topology.nodes {
            let folder = node(entry.id.text).folder
            let request = try folder.create(
                NodeSettings(
                    node: entry.id.text, segment: entry.segment, federation: topology.federation, anyPorts: true))
            let answer = try Authority(options.directory + "/authority-" + entry.segment).issue(
                request, now: Clocks.wall())
            try folder.install(answer)
            answers.append(answer)
        }
        let published = try ceremony.begin(
            scheme.file(port: 0), answers: answers, centre: node(Demo.centre).folder, now: Clocks.wall())
        for entry in topology.nodes where entry.id.text != Demo.centre {
            _ = try node(entry.id.text).folder.trust.install(from: published, anchor: nil, now: Clocks.wall())
        }
        guard options.previous != nil else { return }
        // The release before knows nothing of signed metadata.
        var pins = Pins(federation: topology.federation)
        for answer in answers { try pins.add(answer) }
        for entry in topology.nodes { try TrustFile.write(pins, to: node(entry.id.text).folder.path + "/pins.json") }
    }

    /// Where the centre is to be found from a node: one signed topology is for all, addresses differ.
    func setAddress(_ name: String, port: UInt16) throws {
        let folder = node(name).folder
        var settings = try folder.settings()
        settings.addresses = [Demo.centre: ["127.0.0.1:\(port)"]]
        try TrustFile.write(settings, to: folder.settingsFile)
        guard options.previous != nil else { return }
        try Files.write(try DemoScheme.withoutRights(scheme.file(port: port)), to: folder.path + "/topology.json")
    }

    /// A newer topology is signed by two of three, published at the centre, and spreads from neighbour to neighbour.
    func publishTopology(_ text: [UInt8], reason: String) throws -> AdminAPI.Published {
        try publish(try ceremony.proposal(text, after: try published(), reason: reason, now: Clocks.wall()))
    }

    /// What is in force at the centre.
    private func published() throws -> SignedFederation { try node(Demo.centre).folder.trust.load().inForce }

    /// One security administrator takes a node out; everybody hears of it; those of targets lift it.
    func denyAndLift() throws {
        guard let name = topology.nodes.last?.id else { return }
        let begun = Clocks.monotonicMicroseconds()
        func passed() -> String { "\((Clocks.monotonicMicroseconds() - begun) / 1000) ms" }
        progress("\(name) is taken out, by one signature")
        _ = try publish(
            try ceremony.denial(of: name, after: try published(), reason: "its disk was stolen", now: Clocks.wall()))
        try wait("the last session of \(name)") { try sessions(of: name.text) == 0 }
        progress("its last session is closed after \(passed()) (goal: 5 s)")
        try wait("what every node knows") {
            try nodes.keys.allSatisfy { other in
                try other == name.text || metadata(at: other).denied == [name.text]
            }
        }
        progress("all \(nodes.count - 1) others have verified it after \(passed())")
        let ids = try published().denied.map(\.id)
        _ = try publish(
            try ceremony.lift(ids, after: try published(), reason: "it was found again", now: Clocks.wall()))
        try wait("\(name)") { try sessions(of: name.text) > 0 }
        progress("lifted by two of three; \(name) is back after \(passed())")
    }

    /// At both ends.
    private func sessions(of name: String) throws -> Int {
        let here = try status(at: name).links.count { $0.state == "running" }
        let there = try status(at: Demo.centre).links.count { $0.peer == name && $0.state == "running" }
        return here + there
    }

    private func status(at name: String) throws -> AdminAPI.Status {
        try NodeCommands.client(node(name).folder.path).exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
    }

    private func metadata(at name: String) throws -> AdminAPI.Status.Metadata { try status(at: name).metadata }

    private func publish(_ proposal: Proposal) throws -> AdminAPI.Published {
        try NodeCommands.client(node(Demo.centre).folder.path)
            .exchange(
                AdminAPI.Published.self, "POST", "/api/v1/topology/publish",
                body: Output.encode(
                    AdminAPI.NewPublication(proposal: String(decoding: proposal.bytes, as: UTF8.self))))
    }

    func topologyVersion(at name: String) throws -> UInt64 { try status(at: name).topologyVersion }
}
