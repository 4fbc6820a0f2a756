import CCurl
import CLinux
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import ContactCentre
@testable import Federation
@testable import Node

/// Every operation of the API asked of two real nodes, as it is meant and as it is not; what was answered is kept.
final class APIScene {
    struct Answer {
        var method: String
        var pattern: String
        var status: Int
        var body: [UInt8]
        var code: String?
    }

    let nodes: TwoNodes
    private(set) var answers: [Answer] = []
    private(set) var events: [String] = []
    private let claim = #"{"claim": 1}"#

    init() throws {
        // Line 2 of MSE and its line 2.1, at the same node.
        nodes = try TwoNodes(change: { text in
            text.replacing(
                #""tenancies": [ "#,
                with: #"""
                    "tenancies": [
                    {"id": "MSE/77", "organisation": "MSE", "node": "subject-77", "lines": ["2.1"], "open": true, "dueMinutes": 60},
                    {"id": "MSE/office", "organisation": "MSE", "node": "subject-77", "lines": ["2"], "open": true, "dueMinutes": 60},

                    """#
            ).replacing(
                #""homes": [ "#,
                with:
                    #""homes": [ {"organisation": "MSE", "subjects": ["77"], "tenancy": "MSE/77", "from": "2022-01-01"}, "#
            ).replacing(
                #""special": []"#,
                with: #""special": [ {"organisation": "MSE", "subjects": "all", "tenancy": "MSE/office"} ]"#)
        })
        try nodes.people()
        let office = try nodes.add(
            "subject-77", "/api/v1/operators", #""name": "elena", "line": "2", "tenancy": "MSE/office""#,
            token: "telena")
        #expect(office.status == 200, "\(String(decoding: office.body, as: UTF8.self))")
    }

    /// Asks, and keeps the answer under the pattern of its path.
    @discardableResult
    private func ask(
        _ port: UInt16?, _ method: String, _ pattern: String, id: String = "", token: String?,
        key: String? = UUID().uuidString, _ body: String? = nil
    ) throws -> TwoNodes.Answer {
        let path = pattern.replacing("{id}", with: id)
        let answer = try nodes.ask(port, method, path, token: token, key: key, body)
        answers.append(
            Answer(method: method, pattern: pattern, status: answer.status, body: answer.body, code: answer.code))
        return answer
    }

    private func desk(
        _ token: String?, _ method: String, _ pattern: String, id: String = "", key: String? = UUID().uuidString,
        _ body: String? = nil
    ) throws -> TwoNodes.Answer {
        let place = ["tanna": "centre", "tboris": "subject-77", "telena": "subject-77"][token ?? ""] ?? "centre"
        return try ask(
            nodes.running[place]?.ready.operators, method, pattern, id: id, token: token, key: key, body)
    }

    private func act(
        _ token: String?, _ name: String, id: String = "", key: String? = UUID().uuidString, _ body: String
    ) throws -> TwoNodes.Answer {
        let pattern = name == "claim" ? "/api/v1/queue/claim" : "/api/v1/appeals/{id}/\(name)"
        return try desk(token, "POST", pattern, id: id, key: key, body)
    }

    private func submit(_ organisation: String = "OSZN", token: String? = "tsite", key: String? = UUID().uuidString)
        throws -> String
    {
        let body = TwoNodes.appeal.replacing("OSZN", with: organisation).replacing(
            "\"history\"", with: "\"topic\": \"benefits\", \"site\": \"fss.example\", \"history\"")
        return try ask(
            nodes.running["centre"]?.ready.channels, "POST", "/api/v1/appeals", token: token, key: key, body
        ).decoded(PublicAPI.Accepted.self).id
    }

    /// Handed in, claimed at the first line, handed over; returns when it waits at its home.
    private func handOver(_ organisation: String, _ reason: String, to token: String) throws -> String {
        let id = try submit(organisation)
        _ = try act("tanna", "claim", "{\"id\": \"\(id)\"}")
        let escalated = try act("tanna", "escalate", id: id, "{\"claim\": 1, \"reason\": \"\(reason)\"}")
        #expect(escalated.status == 200)
        #expect(
            try TestFederation.wait(milliseconds: 10_000) {
                try nodes.ask(desk: "subject-77", "GET", "/api/v1/appeals/\(id)", token: token).status == 200
            })
        #expect(try act(token, "claim", "{\"id\": \"\(id)\"}").status == 200)
        return id
    }

    func channels() throws {
        _ = try submit()
        let port = nodes.running["centre"]?.ready.channels
        let long = String(repeating: "ю", count: 8001)
        for (token, key, body) in [
            (nil, "k", TwoNodes.appeal), ("tsite", nil, TwoNodes.appeal), ("tsite", "k k", TwoNodes.appeal),
            ("tsite", "k", "{"), ("tsite", "k", TwoNodes.appeal.replacing("\"77\"", with: "\"99\"")),
            ("tsite", "k", TwoNodes.appeal.replacing("\"citizen\"", with: "\"nobody\"")),
            ("tsite", "k", TwoNodes.appeal.replacing("Когда придёт пособие?", with: long)),
            ("tsite", "k", TwoNodes.appeal.replacing("Когда придёт пособие?", with: " ")),
            ("tsite", "k", String(repeating: " ", count: 1 << 20) + TwoNodes.appeal),
            ("tsite", "k1", TwoNodes.appeal), ("tsite", "k1", TwoNodes.appeal + " "),
            ("tsite", "k", #"{"organisation": "OSZN", "subject": "77", "history": []}"#),
        ] as [(String?, String?, String)] {
            try ask(port, "POST", "/api/v1/appeals", token: token, key: key, body)
        }
        for listener in [nodes.running["centre"]?.ready.operators, nodes.running["centre"]?.ready.metrics] {
            try ask(listener, "GET", "/healthz", token: nil)
            try ask(listener, "GET", "/readyz", token: nil)
        }
        try ask(nodes.running["centre"]?.ready.metrics, "GET", "/metrics", token: nil)
    }

    func firstLine() throws {
        let place = nodes.place("centre").path
        let file = nodes.folder.path + "/entries.json"
        let entry = """
            [{"id": "KB-1", "organisation": "OSZN", "subject": "77", "topic": "family", "line": "1", "question": "В?",
              "answer": "О"}]
            """
        try Files.write(Array(entry.utf8), to: file)
        #expect(try Binary.run(["knowledge", "import", place, file]).exit == 0)
        #expect(try Binary.run(["knowledge", "publish", place]).exit == 0)
        let stream = try OpenStream(try #require(nodes.running["centre"]?.ready.operators), token: "tanna")
        #expect(stream.read(until: "text/event-stream"))
        answers.append(Answer(method: "GET", pattern: "/api/v1/events", status: 200, body: []))

        let id = try submit()
        #expect(try desk("tanna", "GET", "/api/v1/queue").status == 200)
        _ = try act("tanna", "claim", "{\"id\": \"\(id)\"}")
        _ = try desk("tanna", "GET", "/api/v1/appeals")
        _ = try desk("tanna", "GET", "/api/v1/appeals/{id}", id: id)
        #expect(try act("tanna", "release", id: id, claim).status == 200)
        _ = try act("tanna", "claim", "{\"id\": \"\(id)\"}")
        for body in [
            #"{"claim": 2}"#, #"{"claim": 2, "entry": "KB-9"}"#, #"{"claim": 2, "reason": "x"}"#, claim, "{}",
            #"{"claim": 2, "text": "x"}"#,
        ] { #expect(try act("tanna", "resolve", id: id, body).status >= 400) }
        #expect(try act("tanna", "resolve", id: id, #"{"claim": 2, "entry": "KB-1", "revision": 1}"#).status == 200)
        #expect(try desk("tanna", "GET", "/api/v1/knowledge/{id}", id: "KB-1").status == 200)
        #expect(stream.read(until: #""to":"resolved""#), "\(stream.said)")
        events = stream.said.split(separator: "\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
    }

    func secondLine() throws {
        let id = try handOver("OSZN", "PERSONAL", to: "tboris")
        for citizen in [
            #"{"name": " ", "birthDate": "1960-02-29", "snils": "112-233-445 95"}"#,
            #"{"name": "Образцова Мария", "birthDate": "1960-02-29", "snils": "112-233-445 96"}"#,
        ] {
            #expect(
                try act("tboris", "identity", id: id, "{\"claim\": 1, \"citizen\": \(citizen)}").status == 400)
        }
        #expect(try act("tboris", "identity", id: id, claim).code == "citizen-missing")
        let citizen = """
            {"name": "Образцова Мария", "birthDate": "1960-02-29", "snils": "112-233-445 95", "phone": "+7", "address": "М"}
            """
        #expect(try act("tboris", "identity", id: id, "{\"claim\": 1, \"citizen\": \(citizen)}").status == 200)
        _ = try desk("tboris", "GET", "/api/v1/appeals/{id}", id: id)
        #expect(try act("tboris", "pass", id: id, claim).code == "no-line-2.1")
        #expect(try act("tboris", "return", id: id, #"{"claim": 1, "code": "x"}"#).code == "bad-code")
        #expect(
            try act("tboris", "answer", id: id, #"{"claim": 1, "text": "О", "delivery": "x"}"#).code == "bad-answer")
        let answer = #"{"claim": 1, "text": "25 числа.", "delivery": "call"}"#
        #expect(try act("tboris", "answer", id: id, answer).status == 200)
        _ = try desk("tboris", "GET", "/api/v1/appeals/{id}", id: id)

        let returned = try handOver("OSZN", "PERSONAL", to: "tboris")
        let back = #"{"claim": 1, "code": "unclear"}"#
        #expect(try act("tboris", "return", id: returned, back).code == "unknown-transition")
        #expect(try act("tboris", "identity", id: returned, "{\"claim\": 1, \"citizen\": \(citizen)}").status == 200)
        #expect(try act("tboris", "return", id: returned, back).status == 200)
        let passed = try handOver("MSE", "SPECIAL", to: "telena")
        #expect(try act("telena", "pass", id: passed, claim).status == 200)
    }

    /// Of every operation: without a token, without a key, without a claim, of what is somebody else's.
    func refusals() throws {
        let unknown = "0193a5f0-0000-7000-8000-000000000000"
        for pattern in ["/api/v1/queue", "/api/v1/appeals", "/api/v1/appeals/{id}", "/api/v1/knowledge/{id}"] {
            #expect(try desk(nil, "GET", pattern, id: unknown).status == 401)
            #expect(try desk("tanna", "GET", pattern + "?x=1", id: unknown).status == 400)
            answers.removeLast()  // under the pattern itself
            _ = try desk("tanna", "GET", pattern, id: unknown)
        }
        #expect(try desk(nil, "GET", "/api/v1/events").status == 401)
        let port = try #require(nodes.running["centre"]?.ready.operators)
        let headers = ["Authorization: Bearer tanna", "Last-Event-ID: x"]
        let refused = try HTTPClient(base: "http://127.0.0.1:\(port)").send("GET", "/api/v1/events", headers: headers)
        let answer = TwoNodes.Answer(status: refused.status, body: refused.body)
        #expect(answer.code == "bad-event-id")
        answers.append(
            Answer(
                method: "GET", pattern: "/api/v1/events", status: answer.status, body: answer.body, code: answer.code))
        for name in ["claim", "release", "resolve", "escalate", "identity", "answer", "pass", "return"] {
            let body =
                switch name {
                case "claim": "{\"id\": \"\(unknown)\"}"
                case "escalate": #"{"claim": 1, "reason": "PERSONAL"}"#
                default: claim
                }
            #expect(try act(nil, name, id: unknown, body).status == 401)
            #expect(try act("tanna", name, id: unknown, key: nil, body).code == "key-missing")
            #expect(try act("tanna", name, id: unknown, #"{"colour": 1}"#).code == "unknown-field")
            #expect(try act("tanna", name, id: unknown, "[").code == "bad-json")
            #expect([403, 400].contains(try act("tanna", name, id: unknown, body).status), "\(name)")
            if name != "claim", name != "escalate" {
                #expect([400, 403].contains(try act("tanna", name, id: unknown, "{}").status))
            }
        }
        // Until nothing waits any more.
        for _ in 0..<20 {
            let empty = try act("tanna", "claim", "")
            if empty.status == 409 {
                #expect(empty.code == "queue-empty")
                return
            }
        }
        Issue.record("the queue has no end")
    }
}
