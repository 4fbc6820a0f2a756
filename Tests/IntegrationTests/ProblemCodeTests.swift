import Federation
import FederationTestKit
import FoundationEssentials
import Testing

/// `docs/api/problems.md` held against the sources and against `openapi.json`, in both directions.
@Suite("Problem codes")
struct ProblemCodeTests {
    /// Where an error is made; what follows begins with its code.
    private static var makers: [Regex<Substring>] {
        [
            /\bProblem\(\s*(?:\d+|status),\s*/, /\bself\.init\(\s*\d+,\s*/, /\bDomainError\(\s*\.\w+,\s*/,
            /\bFederationError\(\s*/,
        ]
    }

    /// Codes that are put together, or chosen, where the error is made; and those that are only handed on.
    private static let others: [String: [String]] = [
        #""no-such-\(what)""#: ["no-such-operator", "no-such-channel"],
        #"errno == EADDRINUSE ? "port-in-use" : "address-unusable""#: ["port-in-use", "address-unusable"],
        #"state.code ?? "backup-failed""#: ["backup-failed"],
        #"problem?.code ?? "http-\(answer.status)""#: [], "error.code.rawValue": [], "error.code": [],
        // Of the enumerations that are read as such.
        "code.rawValue": [],
    ]

    struct Found {
        var codes: Set<String> = []
        /// Codes that this test cannot read: each is a fault of the test, or of the source.
        var unread: [String] = []
    }

    /// The codes of the errors that a source makes.
    static func codes(in source: String) -> Found {
        var found = Found()
        for maker in makers {
            for match in source.matches(of: maker) {
                let rest = source[match.range.upperBound...]
                // A declaration, or a copy of another error.
                if rest.hasPrefix("_ ") || rest.hasPrefix("telling:") || rest.hasPrefix("error,") { continue }
                // Such a code has no comma in it.
                let argument = String(rest.prefix { $0 != "," }).trimmed
                if let literal = argument.wholeMatch(of: /"([a-z0-9.-]+)"/) {
                    found.codes.insert(String(literal.1))
                } else if let known = others[argument] {
                    found.codes.formUnion(known)
                } else {
                    found.unread.append(argument)
                }
            }
        }
        return found
    }

    private static func text(_ path: String) throws -> String {
        String(decoding: try Files.read(ArchitecturePaths.root + "/" + path, maximum: 1 << 20), as: UTF8.self)
    }

    private static func everyCode() throws -> Found {
        var all = Found()
        let sources = ArchitecturePaths.root + "/Sources"
        for file in try FileManager.default.subpathsOfDirectory(atPath: sources) where file.hasSuffix(".swift") {
            let found = codes(in: try text("Sources/" + file))
            all.codes.formUnion(found.codes)
            all.unread += found.unread.map { "\(file): \($0)" }
        }
        for file in ["Store/StoreError", "Trust/TUF/TUFFault"] {
            let enumeration = try text("Sources/Federation/\(file).swift")
            for match in enumeration.matches(of: /case \w+ = "([a-z-]+)"/) { all.codes.insert(String(match.1)) }
        }
        return all
    }

    /// The rows of the page's tables, without the lines above them.
    private static func rows() throws -> [[String]] {
        try text("docs/api/problems.md").split(separator: "\n").filter { $0.hasPrefix("| `") }
            .map { $0.split(separator: "|").map { String($0).trimmed } }
    }

    @Test("Every code that the sources make is on the page, and the page has no other")
    func page() throws {
        let found = try Self.everyCode()
        #expect(found.unread.isEmpty)
        let rows = try Self.rows()
        let listed = rows.map { $0[0].filter { $0 != "`" } }
        #expect(found.codes.subtracting(listed).sorted() == [], "not on the page")
        #expect(Set(listed).subtracting(found.codes).sorted() == [], "in no source")
        #expect(listed.count == Set(listed).count, "a code stands twice")
        #expect(rows.allSatisfy { row in (3...4).contains(row.count) && row.allSatisfy { !$0.isEmpty } })
        // Far fewer would mean that they are not found any more.
        #expect(listed.count > 120)
    }

    @Test("The first table is that of the API: each code under its status, and no other")
    func statuses() throws {
        let listed = try Self.rows().filter { $0.count == 4 }.map { "\($0[1]) \($0[0].filter { $0 != "`" })" }
        let document = try OpenAPIDocument()
        // Of no operation: what is at none of the paths. The document says so in words.
        let elsewhere = ["404 no-such-path", "405 method-not-allowed"]
        let words = document.root["info"]?["description"]?.text ?? ""
        #expect(elsewhere.allSatisfy { words.contains($0.replacing(" ", with: " `") + "`") })
        #expect(document.codes.union(elsewhere).sorted() == listed.sorted())
    }

    @Test(
        "A code is read where an error is made, whatever stands around it",
        arguments: [
            (#"throw Problem(400, "bad-x", "y", remedy: "z")"#, ["bad-x"], 0),
            ("DomainError(\n    .conflict,\n    \"a-b\", \"c, d\")", ["a-b"], 0),
            (#"self.init(500, "i", "")"#, ["i"], 0),
            (#"FederationError("no-line-2.1", x)"#, ["no-line-2.1"], 0), (#"Problem(status, "s", d)"#, ["s"], 0),
            (#"FederationError(name, "x")"#, [], 1), (#"DomainError(.conflict, "a-\(b)", "x")"#, [], 1),
            (#"FederationError(isA ? "a" : "b", "x")"#, [], 1), (#"FederationError(error.code, "x")"#, [], 0),
            (#"case error as FederationError: x"#, [], 0), (#"Log("not-an-error", 1)"#, [], 0),
        ] as [(String, [String], Int)])
    func reads(source: String, codes: [String], unread: Int) {
        let found = Self.codes(in: source)
        #expect(found.codes == Set(codes) && found.unread.count == unread, "\(found)")
    }
}

extension String {
    fileprivate var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
