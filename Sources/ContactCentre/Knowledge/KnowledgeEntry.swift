import Federation

/// One question with its answer, as operators read it.
package struct KnowledgeEntry: Codable, Sendable, Hashable {
    /// Such as `KB-0001-77-0`: capital letters, digits and dashes, at most 64.
    package var id: String
    package var organisation: String
    /// Two digits; absent: federal.
    package var subject: String?
    package var topic: String
    package var line: String
    package var question: String
    package var answer: String

    package static let fields: Set = ["id", "organisation", "subject", "topic", "line", "question", "answer"]

    package init(
        id: String, organisation: String, subject: String?, topic: String, line: String, question: String,
        answer: String
    ) {
        self.id = id
        self.organisation = organisation
        self.subject = subject
        self.topic = topic
        self.line = line
        self.question = question
        self.answer = answer
    }

    /// What is wrong with it, in words; nil when nothing is.
    package var fault: String? {
        let idBytes = id.utf8
        guard (1...64).contains(idBytes.count),
            idBytes.allSatisfy({ (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D })
        else { return "\"\(id)\" is no entry id: use capital letters, digits and dashes" }
        if !Topology.isOrganisation(organisation) { return "\(id): \"\(organisation)\" is no organisation's code" }
        if let subject, !Topology.isSubject(subject) { return "\(id): a subject is two digits" }
        if !PlainText.isName(topic, most: 64, digits: 64) {
            return "\(id): a topic is a name of [a-z0-9._-], at most 64 characters"
        }
        if !PlainText.isSaid(question) || !PlainText.isSaid(answer) {
            return "\(id): question or answer is empty, or has control characters"
        }
        if !PlainText.fits(question, most: 300) {
            return "\(id): the question is longer than 300 characters"
        }
        if !PlainText.fits(answer, most: 8_000) {
            return "\(id): the answer is longer than 8,000 characters"
        }
        if !["1", "2", "2.1"].contains(line) { return "\(id): there is no line \(line)" }
        return nil
    }
}

extension KnowledgeEntry {
    /// What is wrong with entries that are handed in together.
    package static func faults(_ entries: [KnowledgeEntry]) -> [String] {
        var seen: Set<String> = []
        return entries.compactMap { entry in
            entry.fault ?? (seen.insert(entry.id).inserted ? nil : "\(entry.id) stands twice")
        }
    }
}

/// An entry as it was published: its revision grows by one each time.
package struct PublishedEntry: Codable, Sendable, Hashable {
    package var entry: KnowledgeEntry
    package var revision: Int
}
