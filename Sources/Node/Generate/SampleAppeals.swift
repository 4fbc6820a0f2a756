import ContactCentre
import Federation
import FoundationEssentials
import SampleData

/// Appeals for the demo: the samples' paraphrases with some of the noise of real life, by seed. The number of an appeal
/// decides it alone, so that order and count change nothing.
struct SampleAppeals {
    private struct Sample: Decodable {
        var topic: String
        var organisation: String
        var question: String
        var paraphrases: [String]
    }

    private let samples: [Sample]
    private let subjects: [String]
    private let seed: UInt64

    init(seed: UInt64, subjects: [String]) throws(FederationError) {
        self.seed = seed
        self.subjects = subjects
        do { samples = try JSONDecoder().decode([Sample].self, from: Data(SampleData.knowledge)) } catch {
            throw FederationError("sample-damaged", "the sample data cannot be read", remedy: "build ekc again")
        }
    }

    /// Random numbers of one appeal.
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
    }

    func submission(_ number: Int) -> PublicAPI.Submission {
        var dice = Dice(seed, number)
        let sample = samples[dice.roll(samples.count)]
        var text = ([sample.question] + sample.paraphrases)[dice.roll(sample.paraphrases.count + 1)]
        if dice.roll(100) < 60 { text = text.replacing("ё", with: "е") }
        if dice.roll(100) < 40 { text = text.lowercased() }
        if dice.roll(100) < 35 { text = String(text.filter { !$0.isPunctuation }) }
        if dice.roll(100) < 15 { text = "Помогите пожалуйста!! " + text }
        let at = "2026-11-24T09:15:00.123Z"
        let history = [
            Utterance(at: at, author: .bot, text: "Здравствуйте! Опишите ваш вопрос."),
            Utterance(at: at, author: .citizen, text: "\(text) (№ \(number))"),
        ]
        return PublicAPI.Submission(
            organisation: sample.organisation, subject: subjects[dice.roll(subjects.count)], topic: sample.topic,
            site: "site-\(number % 3).example", history: history)
    }
}
