import Federation
import FederationTestKit
import Foundation
import Glibc
import Testing

/// The people's side of the signed topology, with the built binary.
@Suite("The ceremony")
struct CeremonyTests {
    private static let phrase = "семь разных слов которые никто не знает"

    /// Enrolled nodes in a folder of a test's own; nothing runs.
    private struct Scene {
        let folder = Result { try TemporaryFolder() }
        let path: String

        init() throws {
            path = try folder.get().path
            for (node, segment) in [("centre", "centre"), ("subject-77", "oszn")] {
                let authority = try Authority.create("\(path)/ca-\(segment)", segment: segment, federation: "ekc.test")
                let place = NodeFolder("\(path)/\(node)")
                let answer = try authority.issue(
                    try place.create(
                        NodeSettings(node: node, segment: segment, federation: "ekc.test", anyPorts: true)),
                    now: Clocks.wall())
                try place.install(answer)
                try TrustFile.write(answer, to: "\(path)/\(node).json")
            }
            try Files.write(topology(1), to: path + "/topology.json")
            try Files.write(Array((CeremonyTests.phrase + "\n").utf8), to: path + "/phrase", mode: 0o600)
        }

        func topology(_ version: Int) -> [UInt8] {
            Array(
                """
                { "format": 2, "version": \(version), "federation": "ekc.test",
                  "segments": [ {"id": "centre", "profile": "tls13"}, {"id": "oszn", "profile": "tls13"} ],
                  "nodes": [ {"id": "centre", "segment": "centre", "state": "live", "addresses": ["127.0.0.1:0"]},
                    {"id": "subject-77", "segment": "oszn", "state": "live", "addresses": []} ],
                  "rights": [
                    {"from": ["centre"], "to": ["centre", "oszn"], "kinds": ["escalation", "status", "topology", "entry", "probe"]},
                    {"from": ["oszn"], "to": ["centre", "oszn"], "kinds": ["escalation", "answer", "returned", "status", "topology", "probe"]} ],
                  "tenancies": [], "homes": [], "special": [], "links": [ {"dials": "subject-77", "listens": "centre"} ] }
                """.utf8)
        }

        /// With the phrase on descriptor 3, as a shell gives it, and without a terminal, wherever the tests run.
        func run(_ arguments: String...) throws -> (exit: Int32, output: String, errors: String) {
            try run(arguments)
        }

        func run(_ arguments: [String]) throws -> (exit: Int32, output: String, errors: String) {
            let script = "exec setsid -w \"$0\" \"$@\" </dev/null 3<\(path)/phrase"
            let done = try Binary.start(
                ["-c", script, Binary.path] + arguments, of: "/bin/sh", errors: path + "/errors"
            ).finish()
            return (
                done.exit, done.output,
                String(decoding: try Files.read(path + "/errors", maximum: 1 << 20), as: UTF8.self)
            )
        }

        func key(_ name: String, holder: String) throws {
            let done = try run("topology", "key", "\(path)/\(name)", "--holder", holder, "--passphrase-fd", "3")
            try #require(done.exit == 0, "\(done.errors)")
        }

        var demonstration: [String] {
            [
                "federation", "init", path + "/out", "--topology", path + "/topology.json", "--centre",
                path + "/centre",
                "--answer", path + "/centre.json", "--answer", path + "/subject-77.json", "--demonstration",
            ]
        }
    }

