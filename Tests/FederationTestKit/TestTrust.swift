package import Federation

/// Holders of keys for tests: made once a process, as making and syncing nine files costs more than most tests.
package enum TestTrust {
    private static let made = Result {
        let folder = try TemporaryFolder()
        let online = NodeFolder(folder.path + "/online")
        try Files.makeFolder(online.path + "/keys", mode: 0o700)
        for key in [online.snapshotKey, online.timestampKey] { _ = try SigningKey.create(key) }
        return (folder, try OpenCeremony(folder.path + "/holders"), online)
    }

    package static func ceremony() throws -> OpenCeremony { try made.get().1 }

    /// Puts any topology and any pins in force at a stopped node, signed; nobody's online keys are left in the node's folder.
    package static func put(_ topology: [UInt8], _ pins: Pins, in place: NodeFolder) throws {
        try place.trust.replace(with: state(topology, pins))
    }

    /// Nodes that are given the same share one federation, byte for byte.
    private static let last = Monitor<(topology: [UInt8], pins: Pins, state: SignedFederation)?>(nil)

    private static func state(_ topology: [UInt8], _ pins: Pins) throws -> SignedFederation {
        let known = last.changeQuietly { $0 }
        if let known, known.topology == topology, known.pins == pins { return known.state }
        let state = try ceremony().first(topology, answers: [], pins: pins, centre: made.get().2, now: Clocks.wall())
        last.changeQuietly { $0 = (topology, pins, state) }
        return state
    }

    /// What is in force at a stopped node, changed.
    package static func change(
        _ place: NodeFolder, topology: ([UInt8]) -> [UInt8] = { $0 }, pins: (Pins) throws -> Pins = { $0 }
    ) throws {
        let state = try place.trust.load().inForce
        try put(topology(state.files[SignedFederation.topologyPath] ?? []), try pins(state.pins), in: place)
    }
}
