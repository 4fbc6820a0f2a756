import FederationTestKit
import FoundationEssentials
import Testing

@Suite("Architecture: dependencies point down only")
struct ArchitectureTests {
    struct Breach: Equatable, CustomStringConvertible {
        var file: String
        var line: Int
        var text: String
        var description: String { "\(file):\(line): \(text)" }
    }

    struct Rule: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Path prefixes below `Sources`.
        var within: [String]
        var except: [String] = []
        var forbidden: Set<String>
    }

    static let rules = [
        Rule(
            testDescription: "Federation knows nothing of appeals", within: ["Federation/", "CryptoShim/"],
            forbidden: ["ContactCentre", "Node", "SampleData"]),
        Rule(
            testDescription: "ContactCentre knows nothing of Node", within: ["ContactCentre/"],
            forbidden: ["Node", "SampleData"]),
        Rule(
            testDescription: "only Store/ knows LMDB", within: ["Federation/", "ContactCentre/", "Node/"],
            except: ["Federation/Store/"], forbidden: ["CLMDB"]),
        Rule(
            testDescription: "only Trust/, Sealing/ and Link/TLS* know OpenSSL and libsodium",
            within: ["Federation/", "ContactCentre/", "Node/"],
            except: ["Federation/Trust/", "Federation/Sealing/", "Federation/Link/TLS"], forbidden: ["CryptoShim"]),
        Rule(
            testDescription: "the exchange is a value without IO",
            within: [
                "Federation/Model/", "Federation/Wire/", "Federation/Inbox/", "Federation/Outbox/",
                "Federation/Link/Exchange", "Federation/Link/Session", "ContactCentre/",
            ],
            forbidden: ["Glibc", "CLinux", "CLMDB", "CryptoShim"]),
    ]

    /// The package's folder: this file is two below it.
    static var root: String { #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() }

    static func breaches(of rule: Rule, in folder: String) throws -> [Breach] {
        var found: [Breach] = []
        for file in try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() where file.hasSuffix(".swift")
        {
            guard rule.within.contains(where: file.hasPrefix), !rule.except.contains(where: file.hasPrefix) else {
                continue
            }
            let data = try #require(FileManager.default.contents(atPath: folder + "/" + file))
            let lines = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            for (index, line) in lines.enumerated() {
                let words = line.prefix(while: { $0 != "/" }).split(separator: " ")
                guard let place = words.firstIndex(of: "import"),
                    words[..<place].allSatisfy({
                        $0.hasPrefix("@") || ["public", "package", "internal", "private", "fileprivate"].contains($0)
                    }),
                    let module = words.last?.split(separator: ".").first, rule.forbidden.contains(String(module))
                else { continue }
                found.append(Breach(file: "Sources/" + file, line: index + 1, text: String(line)))
            }
        }
        return found
    }

    @Test("Imports keep the direction", arguments: rules)
    func imports(_ rule: Rule) throws {
        for breach in try ArchitectureTests.breaches(of: rule, in: ArchitectureTests.root + "/Sources") {
            Issue.record("\(breach)")
        }
    }

    @Test("A planted import is found, with file and line")
    func planted() throws {
        let folder = try TemporaryFolder()
        try plant(
            folder, "Federation/Model/Planted.swift",
            "/// A comment.\nimport Synchronization\npackage import ContactCentre  // why\n")
        #expect(
            try ArchitectureTests.breaches(of: ArchitectureTests.rules[0], in: folder.path) == [
                Breach(
                    file: "Sources/Federation/Model/Planted.swift", line: 3,
                    text: "package import ContactCentre  // why")
            ])
    }

    @Test("Unchecked sendability is for handle owners, with a reason")
    func unchecked() throws {
        let sources = ArchitectureTests.root + "/Sources"
        for file in try FileManager.default.subpathsOfDirectory(atPath: sources) where file.hasSuffix(".swift") {
            let data = try #require(FileManager.default.contents(atPath: sources + "/" + file))
            let text = String(decoding: data, as: UTF8.self)
            let uses = text.split(separator: "\n").count { $0.contains("@unchecked Sendable {") }
            let reasons = text.split(separator: "\n").count { $0.contains("// Safe because") }
            #expect(uses == reasons, "\(file): \(uses) unchecked, \(reasons) reasons")
        }
    }
}

private func plant(_ folder: TemporaryFolder, _ name: String, _ text: String) throws {
    let file = folder.path + "/" + name
    let parent = file.split(separator: "/").dropLast().map { "/" + $0 }.joined()
    try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(filePath: file))
}
