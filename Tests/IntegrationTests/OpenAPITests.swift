import CCurl
import CLinux
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation
@testable import Node

/// `docs/api/openapi.json` held against the code, in both directions; a foreign validator speaks for its schemas.
@Suite("The OpenAPI document", .serialized)
struct OpenAPITests {
    @Test("It has the routes of the three listeners, and they have its own")
    func routes() throws {
        let federation = try TestFederation(["centre"], application: SilentNode.init)
        defer { federation.stopAll() }
        let node = try federation.start("centre", tables: ContactCentreTables.all)
        let desk = Desk(
            node: node.id, centre: node.id, router: Router(following: node.inForce), sender: node.outbox,
            random: Random.id128)
        let door = DeskDoor(node: node, desk: desk)
        let events = DeskEvents(node, desk)
        let reporter = NodeReporter(node)
        defer {
            events.stop()
            reporter.stop()
        }
        var found: Set<OpenAPIDocument.Operation> = []
        for (listener, routes) in [
            ("public", PublicAPI(door: door).routes), ("operators", OperatorAPI(door: door, events: events).routes),
            ("metrics", MetricsAPI(node: node, reporter: reporter).routes),
        ] {
            for row in routes.list {
                found.insert(.init(listener: listener, method: row.method, pattern: row.pattern))
            }
        }
        #expect(try OpenAPIDocument().operations == found)
    }

    @Test("A request has the fields that are documented, and no others")
    func fields() throws {
        let document = try OpenAPIDocument()
        for (name, fields) in [
            ("Submission", PublicAPI.Submission.fields), ("Utterance", Utterance.fields),
            ("Citizen", CitizenRecord.fields), ("KnowledgeEntry", KnowledgeEntry.fields),
        ] { #expect(try document.schema(name)["properties"]?.names == fields, "\(name)") }
        var acts: [String: Set<String>] = [:]
        for operation in document.operations where operation.method == "POST" && operation.listener == "operators" {
            let body = try #require(try document.operation("POST", operation.pattern)["requestBody"])
            let name = try #require(body["content"]?["application/json"]?["schema"]?["$ref"]?.text)
            acts[operation.pattern] = try document.schema(String(name.split(separator: "/").last ?? "")).fields
        }
        #expect(acts == OperatorAPI.Act.takes.mapValues { Set($0) })
        // What changes something wants a key; each name in a path is a parameter.
        for operation in document.operations {
            let parameters = try document.operation(operation.method, operation.pattern)["parameters"]?.items ?? []
            let names = parameters.map { $0["name"]?.text ?? $0["$ref"]?.text ?? "" }
            let wanted =
                (operation.method == "POST" ? ["#/components/parameters/IdempotencyKey"] : [])
                + (operation.pattern.contains("{id}") ? ["id"] : [])
                + (operation.pattern.hasSuffix("/events") ? ["Last-Event-ID"] : [])
            #expect(names == wanted, "\(operation)")
        }
        // Every object is closed.
        for schema in try #require(document.root["components"]?["schemas"]).members {
            guard schema.node["type"]?.text == "object" else { continue }
            guard case .bool(false)? = schema.node["additionalProperties"]?.value else {
                Issue.record("\(schema.name) is open")
                continue
            }
        }
    }

    @Test("It has the words and limits of the code")
    func words() throws {
        let document = try OpenAPIDocument()
        func words(_ schema: String, _ property: String) throws -> [String]? {
            try document.schema(schema)["properties"]?[property]?["enum"]?.texts
        }
        #expect(try words("Appeal", "state") == AppealState.allCases.map(\.rawValue))
        #expect(try words("Appeal", "channel") == AppealRecord.Channel.allCases.map(\.rawValue))
        #expect(try words("Event", "event") == AppealEvent.allCases.map(\.rawValue))
        for (act, field) in [("ResolveAct", "reason"), ("ReturnAct", "code")] {
            #expect(try words(act, field) == ReasonCode.allCases.map(\.rawValue))
        }
        func limit(_ schema: String, _ property: String, _ word: String) throws -> Int64? {
            guard case .integer(let number)? = try document.schema(schema)["properties"]?[property]?[word]?.value
            else { return nil }
            return number
        }
        #expect(try limit("Submission", "history", "maxItems") == Int64(History.mostUtterances))
        #expect(try limit("Utterance", "text", "maxLength") == Int64(History.mostCharacters))
        #expect(try limit("AnswerAct", "text", "maxLength") == Int64(History.mostCharacters))
    }

