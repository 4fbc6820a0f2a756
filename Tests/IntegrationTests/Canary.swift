import Foundation
import Testing

@testable import Federation

/// Something that must not be found anywhere, in any of the forms in which it could be written.
struct Canary {
    var what: String
    var bytes: [UInt8]

    init(_ what: String, _ bytes: [UInt8]) {
        self.what = what
        self.bytes = bytes
    }

    init(_ text: String) { self.init(text, Array(text.utf8)) }

    /// By name of the form.
    var forms: [(name: String, bytes: [UInt8])] {
        var forms = [("plain", bytes)]
        let hex = Hex.encode(bytes)
        forms += [("hex", Array(hex.utf8)), ("HEX", Array(hex.uppercased().utf8))]
        for shift in 0..<3 {
            // Within a longer text: what its first and last digits share with others is left out.
            let encoded = Array(Data([UInt8](repeating: 0, count: shift) + bytes).base64EncodedString().utf8)
            let first = shift == 0 ? 0 : shift + 1
            let last = (shift + bytes.count) * 8 / 6
            if first < last { forms.append(("base64 at \(shift)", Array(encoded[first..<last]))) }
        }
        for digits in [hex, hex.uppercased()] {
            let pairs = stride(from: 0, to: digits.utf8.count, by: 2).map { place in
                "%" + digits.dropFirst(place).prefix(2)
            }
            forms.append(("percent", Array(pairs.joined().utf8)))
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return forms }
        let units = Array(text.utf16)
        forms.append(("UTF-16LE", units.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }))
        forms.append(("UTF-16BE", units.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }))
        for isUpper in [false, true] {
            let escapes = units.map { unit in
                let digits = String(unit, radix: 16, uppercase: isUpper)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
            forms.append(("JSON escapes", Array(escapes.joined().utf8)))
        }
        return forms
    }

    /// The forms in which it is found.
    func found(in place: [UInt8]) -> [String] {
        let place = Data(place)
        return forms.filter { place.range(of: Data($0.bytes)) != nil }.map { "\(what) as \($0.name)" }
    }
}
