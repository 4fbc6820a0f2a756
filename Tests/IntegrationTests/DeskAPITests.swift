import CCurl
import CLinux
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation
@testable import Node

@Suite("The API, over HTTP", .serialized)
struct DeskAPITests {
    @Test("One appeal's whole life, and the same answer to a repeated key after a restart")
    func life() throws {
        let nodes = try TwoNodes()
        try nodes.people()
        let first = try nodes.submit(key: "k-1")
        #expect(first.status == 201)
        let accepted = try first.decoded(PublicAPI.Accepted.self)
        let claimed = try nodes.ask(desk: "centre", "POST", "/api/v1/queue/claim", token: "tanna", "{}")
            .decoded(AppealView.self)
        #expect(claimed.id == accepted.id && claimed.claim?.number == 1)
        let mine = try nodes.ask(desk: "centre", "GET", "/api/v1/appeals", token: "tanna")
            .decoded(OperatorAPI.Listing.self)
        #expect(mine.appeals.map(\.id) == [accepted.id])
        // By its number, as it is said on the phone.
        let escalated = try nodes.ask(
            desk: "centre", "POST", "/api/v1/appeals/\(accepted.number)/escalate", token: "tanna",
            #"{"claim": 1, "reason": "PERSONAL"}"#)
        #expect(escalated.status == 200)
        nodes.stop("centre")
        try nodes.start("centre")
        let again = try nodes.submit(key: "k-1")
        #expect(again.status == 201 && again.body == first.body)
        #expect(try nodes.submit(key: "k-1", TwoNodes.appeal.replacing("77", with: "50")).code == "key-reused")
        #expect(try nodes.submit(key: "k-1", TwoNodes.appeal.replacing("77", with: "50")).status == 422)

        let arrived = try TestFederation.wait(milliseconds: 10_000) {
            try nodes.ask(desk: "subject-77", "GET", "/api/v1/queue", token: "tboris")
                .decoded(OperatorAPI.Listing.self).appeals.count == 1
        }
        #expect(arrived)
        let path = "/api/v1/appeals/\(accepted.id)"
        _ = try nodes.ask(
            desk: "subject-77", "POST", "/api/v1/queue/claim", token: "tboris", "{\"id\": \"\(accepted.id)\"}")
        let identity = try nodes.ask(
            desk: "subject-77", "POST", path + "/identity", token: "tboris",
            """
            {"claim": 1, "citizen": {"name": "Образцова Мария", "birthDate": "1960-02-29", "snils": "112-233-445 95"}}
            """)
        #expect(try identity.decoded(AppealView.self).claim?.number == 1)
        let key = "answer-once"
        let answer = #"{"claim": 1, "text": "25 числа.", "delivery": "call"}"#
        let told = try nodes.ask(desk: "subject-77", "POST", path + "/answer", token: "tboris", key: key, answer)
        #expect(try told.decoded(AppealView.self).state == "resolved")
        // The same key is the same answer; another one is a second answer, and there is none.
        #expect(
            try nodes.ask(desk: "subject-77", "POST", path + "/answer", token: "tboris", key: key, answer).body
                == told.body)
        #expect(
            try nodes.ask(desk: "subject-77", "POST", path + "/answer", token: "tboris", answer).code == "stale-claim")
        let heard = try TestFederation.wait(milliseconds: 10_000) {
            try nodes.ask(desk: "centre", "GET", path, token: "tanna").decoded(AppealView.self).outcome == "answered"
        }
        #expect(heard)
        let seen = try nodes.ask(desk: "centre", "GET", path, token: "tanna")
        #expect(!String(decoding: seen.body, as: UTF8.self).contains("25 числа"))
        #expect(!String(decoding: seen.body, as: UTF8.self).contains("Образцова"))
    }

    @Test("A token opens its own door and no other; what is not yours does not exist")
    func doors() throws {
        let nodes = try TwoNodes()
        try nodes.people()
        for (token, key) in [(nil, "x"), ("", "x"), ("tsite", "x"), ("tboris", "x"), ("nobody", "x")]
            as [(String?, String)]
        {
            let answer = try nodes.ask(
                desk: "centre", "POST", "/api/v1/queue/claim", token: token, key: key, "not json")
            #expect(answer.status == 401 && answer.code == "unauthorised", "\(token ?? "-")")
            #expect(try nodes.ask(desk: "centre", "GET", "/api/v1/queue", token: token).status == 401)
        }
        let channel = nodes.running["centre"]?.ready.channels
        #expect(try nodes.ask(channel, "POST", "/api/v1/appeals", token: "tanna", TwoNodes.appeal).status == 401)
        #expect(try nodes.ask(channel, "GET", "/api/v1/queue", token: "tsite").status == 404)
        #expect(try nodes.ask(channel, "GET", "/api/v1/node", token: "tsite").status == 404)
        #expect(try nodes.ask(desk: "centre", "GET", "/api/v1/node", token: "tanna").status == 404)

        let id = try nodes.submit().decoded(PublicAPI.Accepted.self).id
        var refusals: Set<String> = []
        for wanted in [id, "0193a5f0-0000-7000-8000-000000000000", "00-0000-0009-9", "nonsense", "..%2Fqueue"] {
            let answer = try nodes.ask(desk: "subject-77", "GET", "/api/v1/appeals/\(wanted)", token: "tboris")
            guard answer.status != 400 else { continue }
            #expect(answer.status == 403)
            refusals.insert(String(decoding: answer.body, as: UTF8.self))
        }
        #expect(refusals.count == 1 && refusals.first?.contains("not-yours") == true)

        // Withdrawn: nobody from the next request on, not in what is open either, and the name stays taken.
        let place = nodes.place("centre").path
        let stream = try OpenStream(try #require(nodes.running["centre"]?.ready.operators), token: "tanna")
        #expect(stream.read(until: "text/event-stream"))
        _ = try nodes.submit()
        #expect(stream.read(until: #""to":"queued_l1""#), "\(stream.said)")
        #expect(try nodes.ask(desk: "centre", "GET", "/api/v1/queue", token: "tanna").status == 200)
        for (kind, name) in [("operator", "anna"), ("channel", "site")] {
            #expect(try Binary.run([kind, "remove", place, name, "--json"]).output == "{\"name\":\"\(name)\"}\n")
            #expect(try Binary.run([kind, "remove", place, name]).exit == 1)
        }
        #expect(try nodes.ask(desk: "centre", "GET", "/api/v1/queue", token: "tanna").status == 401)
        #expect(stream.read(until: "\r\n0\r\n\r\n"), "\(stream.said)")
        #expect(try nodes.submit().status == 401)
        #expect(try !Binary.run(["operator", "list", place]).output.contains("anna"))
        let again = try nodes.add(
            "centre", "/api/v1/operators", #""name": "anna", "line": "1", "organisation": "PFR""#, token: "other")
        #expect(again.code == "operator-exists")
        #expect(try Binary.run(["operator", "remove", place, "../x"]).exit == 1)
    }

    @Test(
        "What cannot be meant is a clear error, and nothing is half done",
        arguments: [
            ("unknown-field", #""colour": 1, "organisation""#, #""organisation""#),
            ("unknown-field", #""phone": "1", "text""#, #""text""#),
            ("bad-json", #""topic": null, "organisation""#, #""organisation""#),
            ("bad-json", #""subject": "77", "subject""#, #""subject""#), ("bad-json", "", #"{"organisation""#),
            ("unknown-subject", #""99""#, #""77""#), ("bad-utterance", #""   ""#, "\"Когда придёт пособие?\""),
            ("bad-utterance", #""a\u0000b""#, "\"Когда придёт пособие?\""),
            ("bad-utterance", #""yesterday""#, #""2026-11-24T09:15:00.123Z""#),
            ("bad-name", #""topic": "Иванов", "organisation""#, #""organisation""#),
        ])
    func badAppeals(_ code: String, _ put: String, _ out: String) throws {
        let nodes = DeskAPITests.shared
        let body = TwoNodes.appeal.replacing(out, with: put)
        #expect(body != TwoNodes.appeal)
        let answer = try nodes.submit(body)
        #expect(answer.status == 400 && answer.code == code, "\(String(decoding: answer.body, as: UTF8.self))")
        let listed = try nodes.ask(desk: "centre", "GET", "/api/v1/queue", token: "tanna")
            .decoded(OperatorAPI.Listing.self)
        #expect(listed.appeals.isEmpty)
    }

    nonisolated(unsafe) private static let shared: TwoNodes = {
        do {
            let nodes = try TwoNodes()
            try nodes.people()
            return nodes
        } catch { fatalError("\(error)") }
    }()

    @Test("Accounts are held against the topology, and a token's file comes before its account")
    func accounts() throws {
        let nodes = DeskAPITests.shared
        for (fields, code) in [
            (#""name": "a", "line": "1", "organisation": "OSZN""#, "line-not-allowed"),
            (#""name": "a", "line": "1""#, "line-not-allowed"),
            (#""name": "a", "line": "2", "tenancy": "OSZN/77""#, "no-such-tenancy"),
            (#""name": "Анна", "line": "1", "organisation": "PFR""#, "bad-name"),
        ] { #expect(try nodes.add("centre", "/api/v1/operators", fields, token: "x").code == code) }
        #expect(
            try nodes.add("subject-77", "/api/v1/channels", #""name": "c", "kind": "form""#, token: "x").code
                == "not-the-centre")
        let place = nodes.place("centre").path
        let missing = nodes.folder.path + "/nowhere/token"
        #expect(
            try Binary.run([
                "operator", "add", place, "petr", "--line", "1", "--organisation", "PFR", "--token-file", missing,
            ]).exit == 1)
        let file = nodes.folder.path + "/petr.token"
        #expect(
            try Binary.run([
                "operator", "add", place, "petr", "--line", "1", "--organisation", "PFR", "--token-file", file,
            ]).exit == 0)
        let other = nodes.folder.path + "/petr-2.token"
        #expect(
            try Binary.run([
                "operator", "add", place, "petr", "--line", "1", "--organisation", "PFR", "--token-file", other,
            ]).exit == 1)
        #expect(Files.exists(file) && !Files.exists(other))
    }

    private struct Facts: Decodable {
        struct Table: Decodable {
            var name: String
            var rows: Int
            var bytes: Int
        }

        var usedBytes: Int
        var fileBytes: Int
        var tables: [Table]
    }

    @Test("An administrator sees what the store holds, and what it keeps for others")
    func storeFacts() throws {
        let place = DeskAPITests.shared.place("centre").path
        let stat = try Binary.run(["store", "stat", place, "--json"])
        let facts = try JSONDecoder().decode(Facts.self, from: Data(stat.output.utf8))
        #expect(facts.tables.contains { $0.name == "operators" && $0.rows > 0 && $0.bytes >= 4096 })
        #expect(facts.usedBytes == facts.tables.reduce(0) { $0 + $1.bytes } && facts.usedBytes <= facts.fileBytes)
        #expect(Set(facts.tables.map(\.name)) == Set((Table.exchange + ContactCentreTables.all).map(\.name)))
        let outbox = try Binary.run(["outbox", "list", place, "--json"])
        #expect(outbox.exit == 0 && outbox.output.hasPrefix("{\"rooms\":["))
        #expect(try Binary.run(["outbox", "list", place]).exit == 0)
        let links = try Binary.run(["link", "list", place, "--json"])
        #expect(links.exit == 0 && links.output.contains("\"peer\":\"subject-77\""))
        for (arguments, exit) in [
            (["link", "pause", place, "subject-77"], 64), (["link", "pause", place, "nobody", "--reason", "x"], 1),
            (["link", "pause", place, "subject-77", "--reason", ""], 64),
            (["link", "pause", place, "subject-77", "--reason", "\u{1b}[2J"], 64),
            (["link", "resume", place, "subject-77"], 1),
        ] { #expect(try Binary.run(arguments).exit == Int32(exit)) }
    }

    @Test("With a damaged store intake and desks are refused as store-damaged, and what is readable is read")
    func damaged() throws {
        let nodes = try TwoNodes()
        try nodes.people()
        let accepted = try nodes.submit()
        #expect(accepted.status == 201 || accepted.status == 200)
        let id = try accepted.decoded(PublicAPI.Accepted.self).id
        let store = try #require(nodes.running["centre"]?.node.store)
        store.health.found(StoreDamage(foundAt: Clocks.wall(), detail: "table text: planted", unreadable: ["text"]))
        for answer in [
            try nodes.submit(), try nodes.ask(desk: "centre", "POST", "/api/v1/queue/claim", token: "tanna", "{}"),
            try nodes.ask(desk: "centre", "GET", "/readyz"),
            try nodes.ask(desk: "centre", "GET", "/api/v1/appeals/\(id)", token: "tanna"),
        ] { #expect(answer.status == 503 && answer.code == "store-damaged", "\(answer.status) \(answer.code ?? "")") }
        #expect(try nodes.ask(desk: "centre", "GET", "/healthz").status == 200)
        #expect(try nodes.ask(desk: "centre", "GET", "/api/v1/queue", token: "tanna").status == 200)
        nodes.stop("centre")
        try nodes.start("centre")
        #expect(try nodes.submit().code == "store-damaged")
        #expect(try nodes.ask(desk: "centre", "GET", "/api/v1/queue", token: "tanna").status == 200)
    }

    @Test("Knowledge is imported whole or not at all, whatever its size")
    func knowledge() throws {
        let nodes = DeskAPITests.shared
        let place = nodes.place("centre").path
        func entry(_ number: Int, _ more: String = "", answer: String = "Ответ") -> String {
            """
            {"id": "KB-T-\(number)", "organisation": "OSZN", "topic": "family", "line": "1", "question": "Вопрос?",
             "answer": "\(answer)"\(more)}
            """
        }
        func imported(_ entries: [String]) throws -> (exit: Int32, output: String) {
            let file = nodes.folder.path + "/entries.json"
            try Files.write(Array("[\(entries.joined(separator: ","))]".utf8), to: file)
            return try Binary.run(["knowledge", "import", place, file, "--json"])
        }
        let good = (0..<250).map { entry($0) }
        #expect(try imported(good + [entry(250, answer: " ")]).exit == 1)
        #expect(try imported(good + [entry(0)]).exit == 1)
        #expect(try imported(good + [entry(250, ", \"colour\": 1")]).exit == 1)
        #expect(try Binary.run(["knowledge", "publish", place, "--json"]).output == "{\"count\":0}\n")
        // As many bytes as several requests may have.
        let long = String(repeating: "ю", count: 7_900)
        let (exit, output) = try imported((0..<100).map { entry($0, answer: long) })
        #expect(exit == 0 && output == "{\"count\":100}\n")
        #expect(try Binary.run(["knowledge", "publish", place, "--json"]).output == "{\"count\":100}\n")
    }
}
