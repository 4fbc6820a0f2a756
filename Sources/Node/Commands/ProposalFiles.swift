import Federation

/// Proposals as they come back from their holders.
enum ProposalFiles {
    static func read(_ path: String) throws(FederationError) -> Proposal {
        try Proposal(try Files.read(path, maximum: Proposal.maximumBytes), from: path)
    }

    /// Copies of one proposal, with the signatures of all of them.
    /// - Throws: `proposal-differs`.
    static func merged(_ paths: [String]) throws -> Proposal {
        guard let first = paths.first else {
            throw UsageError(message: "no proposal is named", remedy: "name the files that have come back")
        }
        var proposal = try read(first)
        for path in paths.dropFirst() { try proposal.merge(try read(path)) }
        return proposal
    }

    struct Signatures: Encodable {
        var role: String
        var version: UInt64
        var by: String
        var threshold: Int
        var signed: [String]
        var missing: [String]
        var enough: Bool
    }

    static func signatures(_ proposal: Proposal) throws(FederationError) -> [Signatures] {
        try proposal.standings().map { standing in
            Signatures(
                role: standing.role, version: standing.version, by: standing.authority, threshold: standing.threshold,
                signed: standing.signed.map(\.person).sorted(), missing: standing.missing.map(\.person).sorted(),
                enough: standing.isEnough)
        }
    }

    static func lines(_ signatures: [Signatures]) -> [String] {
        signatures.map { row in
            let who = row.signed.isEmpty ? "nobody" : row.signed.joined(separator: ", ")
            let lack = row.threshold - row.signed.count
            let missing =
                row.enough
                ? "enough" : "\(lack) more of: \(row.missing.joined(separator: ", "))"
            return
                "\(row.role) \(row.version) (by \(row.by)): \(row.signed.count) of \(row.threshold): \(who); \(missing)"
        }
    }
}
