import FederationTestKit
import Foundation
import Testing

@testable import Federation
@testable import Node

/// What is given to somebody who helps from afar has nobody in it.
@Suite("Support bundle", .serialized)
struct SupportBundleTests {
    private static let citizen = (
        name: "Образцова Мария Ильинична", snils: "112-233-445 95", phone: "+7 900 555-35-35",
        address: "Москва, Заповедная улица, 17"
    )
    private static let said = "Когда придёт канареечное пособие, дочери пять лет?"
    private static let answer = "Канарейка: двадцать пятого числа."
    private static let reason = "Петрович меняет линию, телефон 555-17-17"

    private let federation: RealFederation

    init() throws { federation = try RealFederation() }

    private func token(_ arguments: [String]) throws -> String {
        let file = federation.folder.path + "/\(arguments[3]).token"
        let (exit, output) = try Binary.run(arguments + ["--token-file", file])
        #expect(exit == 0, "\(output)")
        return String(decoding: try Files.read(file, maximum: 4096), as: UTF8.self).filter { $0 != "\n" }
    }

    private func post(_ port: UInt16?, _ path: String, _ token: String, _ body: [String: Any]) throws -> [String: Any] {
        let client = HTTPClient(base: "http://127.0.0.1:\(try #require(port))")
        let key = Hex.encode(Random.bytes(16))
        let answer = try client.send(
            "POST", "/api/v1" + path, headers: [token, "Idempotency-Key: \(key)"],
            body: Array(try JSONSerialization.data(withJSONObject: body)))
        let object = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
        #expect((200..<300).contains(answer.status), "\(path): \(object ?? [:])")
        return object ?? [:]
    }

    /// One appeal from the phone to its answer, with everything of a person that there is.
    /// - Returns: what must not be found.
    private func journey() throws -> [Canary] {
        let centre = federation.path("centre"), home = federation.path("subject-77")
        let channel = try token(["channel", "add", centre, "phone", "--kind", "voice"])
        let first = try token(["operator", "add", centre, "first", "--line", "1", "--organisation", "PFR"])
        let second = try token(["operator", "add", home, "second", "--line", "2", "--tenancy", "OSZN/77"])
        let (channels, desk) = (federation.ready["centre"]?.channels, federation.ready["centre"]?.operators)
        let other = federation.ready["subject-77"]?.operators
        let accepted = try post(
            channels, "/appeals", channel,
            [
                "organisation": "OSZN", "subject": "77",
                "history": [
                    ["at": "2026-11-24T09:15:00.123Z", "author": "citizen", "text": SupportBundleTests.said]
                ],
            ])
        let id = try #require(accepted["id"] as? String)
        _ = try post(desk, "/queue/claim", first, ["id": id])
        _ = try post(desk, "/appeals/\(id)/escalate", first, ["claim": 1, "reason": "PERSONAL"])
        let isThere = try TestFederation.wait(milliseconds: 10_000) {
            try Binary.run(["appeal", "trace", home, id], errors: federation.folder.path + "/said").exit == 0
        }
        try #require(isThere)
        _ = try post(other, "/queue/claim", second, ["id": id])
        let citizen = SupportBundleTests.citizen
        _ = try post(
            other, "/appeals/\(id)/identity", second,
            [
                "claim": 1,
                "citizen": [
                    "name": citizen.name, "birthDate": "1960-02-29", "snils": citizen.snils, "phone": citizen.phone,
                    "address": citizen.address,
                ],
            ])
        _ = try post(
            other, "/appeals/\(id)/answer", second,
            ["claim": 1, "text": SupportBundleTests.answer, "delivery": "call"])
        let tokens = [channel, first, second].map { $0.split(separator: " ").last.map(String.init) ?? "" }
        let words = [
            citizen.name, "Образцова", citizen.snils, "11223344595", citizen.phone, citizen.address, "1960-02-29",
            SupportBundleTests.said, "канареечное", SupportBundleTests.answer, SupportBundleTests.reason, "Петрович",
            id,
            try #require(accepted["number"] as? String), "комментарий-канарейка", "слово-соседа", "sidorova",
        ]
        return (words + tokens).map { Canary($0) }
    }

    /// Private keys as they lie in the folder, and what is in them.
    private func keys(_ name: String) throws -> [Canary] {
        let folder = federation.path(name) + "/keys/"
        let identity = try Files.read(folder + "identity.key", maximum: 4096)
        let pem = String(decoding: try Files.read(folder + "link.key", maximum: 4096), as: UTF8.self)
        let lines = pem.split(separator: "\n").filter { !$0.hasPrefix("-----") }
        let secret = try #require(Data(base64Encoded: lines.joined()))
        #expect(identity.count == 64 && secret.count > 100)
        // Of DER only the middle: its head is the same in every key.
        return [Canary("identity key", Array(identity.prefix(32))), Canary("link key", Array(secret[36..<68]))]
            + lines.prefix(2).map { Canary(String($0)) }
    }

