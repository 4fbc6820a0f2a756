import FederationTestKit
import Foundation
import Testing

@testable import Federation

/// What the README says is what happens, word by word.
@Suite("The README")
struct ReadmeTests {
    @Test("The walk with curl does one appeal's whole life on the demo federation")
    func walk() throws {
        let text = String(
            decoding: try Files.read(ArchitecturePaths.root + "/README.md", maximum: 1 << 20), as: UTF8.self)
        let section = try #require(text.range(of: "## One appeal by hand"))
        let parts = text[section.upperBound...].components(separatedBy: "```")
        let script = parts[1].replacing("E=.build/release/ekc;", with: "E=\(Binary.path);")
        #expect(script != parts[1])
        let folder = try TemporaryFolder()
        try Files.write(Array(script.utf8), to: folder.path + "/walk.sh")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/timeout")
        process.arguments = ["100", "bash", "-e", "-o", "pipefail", folder.path + "/walk.sh"]
        process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": folder.path]) { $1 }
        let said = Pipe()
        process.standardOutput = said
        try process.run()
        let output = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(output.contains("\"state\":\"resolved\""), "\(output)")
        #expect(output.contains("handed_over → resolved  answered by subject-77 (answered)"), "\(output)")
        #expect(!output.contains("\"code\":\""), "\(output)")
    }

    @Test("Every suite of tests that the threat model names is there")
    func threatModel() throws {
        let text = String(
            decoding: try Files.read(ArchitecturePaths.root + "/docs/threat-model.md", maximum: 1 << 20), as: UTF8.self)
        let named = Set(text.matches(of: /`(\w+Tests)`/).map { String($0.output.1) })
        let tests = try FileManager.default.subpathsOfDirectory(atPath: ArchitecturePaths.root + "/Tests")
        let files = Set(tests.map { URL(filePath: $0).lastPathComponent })
        #expect(named.filter { !files.contains($0 + ".swift") }.sorted() == [])
        #expect(named.count > 10)
    }
}
