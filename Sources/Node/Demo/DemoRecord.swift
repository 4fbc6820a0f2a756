import Federation
import FoundationEssentials

/// What a demo was asked for, and what was done to it: `demo.json` in its folder, written when everything has drained, so
/// that its stores can be counted against it later.
struct DemoRecord: Codable {
    var format = 1
    var nodes: Int
    var appeals: Int
    var entries: Int
    var seed: UInt64
    /// Each has a journal.
    var channels: Int
    var kills = 0
    var cuts = 0
    /// Nodes that went on with another release.
    var changes = 0
    /// Envelopes kept by the killed node, the smaller of two kills.
    var inFlightAtKill: UInt64?
    var seconds = 0.0
    /// Of a load: milliseconds until each appeal was accepted, the fastest first.
    var waits: [Int]?
    /// When the home of PFR 50 moved, ISO 8601.
    var movedOn: String?

    init(_ options: Demo.Options) {
        nodes = options.nodes
        appeals = options.appeals
        entries = options.entries
        seed = options.seed
        channels = Demo.channels.count
    }

    static func path(_ directory: String) -> String { directory + "/demo.json" }

    func write(to directory: String) throws(FederationError) {
        try Files.write(Output.encode(self), to: DemoRecord.path(directory))
    }

    /// - Throws: `no-demo`: only a play that came to its end leaves one.
    static func read(from directory: String) throws(FederationError) -> DemoRecord {
        let path = path(directory)
        guard Files.exists(path) else {
            throw FederationError(
                "no-demo",
                "\(directory) holds no kept demo: there is no demo.json, which is written when all has drained",
                remedy: "run ekc demo --directory DIR first, to its end")
        }
        let bytes = try Files.read(path, maximum: 1 << 16)
        guard let record = try? JSONDecoder().decode(DemoRecord.self, from: Data(bytes)), record.format == 1,
            (1...64).contains(record.channels)
        else {
            throw FederationError(
                "file-malformed", "\(path) is no record of a demo",
                remedy: "recount a folder that nobody has written to")
        }
        return record
    }
}
