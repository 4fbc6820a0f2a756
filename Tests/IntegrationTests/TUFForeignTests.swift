import Dispatch
import FederationTestKit
import Foundation
import Testing

@testable import Federation

/// Our TUF client and python-tuf over the same trees, which python-tuf has written and signed.
@Suite("TUF, held against python-tuf")
struct TUFForeignTests {
    @Test("Each variant is judged as the table says: by python-tuf, and by us")
    func verdicts() throws {
        let folder = try TemporaryFolder()
        try Self.make(in: folder)
        let variants = try JSONDecoder().decode(
            [TUFVariant].self, from: Data(try Files.read(folder.path + "/variants.json", maximum: 1 << 20)))
        let rows = Dictionary(grouping: TUFForeignTable.rows, by: \.name)
        #expect(rows.values.filter { $0.count > 1 }.map { $0[0].name } == [])
        #expect(Set(variants.map(\.name)).symmetricDifference(rows.keys).sorted() == [])

        let server = try ForeignWebServer(folder.path)
        let foreign = try Binary.start(
            ["-B", ForeignScript.path(of: "tuf_client.py"), "batch", folder.path, server.url],
            of: ForeignScript.path(of: .environment))
        let scratch = try TemporaryFolder()
        let ours = TUFOurClient(folder: folder.path, url: server.url, scratch: scratch.path)
        let begun = Result { try ours.begin(variants) }
        let verdicts = Monitor<[String: Result<TUFVerdict, any Error>]>([:])
        DispatchQueue.concurrentPerform(iterations: variants.count) { index in
            let verdict = Result { try ours.verdict(variants[index]) }
            verdicts.changeQuietly { $0[variants[index].name] = verdict }
        }
        let (exit, output) = foreign.finish()
        try begun.get()
        #expect(exit == 0)
        let references = try output.split(separator: "\n").map {
            try JSONDecoder().decode(TUFVerdict.self, from: Data($0.utf8))
        }
        #expect(references.map(\.name) == variants.map(\.name))
        let all = verdicts.changeQuietly { $0 }
        for reference in references {
            guard let row = rows[reference.name]?.first, let verdict = all[reference.name] else { continue }
            compare(row, reference, try verdict.get())
        }
    }

