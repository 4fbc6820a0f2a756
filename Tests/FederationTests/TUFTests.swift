import FederationTestKit
import Testing

@testable import Federation

@Suite("Signed metadata")
struct TUFTests {
    private static let now = TUFMaker.now

    private static func tree(_ text: String) throws -> JSONText.Value {
        try JSONText.read(Array(text.utf8), lenient: false, maximum: 1 << 16).value
    }

    @Test(
        "Canonical JSON is that of TUF",
        arguments: [
            (#"{ "b" : 1, "a" : [true, false, null, -5] }"#, #"{"a":[true,false,null,-5],"b":1}"#),
            (#"{"\u00e9":"\u000a\t\"\\/"}"#, "{\"é\":\"\n\t\\\"\\\\/\"}"),
            (#"{"a":1,"Z":2,"aa":3,"":4}"#, #"{"":4,"Z":2,"a":1,"aa":3}"#),
            // By code points: U+FFFD comes before U+10000, though not in UTF-16.
            (#"{"\ud800\udc00":1,"\ufffd":2}"#, "{\"\u{FFFD}\":2,\"\u{10000}\":1}"),
            // Two writings of é are two names of different bytes.
            (#"{"e\u0301x":1,"\u00e9":2}"#, "{\"e\u{301}x\":1,\"\u{E9}\":2}"),
        ])
    func canonical(text: String, expected: String) throws {
        #expect(CanonicalJSON.encode(try Self.tree(text)) == Array(expected.utf8))
    }

    /// Everything of a small repository, to be changed by a case.
    private struct Walked {
        var trusted: TUFTrusted
        var code: TUFFault.Code?
    }

    /// Walks over files that are given by their names.
    private static func walk(
        _ trusted: TUFTrusted, _ files: [String: [UInt8]], at now: Timestamp = now
    ) -> Walked {
        var walk = TUFWalk(trusted, now: now, takesDelegated: true)
        while let wanted = walk.wanted.first {
            do throws(TUFFault) { try walk.arrived(wanted.path, files[wanted.path]) } catch {
                return Walked(trusted: walk.trusted, code: error.code)
            }
        }
        return Walked(trusted: walk.trusted, code: walk.isDone ? nil : .missing)
    }

    /// A repository with version `version` of every role but root.
    private static func files(_ maker: TUFMaker, _ version: Int64) throws -> [String: [UInt8]] {
        let snapshot = try maker.snapshot(version, [("targets", version)])
        return [
            "metadata/timestamp.json": try maker.timestamp(version, snapshot: snapshot, version),
            "metadata/\(version).snapshot.json": snapshot,
            "metadata/\(version).targets.json": try maker.targets(version),
        ]
    }

    private static func anchored(_ maker: TUFMaker) throws -> TUFTrusted { try TUFTrusted(anchor: maker.root()) }

    @Test("A repository of either kind of key is walked to its end", arguments: [false, true])
    func good(ecdsa: Bool) throws {
        let maker = try TUFMaker(ecdsa: ecdsa)
        let walked = Self.walk(try Self.anchored(maker), try Self.files(maker, 3))
        #expect(walked.code == nil)
        #expect(walked.trusted.has("targets") && walked.trusted.timestamp?.common.version == 3)
    }

    @Test("Root goes on by one version, signed by the old keys and by the new")
    func rootChain() throws {
        let maker = try TUFMaker()
        let old = try #require(maker.signers["root"])
        let trusted = try Self.anchored(maker)
        maker.signers["root"] = [try maker.key()]
        let new = try #require(maker.signers["root"])
        let table: [(Int64, [SigningKey], TUFFault.Code?)] = [
            (2, old + new, nil), (2, new, .threshold), (2, old, .threshold), (3, old + new, .rootVersion),
            (1, old + new, .rootVersion), (2, [], .threshold),
        ]
        for (version, signers, expected) in table {
            var files = try Self.files(maker, 1)
            files["metadata/2.root.json"] = try maker.root(version, by: signers)
            let walked = Self.walk(trusted, files)
            #expect(walked.code == expected, "version \(version)")
            #expect(walked.trusted.root.common.version == (expected == nil ? 2 : 1))
        }
    }

    @Test("256 versions of root are walked; the 257th is for the next walk")
    func manyRoots() throws {
        let maker = try TUFMaker()
        let trusted = try Self.anchored(maker)
        var files = try Self.files(maker, 1)
        for version in 2...257 { files["metadata/\(version).root.json"] = try maker.root(Int64(version)) }
        #expect(Self.walk(trusted, files).code == nil)
        files["metadata/258.root.json"] = try maker.root(258)
        let first = Self.walk(trusted, files)
        #expect(first.code == .rootTooMany && first.trusted.root.common.version == 257)
        let second = Self.walk(first.trusted, files)
        #expect(second.code == nil && second.trusted.root.common.version == 258)
    }

    @Test("What is older, late, of another role or not what was named is refused, each under its code")
    func attacks() throws {
        let maker = try TUFMaker()
        let known = Self.walk(try Self.anchored(maker), try Self.files(maker, 5)).trusted
        let late = Timestamp(milliseconds: Self.now.milliseconds - 1000)
        func changed(_ change: (inout [String: [UInt8]]) throws -> Void) throws -> [String: [UInt8]] {
            var files = try Self.files(maker, 6)
            try change(&files)
            return files
        }
        let snapshot = try maker.snapshot(6, [("targets", 6)])
        let table: [(String, [String: [UInt8]], TUFFault.Code?)] = [
            ("newer", try Self.files(maker, 6), nil), ("the same", try Self.files(maker, 5), nil),
            ("timestamp is older", try Self.files(maker, 4), .rollback),
            (
                "snapshot is older",
                try changed {
                    $0["metadata/timestamp.json"] = try maker.timestamp(
                        6, snapshot: try maker.snapshot(4, [("targets", 6)]), 4)
                }, .rollback
            ),
            (
                "targets are older",
                try changed {
                    let old = try maker.snapshot(6, [("targets", 4)])
                    $0["metadata/6.snapshot.json"] = old
                    $0["metadata/timestamp.json"] = try maker.timestamp(6, snapshot: old, 6)
                }, .rollback
            ),
            (
                "targets are not listed",
                try changed {
                    let none = try maker.snapshot(6, [])
                    $0["metadata/6.snapshot.json"] = none
                    $0["metadata/timestamp.json"] = try maker.timestamp(6, snapshot: none, 6)
                }, .rollback
            ),
            (
                "timestamp has expired",
                try changed {
                    $0["metadata/timestamp.json"] = try maker.timestamp(6, snapshot: snapshot, 6, expires: late)
                }, .expired
            ),
            (
                "another snapshot",
                try changed { $0["metadata/6.snapshot.json"] = try maker.snapshot(6, [("targets", 7)]) },
                .mismatch
            ),
            (
                "another version of targets", try changed { $0["metadata/6.targets.json"] = try maker.targets(7) },
                .mismatch
            ),
            (
                "targets have expired",
                try changed { $0["metadata/6.targets.json"] = try maker.targets(6, expires: late) },
                .expired
            ),
            (
                "a snapshot in place of the timestamp",
                try changed { $0["metadata/timestamp.json"] = try maker.snapshot(6, [("targets", 6)]) }, .wrongType
            ),
            ("no snapshot", try changed { $0["metadata/6.snapshot.json"] = nil }, .missing),
            ("no targets", try changed { $0["metadata/6.targets.json"] = nil }, .missing),
            ("nothing", [:], .missing),
            (
                "a large timestamp",
                try changed { $0["metadata/timestamp.json"] = [UInt8](repeating: 0x20, count: 17 << 10) }, .tooLarge
            ),
        ]
        for (name, files, expected) in table {
            let walked = Self.walk(known, files)
            #expect(walked.code == expected, "\(name)")
            if expected != nil { #expect(walked.trusted.targets["targets"]?.common.version == 5, "\(name)") }
        }
    }

    @Test("The wrong role's file is told by its type, when one key signs for both")
    func wrongType() throws {
        let maker = try TUFMaker()
        maker.signers["snapshot"] = maker.signers["timestamp"]
        var files = try Self.files(maker, 1)
        files["metadata/timestamp.json"] = files["metadata/1.snapshot.json"]
        #expect(Self.walk(try Self.anchored(maker), files).code == .wrongType)
    }

    @Test("Versions that were signed too high are forgotten with the key that signed them")
    func fastForward() throws {
        let maker = try TUFMaker()
        var files = try Self.files(maker, 1_000_000)
        let known = Self.walk(try Self.anchored(maker), files).trusted
        files = try Self.files(maker, 2)
        #expect(Self.walk(known, files).code == .rollback)
        maker.signers["timestamp"] = [try maker.key()]
        maker.signers["snapshot"] = [try maker.key()]
        files = try Self.files(maker, 2)
        files["metadata/2.root.json"] = try maker.root(2)
        let recovered = Self.walk(known, files)
        #expect(recovered.code == nil && recovered.trusted.targets["targets"]?.common.version == 2)
    }

    @Test("One key or one person twice in a role is refused, though the ids differ")
    func distinct() throws {
        let maker = try TUFMaker()
        let first = try maker.key(holder: "anna")
        for (other, expected) in [
            (try maker.key(holder: "anna"), TUFFault.Code.holderTwice), (try maker.key(holder: "boris"), nil),
        ] {
            maker.signers["root"] = [first, other]
            let result = Result { () throws(TUFFault) in
                do { return try TUFTrusted(anchor: try maker.root(threshold: 2)) } catch { throw error as! TUFFault }
            }
            if case .failure(let fault) = result { #expect(fault.code == expected) } else { #expect(expected == nil) }
        }
        maker.signers["root"] = [first]
        let text = String(decoding: try maker.root(), as: UTF8.self).filter { $0 != "\n" && $0 != " " }
        let id = first.key.id
        let twice = text.replacing("\"keyids\":[\"\(id)\"]", with: "\"keyids\":[\"\(id)\",\"other\"]")
            .replacing(
                "\"\(id)\":{",
                with:
                    "\"other\":{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"\(first.key.publicText.uppercased())\"},\"scheme\":\"ed25519\"},\"\(id)\":{"
            )
        #expect(throws: TUFFault.self) { _ = try TUFRoot(Array(twice.utf8)) }
        do throws(TUFFault) { _ = try TUFRoot(Array(twice.utf8)) } catch { #expect(error.code == .keyTwice) }
    }

    @Test("Metadata cut at any byte, and with any byte changed, is refused and never traps")
    func fuzz() throws {
        let maker = try TUFMaker(ecdsa: true)
        let trusted = try Self.anchored(maker)
        let files = try Self.files(maker, 1)
        var random = SeededRandom(seed: 4)
        for name in files.keys.sorted() {
            let whole = try #require(files[name])
            // The last byte is a line feed.
            for count in 0..<whole.count - 1 {
                var broken = files
                broken[name] = Array(whole[..<count])
                #expect(Self.walk(trusted, broken).code != nil)
            }
            for _ in 0..<200 {
                var broken = whole
                let place = Int(random.next() % UInt64(whole.count))
                broken[place] ^= UInt8(1 + random.next() % 255)
                var changed = files
                changed[name] = broken
                let walked = Self.walk(trusted, changed)
                // What is outside the signature may differ: what is used is what was signed.
                if walked.code == nil { #expect(walked.trusted.has("targets")) }
            }
        }
    }
}
