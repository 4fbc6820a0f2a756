import FederationTestKit
import Testing

@testable import Federation

/// Who gives way at a door that is crowded, and what is said of it: values, without sockets or clocks.
@Suite("A crowded door")
struct WaitingRoomTests {
    /// `a1 b2 -1`: guest 1 comes from a, guest 2 from b, guest 1 leaves. Beside it the guests that had to go.
    @Test(
        "Of the origin with most seats, who has waited longest gives way",
        arguments: [
            ("a1 a2 a3", []), ("a1 a2 a3 a4", [1]), ("a1 a2 a3 a4 a5", [1, 2]),
            // One that crowds the room does not push out the others, whoever was first.
            ("b1 a2 a3 a4 a5 a6", [2, 3, 4]), ("a1 a2 a3 b4", [1]), ("b1 b2 a3 a4 a5", [1, 3]),
            // Origins with a seat each: the oldest of all.
            ("a1 b2 c3 d4", [1]),
            // Who has shown what it wants, or has gone, is in nobody's way.
            ("a1 a2 a3 -1 a4", []), ("a1 -1 -1 -9 a2 a3 a4 a5", [2]), ("a1 a2 a3 -2 a4 a5", [1]),
            // Who comes again waits anew.
            ("a1 a2 a3 a1 a4", [2]),
        ])
    func givesWay(steps: String, gone: [UInt64]) {
        var room = WaitingRoom(seats: 3)
        var left: [UInt64] = []
        for step in steps.split(separator: " ") {
            guard let guest = UInt64(step.dropFirst()) else { continue }
            if step.first == "-" {
                room.leave(guest)
            } else if let other = room.enter(guest, from: UInt64(step.utf8.first ?? 0)) {
                left.append(other)
            }
        }
        #expect(left == gone)
    }

    @Test("Against a list that is searched: the same guests, never more than there are seats", arguments: 0..<20)
    func model(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let seats = Int.random(in: 1...9, using: &random)
        var room = WaitingRoom(seats: seats)
        var list: [(guest: UInt64, origin: UInt64)] = []
        for _ in 0..<2_000 {
            let guest = UInt64.random(in: 0..<40, using: &random)
            list.removeAll { $0.guest == guest }
            guard Int.random(in: 0..<4, using: &random) > 0 else {
                room.leave(guest)
                continue
            }
            let origin = ([1, 1, 1, 2, 3] as [UInt64]).randomElement(using: &random) ?? 1
            list.append((guest, origin))
            let counts = Dictionary(grouping: list, by: \.origin).mapValues(\.count)
            let expected = list.count > seats ? list.first { counts[$0.origin] == counts.values.max() }?.guest : nil
            list.removeAll { $0.guest == expected }
            #expect(room.enter(guest, from: origin) == expected)
            #expect(room.count == list.count && room.count <= seats && expected != guest)
        }
    }

    private static let peer = NodeID("subject-77")

    private func event(_ code: String, _ peer: NodeID? = nil, _ detail: String = "") -> LinkLoop.Event {
        LinkLoop.Event(code: code, peer: peer, detail: detail)
    }

    @Test("Somebody unknown has one line a minute for each reason, and the number of times")
    func oneLine() {
        var budget = LogBudget()
        var lines: [String] = []
        func write(_ events: [LinkLoop.Event]) {
            lines += events.map { "\($0.code) \($0.detail) \($0.count.map(String.init) ?? "-")" }
        }
        for second in 0..<180 {
            for number in 0..<50 {
                write(budget.happened(event("not-tls", nil, "\(second)/\(number)"), at: Int64(second) * 1000))
            }
            if second == 10 { write(budget.happened(event("handshake-timeout"), at: 10_000)) }
        }
        #expect(budget.due == 180_000)
        write(budget.minuteEnded(at: 180_000))
        #expect(
            lines == [
                "not-tls 0/0 -", "handshake-timeout  -", "not-tls 59/49 2999", "not-tls 119/49 3000",
                "not-tls 179/49 3000",
            ])
        // A quiet minute, and it begins anew.
        #expect(budget.minuteEnded(at: 239_999).isEmpty && budget.due == nil)
        #expect(budget.minuteEnded(at: 240_000).isEmpty)
        #expect(budget.happened(event("not-tls"), at: 240_001).map(\.count) == [nil])
    }

    @Test("A known peer has ten lines, of its own, and nothing is left untold", arguments: 0..<10)
    func nothingUntold(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var budget = LogBudget()
        var (happened, told, now) = ([String: Int](), [String: Int](), Int64(0))
        var linesOfMinute: [Int64: [String: Int]] = [:]
        func write(_ events: [LinkLoop.Event]) {
            for event in events {
                let name = "\(event.code) \(event.peer?.text ?? "-")"
                told[name, default: 0] += event.count ?? 1
                linesOfMinute[now / LogBudget.minute, default: [:]][name, default: 0] += 1
            }
        }
        for _ in 0..<3_000 {
            now += Int64.random(in: 0...400, using: &random)
            let peer = Bool.random(using: &random) ? WaitingRoomTests.peer : nil
            let code = ["a", "b", "c"].randomElement(using: &random) ?? "a"
            happened["\(code) \(peer?.text ?? "-")", default: 0] += 1
            write(budget.happened(event(code, peer), at: now))
        }
        write(budget.minuteEnded(at: now + LogBudget.minute))
        #expect(happened == told)
        // What began in one minute ends in the next: its allowance, and a line for each that ends.
        for (_, lines) in linesOfMinute {
            for (name, count) in lines { #expect(count <= (name.hasSuffix("-") ? 1 : LogBudget.linesOfPeer) + 2) }
        }
    }

    @Test("Reasons without end are told together")
    func reasons() {
        var budget = LogBudget()
        var lines = 0
        for number in 0..<10_000 { lines += budget.happened(event("code-\(number)"), at: 0).count }
        #expect(lines == LogBudget.mostReasons + 1)
        let rest = budget.minuteEnded(at: LogBudget.minute)
        #expect(rest.map(\.code) == ["too-many-reasons"] && rest[0].count == 10_000 - lines)
        #expect(rest[0].detail == "code-9999: ")
    }
}
