import Federation
import FoundationEssentials

/// A node's log, of which only what the program itself has chosen is left: when, what happened, with which neighbour. The
/// words behind it may be a peer's or an administrator's, and stay out.
enum SupportLog {
    private struct Line: Codable {
        var at: String
        var event: String
        var peer: String?
    }

    /// The end of a log that is looked at, in bytes, and the lines that are kept of it.
    private static let mostBytes = 1 << 20
    private static let mostLines = 2_000

    static func tail(_ path: String, topology: Topology?) throws(FederationError) -> [UInt8] {
        var (last, before): (ArraySlice<UInt8>, ArraySlice<UInt8>) = ([], [])
        try Files.read(path, inParts: mostBytes) { part in (before, last) = (last, part) }
        let lines = (Array(before) + Array(last)).suffix(mostBytes).split(separator: 0x0A)
        return lines.suffix(mostLines).flatMap { line in scrubbed(Array(line), topology) }
    }

    private static func scrubbed(_ line: [UInt8], _ topology: Topology?) -> [UInt8] {
        guard var known = try? JSONDecoder().decode(Line.self, from: Data(line)), Timestamp(rfc3339: known.at) != nil,
            (1...40).contains(known.event.utf8.count),
            known.event.utf8.allSatisfy({ (0x61...0x7A).contains($0) || $0 == 0x2D })
        else { return [] }
        // Before, a peer's own code was part of the name.
        if known.event.hasPrefix("peer-said-") { known.event = "peer-said" }
        let peer = known.peer.flatMap { NodeID($0) }
        known.peer = peer.flatMap { topology?.node($0) == nil ? nil : $0.text }
        return Output.encode(known) + [0x0A]
    }
}
