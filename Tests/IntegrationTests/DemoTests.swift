import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

@Suite("The demo, from the built binary", .serialized)
struct DemoTests {
    struct Ledger: Decodable, Equatable {
        var submitted: Int
        var resolvedFirstLine: Int
        var answered: Int
        var waiting: Int
        var inFlight: Int
        var lost: Int
        var duplicated: Int
        var escalated: Int
        var returned: Int
        var nodes: Int
        var knowledgePublished: Int
        var nodesConverged: Int
        var kills: Int
        var cuts: Int
        var inFlightAtKill: Int
        var seconds: Double

        init(_ output: String) throws {
            self = try JSONDecoder().decode(Ledger.self, from: Data(output.utf8))
        }
    }

    @Test("Killed and cut, it loses nothing and doubles nothing")
    func demo() throws {
        let (exit, output) = try Binary.run(["demo", "--json", "--appeals", "400", "--entries", "300"])
        let ledger = try Ledger(output)
        #expect(exit == 0, "\(output)")
        #expect(ledger.submitted == 400 && ledger.lost == 0 && ledger.duplicated == 0 && ledger.inFlight == 0)
        #expect(ledger.resolvedFirstLine + ledger.answered + ledger.waiting == 400)
        #expect(ledger.waiting > 0 && ledger.answered > 0)
        #expect(ledger.knowledgePublished == 300 && ledger.nodesConverged == ledger.nodes)
        #expect(ledger.kills == 2 && ledger.cuts == 2)
    }

    // MARK: A kept one

    @Test("A kept demo is counted again with the same result; the folder of somebody else is not touched")
    func kept() throws {
        let kept = try KeptDemo.shared.get()
        let again = try kept.recount()
        #expect(again.exit == 0 && again.ledger == kept.ledger && again.errors == "", "\(again)")
        #expect(kept.ledger.kills == 2 && kept.ledger.inFlightAtKill > 0 && kept.ledger.seconds > 0)
        #expect(try Binary.run(["demo", "--appeals", "60", "--directory", kept.place]).exit == 1)
        #expect(try kept.recount().exit == 0)
    }

    @Test("Whatever is done to a store behind its back is seen", arguments: Tampering.all)
    func tampered(_ tampering: Tampering) throws {
        let kept = try KeptDemo.shared.get()
        let copy = try kept.copy(of: tampering.node)
        let changed = try tampering.run(in: copy.path, kept)
        #expect(changed > 0, "nothing was changed")
        let (exit, ledger, errors) = try kept.recount(copy.path)
        #expect(exit == 1)
        #expect(ledger.lost == (tampering.isLost ? changed : 0), "\(errors)")
        #expect(ledger.duplicated == (tampering.isDoubled ? changed : 0), "\(errors)")
        #expect(ledger.nodesConverged == (tampering.isBehind ? 5 : 6))
        #expect(ledger.submitted == 60 && errors.contains(tampering.says), "\(errors)")
    }

    @Test(
        "Without a journal, or the record of what was asked, nothing is counted",
        arguments: ["channel-1.journal", "demo.json"])
    func incomplete(_ file: String) throws {
        let copy = try KeptDemo.shared.get().copy(of: nil)
        unlink(copy.path + "/" + file)
        let errors = copy.path + "/errors"
        let (exit, output) = try Binary.run(
            ["demo", "--json", "--recount", "--directory", copy.path], errors: errors)
        let said = String(decoding: try Files.read(errors, maximum: 1 << 20), as: UTF8.self)
        #expect(exit == 1 && output == "" && said.contains(file) && said.contains("remedy"), "\(said)")
    }
}
