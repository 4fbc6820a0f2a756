/// A citizen's insurance number, `NNN-NNN-NNN CC`. Its description never shows it.
///
/// Check (Pension Fund's rule): S = sum of digit i times 10 − i, for i from 1 to 9; CC = S mod 101, and 100 counts as 00.
/// Numbers up to 001-001-998 carry no check.
package struct SNILS: Sendable, Hashable, CustomStringConvertible {
    /// Eleven digits.
    package let digits: String

    /// Accepts dashes and spaces between the digits. Nil when the check does not fit.
    package init?(_ text: String) {
        let bare = text.filter { $0 != "-" && $0 != " " }
        guard text.utf8.count <= 20, bare.utf8.count == 11, bare.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        let values = bare.utf8.map { Int($0) - 0x30 }
        let number = values[0..<9].reduce(0) { $0 * 10 + $1 }
        if number > 1_001_998 {
            let sum = (0..<9).reduce(0) { $0 + values[$1] * (9 - $1) }
            guard sum % 101 % 100 == values[9] * 10 + values[10] else { return nil }
        }
        guard number > 0 else { return nil }
        digits = bare
    }

    package var description: String { "SNILS(…)" }
}
