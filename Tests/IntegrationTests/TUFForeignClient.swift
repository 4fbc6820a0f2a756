import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

/// A folder behind Python's own web server, on a free port of 127.0.0.1.
final class ForeignWebServer {
    let url: String
    private let process: Binary.Running

    init(_ folder: String) throws {
        process = try Binary.start(
            ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder],
            of: ForeignScript.path(of: .debian), errors: "/dev/null")
        let words = process.line().split(separator: " ")
        guard let place = words.firstIndex(of: "port"), let port = Int(words[place + 1]) else {
            kill(process.pid, SIGKILL)
            _ = process.finish()
            throw FederationError("foreign-failed", "http.server: \(words)", remedy: "look at Debian's python3")
        }
        url = "http://127.0.0.1:\(port)"
    }

    deinit {
        kill(process.pid, SIGKILL)
        _ = process.finish()
    }
}

/// One attack or oddity, as Tests/Foreign/tuf_variants.py has made it: trees, and in which order a client meets them.
struct TUFVariant: Decodable, Sendable {
    var name: String
    /// The file of the root that is believed from the start.
    var root: String
    /// Walked first, and accepted. Empty: the client's first look is at `tree`.
    var before: [String]
    var tree: String
    /// A good tree, accepted whatever came of `tree`.
    var after: String?
    var targets: [String]
    /// Roles whose files are what they were before, when `tree` is refused.
    var keeps: [String]
    /// What is laid into the client's folder just before, by name of file: a file of the trees; nil: rubbish.
    var place: [String: String?]
}

/// What a client has made of a variant.
struct TUFVerdict: Decodable, Sendable {
    var name: String
    var accepted: Bool
    /// Of ours the code; of python-tuf its words.
    var error: String?
    /// SHA-256 by name of file.
    var metadata: [String: String]
    var targets: [String: String]
    var lost: [String]
    var recovered: Bool?
}

/// `ekc tuf`, led through variants as tuf_client.py leads python-tuf.
struct TUFOurClient: Sendable {
    let folder: String
    let url: String
    let scratch: String

    func verdict(_ variant: TUFVariant) throws -> TUFVerdict {
        let metadata = "\(scratch)/\(variant.name)"
        let targets = metadata + "-targets"
        defer { for path in [metadata, targets] { try? FileManager.default.removeItem(atPath: path) } }
        var code: String?
        if variant.before.isEmpty {
            code = try run(metadata, ["init", "\(folder)/\(variant.root)"])
        } else {
            try FileManager.default.copyItem(atPath: begun(variant), toPath: metadata)
        }
        for (name, path) in variant.place {
            let bytes = try path.map { try Files.read("\(folder)/\($0)", maximum: 1 << 20) } ?? Array("{".utf8)
            try Files.write(bytes, to: "\(metadata)/\(name)")
        }
        let before = try digests(metadata)
        if code == nil { code = try walk(metadata, variant.tree, variant.targets, into: targets) }
        let after = try digests(metadata)
        return TUFVerdict(
            name: variant.name, accepted: code == nil, error: code, metadata: after, targets: try digests(targets),
            lost: variant.keeps.filter { before["\($0).json"] != after["\($0).json"] },
            recovered: try variant.after.map { try walk(metadata, $0, [], into: targets) == nil })
    }

    /// Walks what some variants begin with, once: verdicts are copied from it.
    func begin(_ variants: [TUFVariant]) throws {
        for variant in variants where !variant.before.isEmpty && !Files.exists(begun(variant)) {
            try #require(try run(begun(variant), ["init", "\(folder)/\(variant.root)"]) == nil, "\(variant.name)")
            for tree in variant.before {
                let code = try walk(begun(variant), tree, [], into: scratch)
                try #require(code == nil, "\(variant.name): \(tree): \(code ?? "")")
            }
        }
    }

    private func begun(_ variant: TUFVariant) -> String {
        scratch + "/begun " + ([variant.root] + variant.before).joined(separator: " ").replacing("/", with: "_")
    }

    /// - Returns: the code of the refusal, or nil.
    private func walk(
        _ metadata: String, _ tree: String, _ targets: [String], into place: String
    ) throws -> String? {
        let at = ["--metadata-url", "\(url)/\(tree)/metadata"]
        guard !targets.isEmpty else { return try run(metadata, at + ["refresh"]) }
        let names = targets.flatMap { ["--target-name", $0] }
        return try run(
            metadata,
            at + names + ["--target-base-url", "\(url)/\(tree)/targets", "--target-dir", place, "download"])
    }

    private func run(_ metadata: String, _ words: [String]) throws -> String? {
        let errors = metadata + ".errors"
        let exit = try Binary.run(["tuf", "--metadata-dir", metadata] + words, errors: errors).exit
        let said = String(decoding: try Files.read(errors, maximum: 1 << 20), as: UTF8.self)
        try FileManager.default.removeItem(atPath: errors)
        guard exit != 0 else { return nil }
        // "ekc: CODE: what and where"
        let words = said.split(separator: " ", maxSplits: 2)
        guard exit == 1, words.count == 3, words[0] == "ekc:" else { return "exit \(exit): \(said.prefix(200))" }
        return String(words[1].dropLast())
    }

    private func digests(_ folder: String) throws -> [String: String] {
        guard Files.exists(folder) else { return [:] }
        var digests: [String: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            digests[name] = Digest.sha256(try Files.read("\(folder)/\(name)", maximum: 16 << 20)).description
        }
        return digests
    }
}