    @Test("Propose, sign, publish: one signature of two publishes nothing and the missing holders are named")
    func chain() throws {
        let scene = try Scene()
        let path = scene.path
        for holder in ["anna", "boris", "vera"] {
            for role in ["root", "targets", "deny"] { try scene.key("\(holder)-\(role)", holder: holder) }
        }
        func keys(_ role: String) -> String {
            ["anna", "boris", "vera"].map { "\(path)/\($0)-\(role).pub" }.joined(separator: ",")
        }
        let twice = try scene.run(
            "federation", "init", path + "/out", "--topology", path + "/topology.json", "--centre", path + "/centre",
            "--answer", path + "/centre.json", "--answer", path + "/subject-77.json", "--reason", "the beginning",
            "--root", "2:" + keys("root") + "," + path + "/anna-deny.pub", "--targets", "2:" + keys("targets"),
            "--deny",
            keys("deny"))
        #expect(twice.exit == 1 && twice.errors.contains("holder-twice: root: anna holds two"))
        #expect(!Files.exists(path + "/centre/keys/snapshot.key"), "nothing is half done")
        let begun = try scene.run(
            "federation", "init", path + "/out", "--topology", path + "/topology.json", "--centre", path + "/centre",
            "--answer", path + "/centre.json", "--answer", path + "/subject-77.json", "--reason", "the beginning",
            "--root", "2:" + keys("root"), "--targets", "2:" + keys("targets"), "--deny", keys("deny"))
        #expect(begun.exit == 0 && begun.output.contains("root: 2 of anna, boris, vera"), "\(begun.errors)")

        let proposal = path + "/out/proposal.json"
        let copy = path + "/copy.json"
        try Files.write(try Files.read(proposal, maximum: 1 << 20), to: copy)
        func sign(_ file: String, _ keys: String...) throws {
            for key in keys {
                let done = try scene.run(
                    "topology", "sign", file, "--key", "\(path)/\(key)", "--passphrase-fd", "3")
                #expect(done.exit == 0 && done.output.contains("reason: the beginning"), "\(done.errors)")
            }
        }
        try sign(proposal, "anna-root", "anna-targets", "anna-deny")
        try sign(copy, "vera-root", "vera-targets")
        let status = try scene.run("topology", "status", proposal)
        #expect(status.output.contains("root 1 (by root 1): 1 of 2: anna; 1 more of: boris, vera"))
        #expect(status.output.hasSuffix("it cannot be published yet; missing: boris, vera\n"))
        let early = try scene.run("federation", "finish", path + "/out", proposal, "--centre", path + "/centre")
        #expect(early.exit == 1 && early.errors.contains("not-enough-signatures"))
        #expect(early.errors.contains("missing: boris, vera"))
        #expect(!Files.exists(path + "/out/tree") && !Files.exists(path + "/centre/trust"))
        let done = try scene.run("federation", "finish", path + "/out", proposal, copy, "--centre", path + "/centre")
        #expect(done.exit == 0, "\(done.errors)")

        // At the centre there is nothing of the holders.
        let here = try FileManager.default.subpathsOfDirectory(atPath: path + "/centre/keys").sorted()
        #expect(here == ["identity.key", "link.crt", "link.key", "snapshot.key", "timestamp.key"])
        // Nobody listens there: it is said who is missing before that.
        try Files.write(scene.topology(2), to: path + "/next.json")
        let next = path + "/p2.json"
        let proposed = try scene.run(
            "topology", "propose", path + "/centre", next, "--reason", "more", "--topology", path + "/next.json")
        #expect(proposed.exit == 0, "\(proposed.errors)")
        _ = try scene.run("topology", "sign", next, "--key", path + "/boris-targets", "--passphrase-fd", "3")
        #expect(try scene.run("topology", "publish", path + "/centre", next).errors.contains("missing: anna, vera"))
        // Of two that were made beside each other the signatures are not put together.
        let other = path + "/p3.json"
        #expect(
            try scene.run(
                "topology", "propose", path + "/centre", other, "--reason", "other", "--topology", path + "/next.json"
            ).exit == 0)
        #expect(try scene.run("topology", "publish", path + "/centre", next, other).errors.contains("proposal-differs"))
        #expect(try scene.run("topology", "propose", path + "/centre", path + "/p4", "--topology", next).exit == 64)
    }

    @Test("A token signs, a base that is not in force is refused, old content is proposed anew")
    func tokens() throws {
        let scene = try Scene()
        let path = scene.path
        #expect(try Binary.run(scene.demonstration).exit == 0)
        let proposal = path + "/p.json"
        try Files.write(scene.topology(1), to: path + "/same.json")
        func propose(_ options: String...) throws -> (exit: Int32, output: String, errors: String) {
            try scene.run(["topology", "propose", path + "/centre", proposal, "--reason", "more"] + options)
        }
        #expect(try propose("--topology", path + "/same.json").errors.contains("topology-not-newer"))
        let raised = try propose("--topology", path + "/same.json", "--raise")
        #expect(raised.exit == 0 && raised.output.contains("topology: version 2"), "\(raised.errors)")
        #expect(try Files.read(path + "/same.json", maximum: 1 << 16) == scene.topology(1), "the file stays")

        let raise = try scene.run("topology", "diff", path + "/out/tree", path + "/same.json", "--raise")
        #expect(raise.exit == 0 && raise.output == "topology 1 → 2: nothing changes\n", "\(raise.errors)")

        let command =
            "openssl pkeyutl -sign -inkey \(path)/out/holders/targets-vera.key -rawin -in /dev/stdin | od -An -v -tx1"
        let signed = try scene.run("topology", "sign", proposal, "--with", command, "--trust", path + "/centre")
        #expect(signed.exit == 0 && signed.output.contains("vera signed targets"), "\(signed.errors)")
        #expect(signed.output.contains("\ntopology 1 → 2: nothing changes\n"), "\(signed.output)")
        #expect(try scene.run("topology", "sign", proposal, "--with", "exit 1").errors.contains("signer-failed"))
        // Another federation of the same name.
        let other = try Scene()
        #expect(try Binary.run(other.demonstration).exit == 0)
        let before = try Files.read(proposal, maximum: 1 << 20)
        let refused = try scene.run(
            "topology", "sign", proposal, "--key", path + "/out/holders/targets-boris.key", "--trust",
            other.path + "/out/tree")
        #expect(refused.exit == 1 && refused.errors.contains("proposal-stale"))
        #expect(try Files.read(proposal, maximum: 1 << 20) == before)

        // What the holders are to sign is said as what was proposed is.
        let open = String(decoding: scene.topology(2), as: UTF8.self)
            .replacing(#""entry", "probe"]"#, with: #""entry"]"#)
        try Files.write(Array(open.utf8), to: path + "/fewer.json")
        let fewer = path + "/fewer-proposal.json"
        #expect(
            try scene.run(
                "topology", "propose", path + "/centre", fewer, "--reason", "fewer", "--topology", path + "/fewer.json"
            ).exit == 0)
        let loss = "! segment centre to itself: probe may not be sent any more; what is under way is held there\n"
        let fewerSaid = try scene.run("topology", "diff", path + "/centre", fewer)
        #expect(fewerSaid.exit == 2 && fewerSaid.output.contains(loss), "\(fewerSaid.errors)")
        let shown = try scene.run(
            "topology", "sign", fewer, "--key", path + "/out/holders/targets-boris.key", "--trust", path + "/centre")
        #expect(shown.output.contains(loss), "\(shown.output) \(shown.errors)")
        let renewed = path + "/renewed.json"
        #expect(
            try scene.run(
                "topology", "propose", path + "/centre", renewed, "--reason", "renewed", "--renew", "targets"
            ).exit == 0)
        #expect(try scene.run("topology", "diff", path + "/centre", renewed).errors.contains("no-topology"))

        let reverted = try scene.run(
            "topology", "revert", path + "/centre", "1", path + "/r.json", "--reason", "back to the beginning")
        #expect(reverted.exit == 0 && reverted.output.contains("topology: version 2"), "\(reverted.errors)")
        let never = try scene.run("topology", "revert", path + "/centre", "7", path + "/r2.json", "--reason", "x")
        #expect(never.errors.contains("not-published"))
        let status = try scene.run("topology", "status", path + "/centre")
        #expect(status.output.contains("published: targets 1, topology 1,"))
        #expect(!status.output.contains("ALARM"))
    }

    @Test("A passphrase is in no argument, no environment, no output and no file")
    func secrets() throws {
        let scene = try Scene()
        let path = scene.path
        try scene.key("anna.key", holder: "anna")
        try Files.write(Array("another phrase of enough words\n".utf8), to: path + "/other", mode: 0o600)
        #expect(try Binary.run(scene.demonstration).exit == 0)
        let pub = path + "/anna.key.pub"
        let proposed = try scene.run(
            "topology", "propose", path + "/centre", path + "/p.json", "--reason", "anna alone", "--deny-keys", pub)
        #expect(proposed.exit == 0, "\(proposed.errors)")

        // It waits for the phrase: that is when it can be looked at.
        let fifo = path + "/fifo"
        try #require(mkfifo(fifo, 0o600) == 0)
        let signing = try Binary.start(
            [
                "-c", "exec \"$0\" \"$@\" 3<>\(fifo)", Binary.path, "topology", "sign", path + "/p.json", "--key",
                path + "/anna.key", "--passphrase-fd", "3",
            ], of: "/bin/sh", errors: path + "/errors")
        let end = open(fifo, O_WRONLY)
        let bytes = Array((Self.phrase + "\n").utf8)
        // Half of it, so that it still waits while it is looked at.
        #expect(write(end, bytes, 20) == 20)
        var arguments = ""
        for _ in 0..<500 where !arguments.contains("passphrase-fd") || arguments.hasPrefix("/bin/sh") {
            usleep(10_000)
            arguments = text("/proc/\(signing.pid)/cmdline")
        }
        let environment = text("/proc/\(signing.pid)/environ")
        #expect(write(end, Array(bytes[20...]), bytes.count - 20) == bytes.count - 20)
        close(end)
        let done = signing.finish()
        #expect(done.exit == 0 && done.output.contains("anna signed deny"), "\(text(path + "/errors"))")

        // The wrong one is refused, and is not repeated.
        let wrong = try Binary.start(
            [
                "-c", "exec \"$0\" \"$@\" 3<\(path)/other", Binary.path, "topology", "sign", path + "/p.json", "--key",
                path + "/anna.key", "--passphrase-fd", "3",
            ], of: "/bin/sh", errors: path + "/wrong"
        ).finish()
        #expect(wrong.exit == 1 && text(path + "/wrong").contains("passphrase-wrong"))
        let missing = try scene.run("topology", "sign", path + "/p.json", "--key", path + "/anna.key")
        #expect(missing.exit == 1 && missing.errors.contains("no-terminal"))

        var words = [arguments, environment, done.output, wrong.output]
        for file in try FileManager.default.subpathsOfDirectory(atPath: path)
        where !["phrase", "other", "fifo"].contains(file) {
            words.append(text("\(path)/\(file)"))
        }
        #expect(words.count > 40 && words[0].contains("passphrase-fd"))
        for secret in [Self.phrase, "another phrase", "которые никто"] {
            #expect(!words.contains { $0.contains(secret) })
        }
    }

    private func text(_ path: String) -> String {
        String(decoding: (try? Files.read(path, maximum: 8 << 20)) ?? [], as: UTF8.self)
    }

    @Test("At a terminal what is not given is asked, keys are made where they are to be, phrases are not shown")
    func typed() throws {
        let scene = try Scene()
        let path = scene.path
        let terminal = try TypedTerminal(["federation", "init", path + "/out", "--topology", path + "/topology.json"])
        try terminal.answer("the folder of the centre's node:", path + "/centre")
        try terminal.answer("answer:", path + "/centre.json")
        try terminal.answer("answer:", path + "/subject-77.json")
        try terminal.answer("answer:", "")
        try terminal.answer("how many holders (n)? [5]", "none")
        try terminal.answer("how many holders (n)? [5]", "2")
        try terminal.answer("how many of them must sign (k)? [2]", "")
        try terminal.answer("root, holder 1 of 2", path + "/centre/keys/anna.key")
        try terminal.answer("key-at-centre", "")
        try terminal.answer("root, holder 1 of 2", path + "/anna.key")
        try terminal.answer("the holder's name:", "Анна")
        try terminal.answer("shall a passphrase be made?", "")
        try terminal.answer("passphrase for the key of Анна", "too short")
        try terminal.answer("root, holder 1 of 2", path + "/anna.key")
        try terminal.answer("the holder's name:", "Анна")
        try terminal.answer("shall a passphrase be made?", "n")
        try terminal.answer("passphrase for the key of Анна", Self.phrase)
        try terminal.answer("once more:", Self.phrase)
        try terminal.answer("root, holder 2 of 2", path + "/anna.key.pub")
        try terminal.answer("Анна has a key of this role already", "")
        try terminal.answer("root, holder 2 of 2", path + "/boris.key")
        try terminal.answer("the holder's name:", "Борис")
        try terminal.answer("shall a passphrase be made?", "y")
        try terminal.answer("how many holders (n)? [3]", "1")
        try terminal.answer("(k)? [1]", "")
        try terminal.answer("targets, holder 1 of 1", path + "/anna.key.pub")
        try terminal.answer("how many holders? [3]", "1")
        try terminal.answer("deny, holder 1 of 1", path + "/boris.key.pub")
        try terminal.answer("the reason", "начало")
        #expect(try terminal.finish() == 0, "\(terminal.seen)")
        #expect(!terminal.seen.contains(Self.phrase) && !terminal.seen.contains("too short"))
        #expect(terminal.seen.contains("passphrase-weak") && terminal.seen.contains("root: 2 of Анна, Борис"))

        // The one that was made opens the key; it was shown once.
        let made = try #require(
            terminal.seen.firstMatch(of: /write it down now[^\n]*\n(?<words>([a-z]{4} ){6}[a-z]{4})\n/))
        let signing = try TypedTerminal([
            "topology", "sign", path + "/out/proposal.json", "--key", path + "/boris.key",
        ])
        try signing.answer("passphrase of", String(made.output.words))
        #expect(try signing.finish() == 0 && signing.seen.contains("Борис signed deny, root"), "\(signing.seen)")

        // What interrupts the typing leaves the terminal as it was, and nothing signed.
        let interrupted = try TypedTerminal([
            "topology", "sign", path + "/out/proposal.json", "--key", path + "/anna.key",
        ])
        try interrupted.answer("passphrase of", "half of it\u{3}", line: "")
        #expect(try interrupted.finish() == 128 + SIGINT && interrupted.isShowing, "\(interrupted.seen)")
        #expect(!interrupted.seen.contains("half of it") && !interrupted.seen.contains("Анна signed"))
    }

    @Test("A node is installed by the fingerprint that it was told, from a folder or an archive, and by no other")
    func installing() throws {
        let scene = try Scene()
        let path = scene.path
        #expect(try Binary.run(scene.demonstration).exit == 0)
        let fingerprint = try #require(try TrustFolder(path + "/out/tree").fingerprint()).description
        func trust(_ tree: String, _ options: String...) throws -> (exit: Int32, output: String, errors: String) {
            try scene.run(["node", "trust", path + "/subject-77", path + tree] + options)
        }
        #expect(try trust("/out/tree").exit == 64, "nobody to ask")
        let wrong = String(fingerprint.reversed())
        #expect(try trust("/out/tree", "--fingerprint", wrong).errors.contains("fingerprint-differs"))
        #expect(try trust("/ca-oszn", "--fingerprint", fingerprint).errors.contains("tree-malformed"))
        #expect(try trust("/topology.json", "--fingerprint", fingerprint).errors.contains("tree-malformed"))
        #expect(!Files.exists(path + "/subject-77/trust"))
        #expect(system("tar --format=gnu -cf \(path)/tree.tar -C \(path)/out tree") == 0)
        let grouped = stride(from: 0, to: 64, by: 4).map { fingerprint.dropFirst($0).prefix(4) }.joined(separator: " ")
        let done = try trust("/tree.tar", "--fingerprint", grouped.uppercased())
        #expect(done.exit == 0, "\(done.errors)")
        #expect(try TrustFolder(path + "/subject-77/trust").load().inForce.topology.version == 1)
        let rest = try FileManager.default.contentsOfDirectory(atPath: path + "/subject-77")
        #expect(!rest.contains { $0.hasPrefix("trust.") })

        // At a terminal it is shown, and a yes is wanted.
        try FileManager.default.removeItem(atPath: path + "/subject-77/trust")
        let terminal = try TypedTerminal(["node", "trust", path + "/subject-77", path + "/out/tree"])
        try terminal.answer(grouped, "")
        #expect(try terminal.finish() == 1)
        let again = try TypedTerminal(["node", "trust", path + "/subject-77", path + "/out/tree"])
        try again.answer("told you another way?", "yes")
        #expect(try again.finish() == 0, "\(again.seen)")
        // A node that runs has read its metadata, and writes it itself.
        try Files.makeFolder(path + "/subject-77/store", mode: 0o700)
        let lock = try StoreLock(directory: path + "/subject-77/store")
        #expect(try trust("/out/tree").errors.contains("node-running"))
        lock.release()
        #expect(try trust("/out/tree").exit == 0)
        // A node of another identity key does not believe it.
        let other = NodeFolder(path + "/other")
        _ = try other.create(NodeSettings(node: "subject-77", segment: "oszn", federation: "ekc.test"))
        let stranger = try Binary.run(
            ["node", "trust", other.path, path + "/out/tree", "--fingerprint", fingerprint], errors: path + "/errors")
        #expect(stranger.exit == 1 && text(path + "/errors").contains("identity-conflict"))
        #expect(!other.trust.isThere)
    }

    @Test("A federation that ran before goes on with its pins, under signatures")
    func running() throws {
        let scene = try Scene()
        let path = scene.path
        var pins = Pins(federation: "ekc.test")
        for node in ["centre", "subject-77"] {
            try pins.add(try TrustFile.read(EnrolmentAnswer.self, "\(path)/\(node).json"))
        }
        try TrustFile.write(pins, to: path + "/pins.json")
        let done = try Binary.run([
            "federation", "init", path + "/out", "--from", path + "/topology.json", path + "/pins.json", "--centre",
            path + "/centre", "--demonstration",
        ])
        #expect(done.exit == 0)
        #expect(try TrustFolder(path + "/out/tree").load().inForce.pins == pins)
        // Web servers serve what is in force.
        #expect(
            try Binary.run(["topology", "publish", path + "/centre", "--directory", path + "/web"]).exit == 0)
        #expect(try TrustFolder(path + "/web").load().inForce.topology.version == 1)
        #expect(try TrustFolder(path + "/web").fingerprint() == TrustFolder(path + "/out/tree").fingerprint())
    }

    @Test(
        "The guides are walked in a clean folder, word by word: ceremony, a node more and less, denial, keys that change"
    )
    func guides() throws {
        let folder = try TemporaryFolder()
        var script = "trap 'kill $(cat $D/*.pid) 2>/dev/null' EXIT\n"
        for guide in ["ceremony", "nodes", "deny", "keys"] {
            let text = text(ArchitecturePaths.root + "/docs/guides/\(guide).md")
            let parts = text.components(separatedBy: "\n```\n")
            try #require(parts.count >= 3 && parts.count % 2 == 1, "\(guide)")
            for index in stride(from: 1, to: parts.count, by: 2) { script += parts[index] + "\n" }
        }
        let own = script.replacing("E=.build/release/ekc;", with: "E=\(Binary.path);")
        #expect(own != script)
        try Files.write(Array(own.utf8), to: folder.path + "/walk.sh")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments = ["120", "bash", "-e", "-o", "pipefail", folder.path + "/walk.sh"]
        process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": folder.path]) { $1 }
        let said = Pipe()
        process.standardOutput = said
        try Files.write([], to: folder.path + "/errors")
        process.standardError = try FileHandle(forWritingTo: URL(filePath: folder.path + "/errors"))
        try process.run()
        let output = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(output.suffix(3000))\n\(text(folder.path + "/errors"))")
        for part in [
            "it cannot be published yet; missing: борис, вера", "denied: subject-77", "lifted: the denial subject-77-",
            "new: галина", "published: targets 6", "in force: topology 3, root 3, targets 6",
        ] { #expect(output.contains(part), "\(part)") }
        // Refused on purpose, once.
        let refusals = text(folder.path + "/errors").matches(of: /ekc: (?<code>[a-z-]+):/).map {
            String($0.output.code)
        }
        #expect(Set(refusals).isSubset(of: ["not-enough-signatures", "not-applied", "unreachable"]), "\(refusals)")
        #expect(output.matches(of: /accepted 1, applied by centre/).count == 5)
    }
}
