import ContactCentre
import Federation
import FederationTestKit
import Testing

@Suite("Appeals: names, numbers, states")
struct AppealValueTests {
    @Test("An id is a UUIDv7 that grows with time, and reads back")
    func ids() throws {
        var random = SeededRandom(seed: 1)
        var last: AppealID?
        for milliseconds in stride(from: Int64(0), to: 2_000_000_000_000, by: 77_777_777_777) {
            let bits = ID128(high: random.next(), low: random.next())
            let id = AppealID(at: Timestamp(milliseconds: milliseconds), random: bits)
            #expect(AppealID(id.description) == id)
            #expect(id.key.count == 16 && id.description.utf8.count == 36)
            if let last { #expect(last < id && last.key.lexicographicallyPrecedes(id.key)) }
            last = id
        }
        // RFC 9562, appendix A.6.
        #expect(AppealID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f") != nil)
        for wrong in [
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "017f22e2-79b0-4cc3-98c4-dc0c0c07398f", "",
            "017f22e279b07cc398c4dc0c0c07398f",
        ] {
            #expect(AppealID(wrong) == nil)
        }
    }

    @Test("The check digit is Damm's", arguments: [("572", 4), ("0000000001", 3), ("0012345678", 6)])
    func damm(_ digits: String, _ check: Int) { #expect(Damm.check(digits) == check) }

    @Test("A number is accepted with or without dashes, and every single error is found")
    func numbers() throws {
        let number = try #require(AppealNumber(intake: 0, counter: 1))
        #expect(number.description == "00-0000-0001-3")
        #expect(AppealNumber("00-0000-0001-3") == number && AppealNumber("00000000013") == number)
        let digits = Array("00123456786".utf8)
        #expect(AppealNumber(String(decoding: digits, as: UTF8.self)) != nil)
        for place in digits.indices {
            for digit in UInt8(0x30)...0x39 where digit != digits[place] {
                var wrong = digits
                wrong[place] = digit
                #expect(AppealNumber(String(decoding: wrong, as: UTF8.self)) == nil)
            }
            if place > 0, digits[place] != digits[place - 1] {
                var wrong = digits
                wrong.swapAt(place, place - 1)
                #expect(AppealNumber(String(decoding: wrong, as: UTF8.self)) == nil)
            }
        }
        #expect(AppealNumber(intake: 0, counter: 100_000_000) == nil && AppealNumber(intake: 100, counter: 1) == nil)
    }

    @Test(
        "SNILS is checked by its rule",
        arguments: [
            ("112-233-445 95", true), ("026-002-389 00", true), ("030-214-884 00", true), ("543-546-368 00", true),
            ("532-971-373 00", true), ("001-001-999 65", true), ("112-233-445 96", false), ("001-001-998 17", true),
            ("11223344595", true), ("112-233-445", false), ("abc-def-ghi jk", false), ("", false),
        ])
    func snils(_ text: String, _ good: Bool) {
        #expect((SNILS(text) != nil) == good)
        if let snils = SNILS(text) { #expect(!"\(snils)".contains("112")) }
    }

    @Test(
        "From every state that is not final, a final one can be reached, whatever the reason and the line",
        arguments: [
            (EscalationReason.personal, "2"), (.personal, "2.1"), (.special, "2"), (.special, "2.1"),
        ])
    func finals(_ reason: EscalationReason, _ line: String) {
        // MSE PERSONAL goes to line 2.1, everything else to line 2: SPECIAL never waits in the queue of 2.1.
        let queues: [AppealState] = line == "2" ? [.queuedL2] : [.queuedL21]
        let other: [AppealState] = line == "2" ? [.queuedL21] : [.queuedL2]
        for state in AppealState.allCases where !other.contains(state) {
            var reached: Set<AppealState> = [state]
            var edge = [state]
            while let from = edge.popLast() {
                for next in AppealTransitions.edges
                where next.from == from && (next.reason ?? reason) == reason && (next.line ?? line) == line
                    && reached.insert(next.to).inserted
                {
                    edge.append(next.to)
                }
            }
            #expect(reached.contains { $0.isFinal }, "\(state)")
            #expect(reached.isDisjoint(with: other), "\(state)")
            // Where people work, they can end it: not only time and other nodes.
            if queues.contains(state) { #expect(reached.contains(.active) && reached.contains(.resolved)) }
        }
    }

    @Test("Every pair of state and event is in the table or refused, and no pair is ambiguous")
    func table() {
        for state in AppealState.allCases {
            for event in AppealEvent.allCases {
                for reason in EscalationReason.allCases {
                    for line in ["2", "2.1"] {
                        let edges = AppealTransitions.edges.filter {
                            $0.from == state && $0.event == event && ($0.reason ?? reason) == reason
                                && ($0.line ?? line) == line
                        }
                        #expect(edges.count <= 1, "\(state) \(event)")
                        do throws(DomainError) {
                            let next = try AppealTransitions.next(state, event, reason: reason, line: line)
                            #expect(next == edges.first?.to)
                        } catch { #expect(edges.isEmpty && error.code == "unknown-transition") }
                    }
                }
            }
        }
        #expect(Set(AppealTransitions.edges.map(\.to)).union([.received]) == Set(AppealState.allCases))
    }

    @Test("A history is bounded, and its bytes read back as they were written")
    func histories() throws {
        func said(_ text: String) -> Utterance {
            Utterance(at: "2026-11-24T09:15:00.123Z", author: .citizen, text: text)
        }
        let history = try History([
            said("Где посмотреть стаж?"), Utterance(at: "2026-11-24T09:15:01.000Z", author: .bot, text: "\"/\\\n"),
        ])
        #expect(History(bytes: history.bytes) == history && history.utterances.count == 2)
        let cases: [([Utterance], String)] = [
            ([], "history-empty"), (Array(repeating: said("x"), count: 201), "history-too-long"),
            ([said(String(repeating: "я", count: 8001))], "utterance-too-long"),
            (Array(repeating: said(String(repeating: "я", count: 7000)), count: 20), "history-too-long"),
        ]
        for (utterances, code) in cases {
            #expect { try History(utterances) } throws: { ($0 as? DomainError)?.code == code }
        }
        #expect(History(bytes: Array("{}".utf8)) == nil && History(bytes: []) == nil)
    }

    @Test(
        "A birth date is a day that there is",
        arguments: [
            ("1960-02-29", true), ("1961-02-29", false), ("1900-02-29", false), ("2000-02-29", true),
            ("1960-04-31", false), ("1960-13-01", false), ("1960-00-10", false), ("1960-1-010", false),
            ("19600229--", false), ("", false), ("+960-02-01", false), ("1879-12-31", false),
        ])
    func days(_ text: String, _ isDay: Bool) { #expect(CitizenRecord.isDay(text) == isDay) }
}
