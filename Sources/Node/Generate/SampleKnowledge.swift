import ContactCentre
import Federation
import FoundationEssentials
import SampleData

/// Synthetic knowledge: entry i is sample i mod 60 for subject (i div 60) mod 89, edition i div 5,340, with its number
/// and subject in the text, so that no two are equal.
struct SampleKnowledge {
    private struct Sample: Decodable {
        var id: String
        var topic: String
        var organisation: String
        var line: String
        var question: String
        var answer: String
    }

    private struct Subject: Decodable {
        var code: String
        var name_ru: String
    }

    static let most = 60 * 89 * 100
    private let samples: [Sample]
    private let subjects: [Subject]

    init() throws(FederationError) {
        do {
            samples = try JSONDecoder().decode([Sample].self, from: Data(SampleData.knowledge))
            subjects = try JSONDecoder().decode([Subject].self, from: Data(SampleData.subjects))
        } catch {
            throw FederationError("sample-damaged", "the sample data cannot be read", remedy: "build ekc again")
        }
    }

    func entry(_ number: Int) -> KnowledgeEntry {
        let sample = samples[number % samples.count]
        let subject = subjects[number / samples.count % subjects.count]
        let edition = number / (samples.count * subjects.count)
        return KnowledgeEntry(
            id: "\(sample.id)-\(subject.code)-\(edition)", organisation: sample.organisation, subject: subject.code,
            topic: sample.topic, line: sample.line, question: sample.question,
            answer: "\(sample.answer) (\(subject.name_ru), запись № \(number); синтетический текст.)")
    }
}
