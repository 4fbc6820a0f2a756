/// How alike two names are (Levenshtein): what was misspelt is told as one fault, not as a stranger and a gap.
package enum Spelling {
    /// Letters to add, remove or replace, great and small alike; names are looked at up to their 64th byte.
    static func distance(_ one: String, _ other: String) -> Int {
        let (one, other) = (Array(one.lowercased().utf8.prefix(64)), Array(other.lowercased().utf8.prefix(64)))
        var row = Array(0...other.count)
        for (index, letter) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in other.indices {
                let replaced = diagonal + (letter == other[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[other.count]
    }

    package static func nearest(to name: String, among names: some Sequence<String>) -> String? {
        names.map { (distance(name, $0), $0) }.min { $0 < $1 }?.1
    }

    /// The one of the names that was meant: at most half of it is spelt otherwise.
    static func meant(by name: String, among names: some Sequence<String>) -> String? {
        nearest(to: name, among: names).flatMap { distance(name, $0) <= max(1, $0.utf8.count / 2) ? $0 : nil }
    }

    /// The first of many, for a message.
    static func some(_ names: [String]) -> String {
        names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
    }
}
