import Federation

/// Reading what `tar` packs: regular files of POSIX ustar and of GNU tar, whose long names stand in an entry of their own.
/// Everything else in an archive is passed over.
extension TarArchive {
    struct Entry: Equatable {
        var name: String
        var content: [UInt8]
    }

    /// - Throws: `tree-malformed`.
    static func entries(_ bytes: [UInt8]) throws(FederationError) -> [Entry] {
        var entries: [Entry] = []
        var longName: String?
        var place = 0
        while place + 512 <= bytes.count, bytes[place] != 0 {
            let header = bytes[place..<place + 512]
            place += 512
            guard let size = octal(header, 124, 12), size <= bytes.count - place, isSummed(header) else {
                throw malformed("at byte \(place - 512)")
            }
            let content = bytes[place..<place + size]
            place += (size + 511) / 512 * 512
            switch header[header.startIndex + 156] {
            case UInt8(ascii: "L"): longName = text(content[...])
            case UInt8(ascii: "0"), 0:
                entries.append(Entry(name: longName ?? name(header), content: Array(content)))
                longName = nil
            // A name in an extended header of POSIX: passing it over would give the file another one.
            case UInt8(ascii: "x"): throw malformed("extended headers are not read; pack it with tar --format=gnu")
            default: longName = nil
            }
        }
        return entries
    }

    private static func malformed(_ why: String) -> FederationError {
        FederationError("tree-malformed", "it is no tar archive: \(why)", remedy: "take it again, or name a folder")
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    private static func name(_ header: ArraySlice<UInt8>) -> String {
        let start = header.startIndex
        let prefix = text(header[start + 345..<start + 500])
        let isPOSIX = Array(header[start + 257..<start + 263]) == Array("ustar\u{0}".utf8)
        return (isPOSIX && !prefix.isEmpty ? prefix + "/" : "") + text(header[start..<start + 100])
    }

    private static func octal(_ header: ArraySlice<UInt8>, _ at: Int, _ count: Int) -> Int? {
        let start = header.startIndex + at
        let digits = header[start..<start + count].filter { $0 != 0 && $0 != 0x20 }
        return digits.isEmpty ? 0 : Int(String(decoding: digits, as: UTF8.self), radix: 8).flatMap { $0 < 0 ? nil : $0 }
    }

    private static func isSummed(_ header: ArraySlice<UInt8>) -> Bool {
        var sum = 0
        for (index, byte) in header.enumerated() { sum += (148..<156).contains(index) ? 0x20 : Int(byte) }
        return octal(header, 148, 8) == sum
    }
}
