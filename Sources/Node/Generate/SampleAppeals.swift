import ContactCentre
import Federation
import FoundationEssentials
import Glibc
import SampleData

/// Synthetic appeals: the samples' paraphrases with the noise of real life, in the mix of organisations, topics and
/// channels of the source, by seed. The number of an appeal decides it alone, so that order and count change nothing.
/// No clock: every appeal is said at the same instant.
struct SampleAppeals {
    private struct Sample: Decodable {
        var topic: String
        var organisation: String
        var question: String
        var paraphrases: [String]
    }

    /// Hundredths of all appeals.
    private static let organisations = [("PFR", 45), ("OSZN", 20), ("FSS", 15), ("ROSTRUD", 12), ("MSE", 8)]
    /// In turn: 70 of 100 are calls, the rest are written.
    static let channels: [AppealRecord.Channel] = [
        .voice, .voice, .chat, .voice, .voice, .form, .voice, .voice, .chat, .voice,
    ]
    private static let saidAt = "2026-11-24T09:15:00.123Z"

    private let samples: [String: [Sample]]
    private let subjects: [String]
    private let seed: UInt64
    private let isPersonal: Bool

    /// - Parameter isPersonal: plant personal data, of nobody, in 18 of 100.
    init(seed: UInt64, subjects: [String], isPersonal: Bool = false) throws(FederationError) {
        self.seed = seed
        self.subjects = subjects
        self.isPersonal = isPersonal
        do {
            let all = try JSONDecoder().decode([Sample].self, from: Data(SampleData.knowledge))
            samples = Dictionary(grouping: all, by: \.organisation)
        } catch {
            throw FederationError("sample-damaged", "the sample data cannot be read", remedy: "build ekc again")
        }
    }

    /// Random numbers of one appeal (SplitMix64).
    struct Dice {
        private var state: UInt64

        init(_ seed: UInt64, _ number: Int) {
            state = seed &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(number) &* 0xD134_2543_DE82_EF95
        }

        mutating func roll(_ sides: Int) -> Int {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return Int((mixed ^ (mixed >> 31)) % UInt64(sides))
        }

        mutating func happens(_ hundredths: Int) -> Bool { roll(100) < hundredths }
    }

    /// What a channel hands in. Its site carries the appeal's number, so that what people decide follows from the seed.
    func submission(_ number: Int, channel: AppealRecord.Channel = .form) -> PublicAPI.Submission {
        var dice = Dice(seed, number)
        let organisation = SampleAppeals.organisation(dice.roll(100))
        let own = samples[organisation] ?? []
        let sample = own[SampleAppeals.popular(own.count, &dice)]
        var text = dice.happens(5) ? SampleNoise.offTopic[dice.roll(5)] : wording(sample, &dice)
        if dice.happens(10) { text += " " + wording(own[dice.roll(own.count)], &dice) }
        text = SampleNoise.apply(to: text, &dice)
        if isPersonal, dice.happens(18) { text += " " + SamplePerson.sentence(&dice) }
        return PublicAPI.Submission(
            organisation: organisation, subject: subjects[dice.roll(subjects.count)], topic: sample.topic,
            site: "\(channel.rawValue)-\(number).example",
            history: SampleAppeals.history(text, channel).map { Strict($0) })
    }

    private func wording(_ sample: Sample, _ dice: inout Dice) -> String {
        ([sample.question] + sample.paraphrases)[dice.roll(sample.paraphrases.count + 1)]
    }

    private static func organisation(_ roll: Int) -> String {
        var left = roll
        for (name, share) in organisations {
            if left < share { return name }
            left -= share
        }
        return "PFR"
    }

    /// The first topics are asked most: the weight of place k is 1/k^1.1 (Zipf).
    private static func popular(_ count: Int, _ dice: inout Dice) -> Int {
        let weights = (1...count).map { place in 1 / pow(Double(place), 1.1) }
        var left = Double(dice.roll(1 << 20)) / Double(1 << 20) * weights.reduce(0, +)
        for (place, weight) in weights.enumerated() {
            if left < weight { return place }
            left -= weight
        }
        return count - 1
    }

    /// A voice call is a note of it, a chat begins with its bot, a form is what was typed.
    private static func history(_ text: String, _ channel: AppealRecord.Channel) -> [Utterance] {
        let said = Utterance(at: saidAt, author: .citizen, text: text)
        guard channel == .chat else { return [said] }
        return [
            Utterance(at: saidAt, author: .bot, text: "Здравствуйте! Опишите ваш вопрос."), said,
            Utterance(at: saidAt, author: .bot, text: "Не нашёл точного ответа. Соединяю с оператором."),
        ]
    }
}
