import Federation
import FederationTestKit
import Glibc
import Testing

@testable import Node

@Suite("A token behind a command, and archives", .serialized)
struct SignatureCommandTests {
    /// A first root with one key to sign it.
    private static func proposal(by key: TUFKey) throws -> Proposal {
        let role = TUFRole([key], threshold: 1)
        let roles = Dictionary(uniqueKeysWithValues: TUFRoot.roles.map { ($0, role) })
        let root = RoleDocument.root(version: 1, expires: TUFMaker.tomorrow, roles: roles, reason: nil)
        return Proposal(
            federation: "ekc.test", reason: "test", created: TUFMaker.now, base: [:],
            roles: ["root": try .unsigned(root, "root")], files: [:])
    }

    private static func code(of body: () throws -> Void) -> String? {
        do { try body() } catch { return (error as? FederationError)?.code ?? "\(error)" }
        return nil
    }

    @Test(
        "openssl signs as a token would, with either kind of key",
        arguments: [(TUFKey.Scheme.ed25519, "-rawin"), (.ecdsa, "-rawin -digest sha256")])
    func foreign(scheme: TUFKey.Scheme, options: String) throws {
        let folder = try TemporaryFolder()
        let file = folder.path + "/key"
        let key = try SigningKey.create(file, scheme: scheme, holder: "Анна").key
        var proposal = try Self.proposal(by: key)
        let command = "openssl pkeyutl -sign -inkey \(file) \(options) -in /dev/stdin | od -An -v -tx1"
        let signed = try SignatureCommand.sign(&proposal, command, isAlone: true)
        #expect(signed.roles == ["root"] && signed.person == "Анна")
        #expect(Self.code { try proposal.requireEnough() } == nil)
    }

    @Test(
        "A command that does not sign is told of, within its time",
        arguments: [
            ("exit 3", "signer-failed"), ("echo no-hex", "signer-failed"), ("true", "signer-failed"),
            ("exec sleep 600", "signer-failed"), ("exec 1>&-; exec sleep 600", "signer-failed"),
            ("yes 00", "signer-failed"), ("kill -9 $$", "signer-failed"),
            ("printf %0128d 0", "key-unknown"), ("no-such-command 2>/dev/null", "signer-failed"),
        ])
    func failures(command: String, expected: String) throws {
        let folder = try TemporaryFolder()
        var proposal = try Self.proposal(by: try SigningKey.create(folder.path + "/key").key)
        let before = proposal.bytes
        #expect(Self.code { _ = try SignatureCommand.sign(&proposal, command, seconds: 1, isAlone: true) } == expected)
        #expect(proposal.bytes == before)
    }

    @Test("What tar packs is read: our own archives and GNU tar's, with long names; garbage is refused")
    func archives() throws {
        let folder = try TemporaryFolder()
        let long =
            "targets/nodes/" + String(repeating: "n", count: 32) + "/" + String(repeating: "a", count: 64)
            + ".keys.json"
        for (name, text) in [("metadata/timestamp.json", "{}"), (long, String(repeating: "x", count: 700))] {
            let file = folder.path + "/tree/" + name
            try Files.makeFolder(String(file.prefix(upTo: file.lastIndex(of: "/") ?? file.endIndex)), mode: 0o755)
            try Files.write(Array(text.utf8), to: file)
        }
        for format in ["gnu", "ustar"] {
            let archive = "\(folder.path)/\(format).tar"
            #expect(system("tar --format=\(format) -cf \(archive) -C \(folder.path) tree") == 0)
            let entries = try TarArchive.entries(try Files.read(archive, maximum: 1 << 20))
            #expect(Set(entries.map(\.name)) == ["tree/metadata/timestamp.json", "tree/" + long], "\(format)")
            #expect(entries.contains { $0.content.count == 700 })
        }
        #expect(system("tar --format=pax -cf \(folder.path)/pax.tar -C \(folder.path) tree") == 0)
        let pax = try Files.read(folder.path + "/pax.tar", maximum: 1 << 20)
        #expect(Self.code { _ = try TarArchive.entries(pax) } == "tree-malformed")

        var own = TarArchive()
        own.add("metadata/1.root.json", [1, 2, 3], modified: 0)
        #expect(try TarArchive.entries(own.whole) == [.init(name: "metadata/1.root.json", content: [1, 2, 3])])
        for place in 0..<512 {
            var bytes = own.whole
            bytes[place] ^= 0x40
            // A header that starts with a zero is the end; any other change breaks the sum.
            let code = Self.code { _ = try TarArchive.entries(bytes) }
            #expect(code == "tree-malformed", "\(place)")
        }
        for length in 0..<own.whole.count {
            _ = Self.code { _ = try TarArchive.entries(Array(own.whole[..<length])) }
        }
    }
}