    private func compare(_ row: TUFForeignTable.Row, _ reference: TUFVerdict, _ ours: TUFVerdict) {
        let name = row.name
        let words = reference.error ?? "accepted"
        #expect(reference.accepted == row.isAcceptedThere, "\(name): python-tuf: \(words)")
        if !row.raised.isEmpty { #expect(row.raised.contains { words.hasPrefix($0) }, "\(name): \(words)") }
        #expect(ours.error == row.code, "\(name): ours")
        #expect(reference.recovered != false, "\(name): python-tuf refuses the good tree that follows: \(words)")
        #expect(ours.recovered != false, "\(name): we refuse the good tree that follows")
        if ours.accepted, reference.accepted {
            // What it has on disk it takes by its version; we hold it against the hash that the timestamp names.
            let others = name == "snapshot-same-version-other-content" ? ["snapshot.json"] : []
            for file in ["root.json", "timestamp.json", "snapshot.json", "targets.json"] where !others.contains(file) {
                #expect(reference.metadata[file] == ours.metadata[file], "\(name): \(file) is another")
            }
            #expect(reference.targets == ours.targets, "\(name): targets")
        } else if !ours.accepted {
            #expect(ours.lost == [], "\(name): what is refused has taken the place of what was good")
            #expect(ours.targets.allSatisfy { reference.targets[$0] == $1 }, "\(name): \(ours.targets.keys)")
        }
    }

    @Test("Of metadata that is cut off at any byte neither believes a role")
    func truncated() throws {
        let folder = try TemporaryFolder()
        try Self.make(in: folder, "good-newer")
        let tree = folder.path + "/trees/base"
        let answer = try ForeignScript("tuf_client.py").run(["truncate", tree])
        struct Count: Decodable, Equatable { var bytes, believed: Int }
        let foreign = try JSONDecoder().decode([String: Count].self, from: Data(answer.output.utf8))
        let files = [
            ("root", "1.root"), ("timestamp", "timestamp"), ("snapshot", "4.snapshot"), ("targets", "3.targets"),
            ("node-50", "1.node-50"), ("node-77", "2.node-77"),
        ]
        var ours: [String: Count] = [:]
        for (role, file) in files {
            let bytes = try Files.read("\(tree)/metadata/\(file).json", maximum: 1 << 20)
            func read(_ bytes: [UInt8]) throws(TUFFault) {
                switch role {
                case "root": _ = try TUFTrusted(anchor: bytes)
                case "timestamp": _ = try TUFTimestamp(bytes)
                case "snapshot": _ = try TUFSnapshot(bytes)
                default: _ = try TUFTargets(bytes, role)
                }
            }
            try read(bytes)
            var count = Count(bytes: bytes.count, believed: 0)
            for end in bytes.indices {
                do throws(TUFFault) {
                    try read(Array(bytes[..<end]))
                    count.believed += 1
                } catch { #expect(error.code == .malformed) }
            }
            #expect(count.believed == 0, "\(role)")
            ours[role] = count
        }
        #expect(ours == foreign)
    }

    @Test("Canonical JSON is the same bytes, or is refused", arguments: [1, 2, 3, 4])
    func canonical(seed: Int) throws {
        let answer = try ForeignScript("tuf_client.py").run(["canonical", "\(seed)", "1500"])
        #expect(answer.lines.count == 1500, "\(answer.errors.suffix(500))")
        let stricter = ["stands at", "beyond 2^53", "nested deeper"]
        var agreed = 0
        var refused = 0
        for line in answer.lines {
            let parts = line.split(separator: " ", omittingEmptySubsequences: false)
            let text = try #require(Hex.decode(String(parts[0]), count: parts[0].utf8.count / 2))
            let words = String(decoding: text, as: UTF8.self)
            do throws(JSONText.Fault) {
                let root = try JSONText.read(text, lenient: false, maximum: 1 << 16)
                #expect(Hex.encode(CanonicalJSON.encode(root.value)) == parts[1], "\(words)")
                agreed += 1
            } catch {
                let isKnown = parts[1] == "refused" || stricter.contains { error.message.contains($0) }
                #expect(isKnown, "\(words): \(error.message)")
                refused += 1
            }
        }
        #expect(agreed > 900 && refused > 50, "\(agreed) \(refused)")
    }

    @Test("A pattern of a delegation covers the same paths", arguments: [1, 2])
    func patterns(seed: Int) throws {
        struct Case: Decodable {
            var pattern, path: String
            var matches: Bool
        }
        let answer = try ForeignScript("tuf_client.py").run(["patterns", "\(seed)", "4000"])
        let cases = try answer.lines.map { try JSONDecoder().decode(Case.self, from: Data($0.utf8)) }
        #expect(cases.count == 4000, "\(answer.errors.suffix(500))")
        for each in cases {
            let delegation = TUFDelegation(
                name: "", role: TUFRole(keys: [:], threshold: 1), isTerminating: false, scope: .paths([each.pattern]))
            #expect(delegation.covers(each.path) == each.matches, "\(each.pattern) and \(each.path)")
        }
        let matching = cases.count { $0.matches }
        #expect((400...3600).contains(matching), "\(matching)")
    }

    @Test("The two command lines are one: exits, names of files, and what is there already is not fetched again")
    func commandLine() throws {
        let folder = try TemporaryFolder()
        try Self.make(in: folder, "good-newer")
        let server = try ForeignWebServer(folder.path)
        let tree = server.url + "/trees/base"
        let both = ["--target-name", "topology.json", "--target-name", "nodes/77/keys.json"]
        let lines: [(words: [String], exit: CInt)] = [
            (["init", folder.path + "/variants.json"], 1),
            (["init", folder.path + "/trees/base/metadata/1.root.json"], 0),
            (["--metadata-url", server.url + "/nothing", "refresh"], 1),
            (["--metadata-url", tree + "/metadata", "refresh"], 0),
            (["--metadata-url", tree + "/metadata", "refresh"], 0),
            (["--metadata-url", tree + "/metadata"] + both + ["--target-base-url", tree + "/targets", "download"], 0),
            (["--metadata-url", tree + "/metadata"] + both + ["--target-base-url", tree + "/nothing", "download"], 0),
            (
                [
                    "--metadata-url", tree + "/metadata", "--target-name", "nodes/50/keys.json", "--target-base-url",
                    tree + "/nothing", "download",
                ], 1
            ),
        ]
        for (words, exit) in lines {
            for (name, isOurs) in [("ours", true), ("theirs", false)] {
                let place = folder.path + "/" + name
                var words = ["--metadata-dir", place] + words
                if words.last == "download" { words.insert(contentsOf: ["--target-dir", place + "-targets"], at: 0) }
                let said =
                    isOurs
                    ? try Binary.run(["tuf"] + words, errors: "/dev/null").exit
                    : try ForeignScript("tuf_client.py").run(words).exit
                #expect(said == exit, "\(name): \(words)")
            }
        }
        func files(_ name: String) throws -> [String: [UInt8]] {
            let place = folder.path + "/" + name
            return try Dictionary(
                uniqueKeysWithValues: FileManager.default.contentsOfDirectory(atPath: place)
                    .filter { $0 != "root_history" }
                    .map { ($0, try Files.read("\(place)/\($0)", maximum: 1 << 20)) })
        }
        #expect(try files("ours") == files("theirs"))
        #expect(try files("ours-targets") == files("theirs-targets"))
        #expect(try files("ours-targets").keys.sorted() == ["nodes%2F77%2Fkeys.json", "topology.json"])
    }

    @Test(
        "What we publish they read: roots that follow each other, the topology, a node's own keys; a change by hand they refuse"
    )
    func published() throws {
        let federation = try TestFederation(["centre", "subject-77"], application: SilentNode.init)
        defer { federation.stopAll() }
        try federation.start("centre")
        try federation.publish(federation.topology(version: 2))
        let centre = federation.place("centre")
        let state = try centre.trust.load().inForce
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(atPath: centre.trust.path, toPath: folder.path + "/tree")
        let server = try ForeignWebServer(folder.path)
        func theirs(_ words: String...) throws -> CInt {
            try ForeignScript("tuf_client.py").run(["--metadata-dir", folder.path + "/theirs"] + words).exit
        }
        let (metadata, targets) = (server.url + "/tree/metadata", server.url + "/tree/targets")
        #expect(try theirs("init", folder.path + "/tree/metadata/1.root.json") == 0)
        #expect(try theirs("--metadata-url", metadata, "refresh") == 0)
        let names = ["topology.json", "nodes/subject-77/keys.json", "segments/oszn/authority.pem"]
        for name in names {
            let done = try theirs(
                "--metadata-url", metadata, "--target-name", name, "--target-base-url", targets, "--target-dir",
                folder.path + "/got", "download")
            #expect(done == 0, "\(name)")
            let file = folder.path + "/got/" + PercentEncoding.segment(name)
            #expect(try Files.read(file, maximum: 1 << 20) == state.files[name], "\(name)")
        }
        // One letter of what is signed.
        let timestamp = folder.path + "/tree/metadata/timestamp.json"
        let text = String(decoding: try Files.read(timestamp, maximum: 1 << 20), as: UTF8.self)
        try Files.write(Array(text.replacing("\"version\": 2", with: "\"version\": 3").utf8), to: timestamp)
        #expect(try theirs("--metadata-url", metadata, "refresh") == 1)
    }

    private static func make(in folder: TemporaryFolder, _ names: String...) throws {
        let made = try ForeignScript("tuf_repository.py").run([folder.path] + names)
        try #require(made.exit == 0, "\(made.errors.suffix(1000))")
    }
}

private final class SilentNode: Application {
    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {}
    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError) {
    }
}