    private func bundle(_ name: String, _ place: String, _ canaries: [Canary]) throws -> [String] {
        let (exit, output) = try Binary.run(["support", "bundle", federation.path(name), "--output", place, "--json"])
        #expect(exit == 0, "\(output)")
        let bytes = try Files.read(place, maximum: 64 << 20)
        for canary in canaries { #expect(canary.found(in: bytes).isEmpty, "\(name): \(canary.found(in: bytes))") }
        return try run("/usr/bin/tar", ["tf", place]).split(separator: "\n").map(String.init)
    }

    private func run(_ program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        let said = Pipe()
        process.standardOutput = said
        try process.run()
        let output = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return output
    }

    @Test("No person, text, token or key is in it in any form, of a node that runs and of one that does not")
    func canaries() throws {
        try federation.startAll()
        try federation.waitUntilWell()
        let canaries = try journey()
        #expect(
            try Binary.run([
                "link", "pause", federation.path("centre"), "cc-fss", "--reason", SupportBundleTests.reason,
            ])
            .exit == 0)
        for name in ["centre", "subject-77"] {
            let place = federation.place(name)
            try TestTrust.change(place, topology: { Array("// комментарий-канарейка\n".utf8) + $0 })
            let log = try Files.read(place.path + "/log", maximum: 1 << 20)
            let planted = """
                {"at":"2026-11-25T10:00:00.000Z","event":"link-lost","peer":"Образцова","detail":"слово-соседа"}
                {"at":"2026-11-25T10:00:00.000Z","event":"peer-said-sidorova-anna","peer":"centre","detail":""}
                {"at":"2026-11-25T10:00:00.000Z","event":"Образцова","detail":"\(SupportBundleTests.said)"}
                {"at":"Петрович","event":"link-lost","detail":""}
                Образцова Мария Ильинична

                """
            try Files.write(log + Array(planted.utf8), to: place.path + "/other.log")
        }
        // They are there to be found.
        let store = try Files.read(federation.place("subject-77").storeFolder + "/data.mdb", maximum: 256 << 20)
        for word in [SupportBundleTests.citizen.name, "11223344595", SupportBundleTests.answer] {
            #expect(Canary(word).found(in: store) == ["\(word) as plain"])
        }
        for (name, isRunning) in [("centre", true), ("subject-77", true), ("centre", false), ("subject-77", false)] {
            if !isRunning { federation.stop(name) }
            let place = federation.path(name)
            try Files.rename(place + "/other.log", to: place + "/log")
            let output = federation.folder.path + "/\(name)-\(isRunning).tar"
            let files = try bundle(name, output, canaries + (try keys(name)))
            try Files.rename(place + "/log", to: place + "/other.log")
            let always = ["about", "settings", "topology", "check", "keys"].map { "ekc-support/\($0).json" }
            let whileRunning = ["node", "links", "outbox", "store", "drain", "quarantine"].map {
                "ekc-support/\($0).json"
            }
            let atCentre = isRunning && name == "centre" ? ["ekc-support/federation.json"] : []
            let figures = isRunning ? ["ekc-support/metrics.txt"] : []
            #expect(
                files == always + (isRunning ? whileRunning : []) + atCentre + figures + ["ekc-support/log.jsonl"])
            // And something is in it.
            let text = try run("/usr/bin/tar", ["xOf", output])
            #expect(text.contains("\"release\":\"ekc ") && text.contains("\"event\":\"link-up\""))
            #expect(text.contains("\"state\":\"paused\"") == (isRunning && name == "centre"))
            #expect(text.contains("{\"at\":\"2026-11-25T10:00:00.000Z\",\"event\":\"link-lost\"}\n"))
            #expect(text.contains("\"event\":\"peer-said\""))
        }
        let again = try Binary.run(
            ["support", "bundle", federation.path("centre"), "--output", federation.folder.path + "/centre-true.tar"],
            errors: federation.folder.path + "/said")
        #expect(again.exit == 1)
    }

    @Test("What looks for them finds each in every form")
    func finds() {
        for canary in [
            Canary(SupportBundleTests.citizen.name), Canary("key", [0, 1, 2, 250, 251, 252, 253, 254, 255, 9]),
        ] {
            for (name, bytes) in canary.forms {
                #expect(canary.found(in: Array("before ".utf8) + bytes + Array(" behind".utf8)).count >= 1, "\(name)")
            }
            for length in 0..<3 {
                let whole = [UInt8](repeating: 0x41, count: length) + canary.bytes + [0x42, 0x43]
                let encoded = Array(Data(whole).base64EncodedString().utf8)
                #expect(canary.found(in: encoded).contains { $0.contains("base64") }, "\(length)")
            }
            #expect(canary.found(in: Array("nothing of it".utf8)).isEmpty)
        }
    }
}