    @Test("What real nodes answer fits it, success and refusal, and what it documents is answered")
    func answers() throws {
        let scene = try APIScene()
        try scene.channels()
        try scene.firstLine()
        try scene.secondLine()
        try scene.refusals()
        let document = try OpenAPIDocument()
        var cases: [ForeignValidator.Case] = []
        var refused: Set<String> = []
        var succeeded: Set<String> = []
        for answer in scene.answers {
            let operation = "\(answer.method) \(answer.pattern)"
            let body = String(decoding: answer.body, as: UTF8.self)
            guard let response = try document.response(answer.method, answer.pattern, answer.status) else {
                Issue.record("\(operation): \(answer.status) is not documented: \(body)")
                continue
            }
            if answer.status < 300 { succeeded.insert(operation) } else { refused.insert(operation) }
            if let code = answer.code { #expect(response.codes.contains(code), "\(operation): \(code)") }
            if !response.pointer.isEmpty { cases.append(.init(schema: response.pointer, value: body)) }
        }
        cases += scene.events.map { .init(schema: "#/components/schemas/Event", value: $0) }
        #expect(!scene.events.isEmpty)
        for (said, one) in zip(try ForeignValidator.faults(cases, in: OpenAPIDocument.path), cases) {
            #expect(said == "[]", "\(one)")
        }
        let all = Set(document.operations.map { "\($0.method) \($0.pattern)" })
        #expect(succeeded == all, "\(all.subtracting(succeeded))")
        // What needs no token and changes nothing refuses nobody here.
        #expect(refused == all.subtracting(["GET /healthz", "GET /readyz", "GET /metrics"]))
        // What nobody answers should not be in the document.
        for name in ["Appeal", "Claim", "Citizen", "Utterance", "Listing", "PublishedEntry", "Event", "Problem"] {
            let fields = try #require(try document.schema(name)["properties"]?.names)
            let text = cases.map(\.value).joined()
            for field in fields where !text.contains("\"\(field)\":") {
                // A listing of more than a hundred is in another test.
                #expect(name == "Listing" && field == "more", "\(name).\(field)")
            }
        }
    }

    @Test("What a node with a damaged store answers fits it too")
    func damaged() throws {
        let nodes = try TwoNodes()
        try nodes.people()
        let id = try nodes.submit().decoded(PublicAPI.Accepted.self).id
        let store = try #require(nodes.running["centre"]?.node.store)
        store.health.found(StoreDamage(foundAt: Clocks.wall(), detail: "table text: planted", unreadable: ["text"]))
        let document = try OpenAPIDocument()
        var cases: [ForeignValidator.Case] = []
        func fits(_ method: String, _ pattern: String, _ answer: TwoNodes.Answer) throws {
            #expect(answer.status == 503 && answer.code == "store-damaged", "\(method) \(pattern): \(answer.status)")
            let response = try #require(try document.response(method, pattern, answer.status), "\(method) \(pattern)")
            #expect(response.codes.contains("store-damaged"), "\(method) \(pattern)")
            cases.append(.init(schema: response.pointer, value: String(decoding: answer.body, as: UTF8.self)))
        }
        try fits("POST", "/api/v1/appeals", try nodes.submit())
        try fits("GET", "/readyz", try nodes.ask(desk: "centre", "GET", "/readyz"))
        try fits(
            "GET", "/api/v1/appeals/{id}",
            try nodes.ask(desk: "centre", "GET", "/api/v1/appeals/\(id)", token: "tanna"))
        for (path, body) in [
            ("queue/claim", "{}"), ("appeals/{id}/release", #"{"claim": 1}"#),
            ("appeals/{id}/escalate", #"{"claim": 1, "reason": "PERSONAL"}"#),
        ] {
            let answer = try nodes.ask(
                desk: "centre", "POST", "/api/v1/" + path.replacing("{id}", with: id), token: "tanna", body)
            try fits("POST", "/api/v1/" + path, answer)
        }
        for (said, one) in zip(try ForeignValidator.faults(cases, in: OpenAPIDocument.path), cases) {
            #expect(said == "[]", "\(one)")
        }
    }

    @Test("The validator refuses what does not fit, so that fitting means something")
    func refuses() throws {
        let problem = #""type": "urn:ekc:problem:x", "status": 400, "code": "x", "detail": "d""#
        let cases = [
            ("Problem", "{\(problem), \"remedy\": \"r\"}", true), ("Problem", "{\(problem)}", false),
            ("Problem", "{\(problem), \"remedy\": \"r\", \"more\": 1}", false), ("ReleaseAct", "{\"claim\": 1}", true),
            ("ReleaseAct", "{\"claim\": \"1\"}", false), ("ReleaseAct", "{\"claim\": 1, \"text\": \"x\"}", false),
            ("Instant", "\"2026-11-24T09:15:00.123Z\"", true), ("Instant", "\"2026-11-24T09:15:00Z\"", false),
            ("Submission", TwoNodes.appeal, true),
            ("Submission", TwoNodes.appeal.replacing("OSZN", with: "oszn"), false),
        ]
        let said = try ForeignValidator.faults(
            cases.map { .init(schema: "#/components/schemas/\($0.0)", value: $0.1) }, in: OpenAPIDocument.path)
        for (one, said) in zip(cases, said) { #expect((said == "[]") == one.2, "\(one): \(said)") }
    }
}

private final class SilentNode: Application {
    func apply(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws {}
    func applied(_ envelope: Envelope, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func rejected(_ envelope: Envelope, code: String, in transaction: borrowing WriteTransaction) throws(StoreError) {}
    func held(_ envelope: Envelope, reason: HoldReason, in transaction: borrowing WriteTransaction) throws(StoreError) {
    }
}
