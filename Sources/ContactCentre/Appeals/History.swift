import Federation
import FoundationEssentials

/// One thing that was said or typed.
package struct Utterance: Codable, Sendable, Hashable {
    package enum Author: String, Codable, Sendable { case citizen, bot, operatorL1 = "operator_l1" }

    /// RFC 3339.
    package var at: String
    package var author: Author
    package var text: String

    package init(at: String, author: Author, text: String) {
        self.at = at
        self.author = author
        self.text = text
    }
}

/// Text of people.
package enum PlainText {
    /// Its length in code points: each is at most four bytes, while one character may be of any number of them.
    package static func length(_ text: String) -> Int { text.unicodeScalars.count }

    /// Letters, digits, punctuation and symbols; not spaces, marks alone, or what only directs others.
    private static func isSeen(_ category: Unicode.GeneralCategory) -> Bool {
        switch category {
        case .control, .format, .surrogate, .privateUse, .unassigned, .spaceSeparator, .lineSeparator,
            .paragraphSeparator, .nonspacingMark, .enclosingMark, .spacingMark:
            false
        default: true
        }
    }

    /// Whether it has so many code points at the most: they are counted only where the bytes do not say it.
    static func fits(_ text: String, most: Int) -> Bool {
        let bytes = text.utf8.count
        return bytes <= most || bytes <= 4 * most && length(text) <= most
    }

    /// Category Cc without line ends and tabs, which Unicode never changes, by its bytes: to look each character up took a
    /// third of a node's work on knowledge.
    private static func hasControls(_ text: String) -> Bool {
        var before: UInt8 = 0
        for byte in text.utf8 {
            if byte < 0x20, byte != 0x09, byte != 0x0A, byte != 0x0D { return true }
            if byte == 0x7F || before == 0xC2 && (0x80...0x9F).contains(byte) { return true }
            before = byte
        }
        return false
    }

    /// A name, never what somebody has written: [a-z0-9._-], with so many digits at the most.
    static func isName(_ text: String, most: Int, digits: Int) -> Bool {
        (1...most).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || [0x2D, 0x2E, 0x5F].contains(byte)
            }
            && text.utf8.count { (0x30...0x39).contains($0) } <= digits
    }

    /// Whether something is said in it, and nothing but text: no control characters besides line ends and tabs.
    package static func isSaid(_ text: String) -> Bool {
        text.unicodeScalars.contains { isSeen($0.properties.generalCategory) } && !hasControls(text)
    }
}

/// What was said before the appeal was taken, bot dialogue included: the bytes that were accepted at intake travel
/// unchanged to the home.
package struct History: Sendable, Hashable {
    package static let mostUtterances = 200
    package static let mostCharacters = 8_000
    package static let mostBytes = 128 * 1024
    /// Inside a message its quotes and backslashes are escaped once more: with what stands around it, it must fit into
    /// an envelope.
    package static let mostEscapedBytes = 240 * 1024

    /// JSON: a list of utterances, sorted keys, encoded once.
    package let bytes: [UInt8]

    /// - Throws: `history-too-long`, `utterance-too-long`, `history-empty`.
    package init(_ utterances: [Utterance]) throws(DomainError) {
        guard !utterances.isEmpty else {
            throw DomainError(.badInput, "history-empty", "nothing was said", remedy: "send at least one utterance")
        }
        guard utterances.count <= History.mostUtterances else {
            throw DomainError(
                .tooLarge, "history-too-long", "\(utterances.count) utterances",
                remedy: "send at most \(History.mostUtterances)")
        }
        for (index, utterance) in utterances.enumerated()
        where PlainText.length(utterance.text) > History.mostCharacters {
            throw DomainError(
                .tooLarge, "utterance-too-long", "history[\(index)] has \(PlainText.length(utterance.text)) characters",
                remedy: "send at most \(History.mostCharacters) an utterance")
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(utterances), data.count <= History.mostBytes,
            data.count + data.count(where: { $0 == 0x22 || $0 == 0x5C }) <= History.mostEscapedBytes
        else {
            throw DomainError(
                .tooLarge, "history-too-long",
                "the history is longer than \(History.mostBytes) bytes, or \(History.mostEscapedBytes) with its quotes "
                    + "and backslashes escaped",
                remedy: "send a shorter one")
        }
        bytes = Array(data)
    }

    /// Bytes that came from another node.
    package init?(bytes: [UInt8]) {
        guard bytes.count <= History.mostBytes,
            let utterances = try? JSONDecoder().decode([Utterance].self, from: Data(bytes)), !utterances.isEmpty,
            utterances.count <= History.mostUtterances,
            utterances.allSatisfy({ PlainText.length($0.text) <= History.mostCharacters })
        else { return nil }
        self.bytes = bytes
    }

    package var utterances: [Utterance] {
        (try? JSONDecoder().decode([Utterance].self, from: Data(bytes))) ?? []
    }
}
