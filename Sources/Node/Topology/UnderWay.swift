import Federation

/// What is under way at the node of a folder, when it can be asked.
enum UnderWay {
    /// For a first sign of life; who gives it may read through a store of years.
    private static let patienceSeconds = 3

    /// - Returns: nil: there is no node, only a topology. A failure: why it does not say.
    static func ask(_ place: String, _ topology: [UInt8]) -> Result<AdminAPI.UnderWay, FederationError>? {
        guard Files.exists(NodeFolder(place).settingsFile) else { return nil }
        do throws(FederationError) {
            _ = try HTTPClient(socket: NodeFolder(place).adminSocket, seconds: patienceSeconds)
                .exchange(AdminAPI.Status.self, "GET", "/api/v1/node")
            return .success(
                try NodeCommands.client(place).exchange(
                    AdminAPI.UnderWay.self, "POST", "/api/v1/topology/diff",
                    body: Output.encode(AdminAPI.NextTopology(topology: String(decoding: topology, as: UTF8.self)))))
        } catch { return .failure(error) }
    }

    static func notKnown(_ error: FederationError) -> String {
        "what is under way is not known: \(error.code): \(error.detail); \(error.remedy)"
    }
}
