/// Words of sentences for people.
package enum Words {
    /// `1 message`, `7 messages`.
    package static func count(_ number: some BinaryInteger, _ noun: String) -> String {
        number == 1 ? "1 \(noun)" : "\(number) \(noun)s"
    }

    /// Names: all of a few, the first of many.
    package static func list(_ names: some Sequence<String>) -> String {
        let names = Array(names)
        guard names.count > 6 else {
            return names.count < 2
                ? names.joined() : names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
        }
        return names.prefix(4).joined(separator: ", ") + " and \(names.count - 4) more"
    }
}
