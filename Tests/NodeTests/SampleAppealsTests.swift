import ContactCentre
import Federation
import Foundation
import Testing

@testable import Node

@Suite("Synthetic appeals")
struct SampleAppealsTests {
    private func texts(_ count: Int, seed: UInt64 = 1, isPersonal: Bool = false) throws -> [String] {
        let sample = try SampleAppeals(seed: seed, subjects: ["77", "78"], isPersonal: isPersonal)
        return (0..<count).map { number in
            sample.submission(number).said.map(\.text).joined(separator: " ")
        }
    }

    @Test("A seed gives the same bytes, whatever else is made; another seed gives others")
    func seeds() throws {
        let all = try texts(300)
        #expect(try texts(300) == all && Array(try texts(500).prefix(300)) == all)
        #expect(try texts(300, seed: 2) != all)
    }

    @Test("Noise comes in its shares, the organisations in theirs")
    func shares() throws {
        let sample = try SampleAppeals(seed: 7, subjects: ["77"])
        let all = (0..<4000).map { sample.submission($0) }
        func share(_ holds: (PublicAPI.Submission) -> Bool) -> Double { Double(all.count(where: holds)) / 40 }
        func text(_ one: PublicAPI.Submission) -> String { one.said[0].text }
        #expect((42...48).contains(share { $0.organisation == "PFR" }))
        #expect((6...10).contains(share { $0.organisation == "MSE" }))
        #expect((40...60).contains(share { text($0) == text($0).lowercased() && text($0).contains { $0.isLetter } }))
        #expect((0.2...2).contains(share { text($0).contains { $0.isASCII && $0.isLetter } }))
        #expect(
            (3...7).contains(
                share { one in
                    SampleNoise.offTopic.contains { text(one).lowercased().contains($0.lowercased().dropLast()) }
                }))
        #expect(all.allSatisfy { (try? History($0.said)) != nil })
    }

    @Test("Personal data is planted only when it is asked for, and its SNILS are right and nobody's")
    func personal() throws {
        let marks = ["999", "+7 000", "Образцова", "Вымышленная"]
        #expect(try texts(3000).allSatisfy { text in marks.allSatisfy { !text.contains($0) } })
        let planted = try texts(3000, isPersonal: true).filter { text in text.contains("СНИЛС 999") }
        #expect(planted.count > 50)
        for text in planted {
            let digits = text.components(separatedBy: "СНИЛС ").last?.filter { $0.isNumber } ?? ""
            #expect(SNILS(digits) != nil, "\(text)")
        }
    }

    @Test("A chat brings its bot's dialogue, a call its note")
    func channels() throws {
        let sample = try SampleAppeals(seed: 1, subjects: ["77"])
        #expect(sample.submission(3, channel: .chat).said.map(\.author) == [.bot, .citizen, .bot])
        #expect(sample.submission(3, channel: .voice).said.map(\.author) == [.citizen])
    }
}
