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
        try Files.write(scheme.file(port: port), to: folder.path + "/topology.json")
    }

    /// A newer topology is signed by two of three, published at the centre, and spreads from neighbour to neighbour.
    func publishTopology(_ text: [UInt8], reason: String) throws -> AdminAPI.Published {
        let folder = node(Demo.centre).folder
        let state = try folder.trust.load().inForce
        let proposal = try ceremony.proposal(text, after: state, reason: reason, now: Clocks.wall())
        return try NodeCommands.client(folder.path)
            .exchange(
                AdminAPI.Published.self, "POST", "/api/v1/topology/publish",
                body: Output.encode(
                    AdminAPI.NewPublication(proposal: String(decoding: proposal.bytes, as: UTF8.self))))
    }

    func topologyVersion(at name: String) throws -> UInt64 {
        try NodeCommands.client(node(name).folder.path)
            .exchange(AdminAPI.Status.self, "GET", "/api/v1/node").topologyVersion
    }
}
