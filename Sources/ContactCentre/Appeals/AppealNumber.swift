import Federation

/// An appeal's number, to be said on the phone: 2 digits of the place of intake (00 is the centre), 8 of a counter, and a
/// check digit by Damm, which finds every single wrong digit and every swap of two neighbours. Printed `00-0000-0001-3`.
package struct AppealNumber: Sendable, Hashable, CustomStringConvertible {
    /// Ten digits, without the check digit.
    package let digits: String

    /// - Parameters:
    ///   - intake: 0 to 99.
    ///   - counter: 1 to 99,999,999.
    package init?(intake: Int, counter: Int) {
        guard (0...99).contains(intake), (1...99_999_999).contains(counter) else { return nil }
        let text = String(10_000_000_000 + intake * 100_000_000 + counter)
        digits = String(text.dropFirst())
    }

    /// With or without dashes. Nil when the check digit does not fit.
    package init?(_ text: String) {
        let bare = text.filter { $0 != "-" }
        guard bare.utf8.count == 11, bare.utf8.allSatisfy({ (0x30...0x39).contains($0) }), Damm.check(bare) == 0 else {
            return nil
        }
        digits = String(bare.dropLast())
    }

    /// Its key in table `numbers`.
    package var key: [UInt8] {
        var key = ByteWriter(capacity: 8)
        key.append(UInt64(digits) ?? 0)
        return key.bytes
    }

    package var description: String {
        let all = Array((digits + String(Damm.check(digits))).utf8)
        return [0..<2, 2..<6, 6..<10, 10..<11].map { String(decoding: all[$0], as: UTF8.self) }.joined(separator: "-")
    }
}

/// The check digit of H. M. Damm (2004), over a totally anti-symmetric quasigroup of order 10.
package enum Damm {
    private static let table: [[Int]] = [
        [0, 3, 1, 7, 5, 9, 8, 6, 4, 2], [7, 0, 9, 2, 1, 5, 4, 8, 6, 3], [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
        [1, 7, 5, 0, 9, 8, 3, 4, 2, 6], [6, 1, 2, 3, 0, 4, 5, 9, 7, 8], [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
        [5, 8, 6, 9, 7, 2, 0, 1, 3, 4], [8, 9, 4, 5, 3, 6, 2, 0, 1, 7], [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
        [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
    ]

    /// The check digit of a text of digits; 0 for a text that ends in its own.
    package static func check(_ digits: String) -> Int {
        digits.utf8.reduce(0) { table[$0][Int($1) - 0x30] }
    }
}
