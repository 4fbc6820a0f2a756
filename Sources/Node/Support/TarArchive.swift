/// Files in one: POSIX ustar, 512-byte blocks, names of at most 100 bytes.
struct TarArchive {
    private(set) var bytes: [UInt8] = []

    /// - Parameter modified: seconds since 1970.
    mutating func add(_ name: String, _ content: [UInt8], modified: Int64) {
        precondition(name.utf8.count <= 100, "a name of ours is short")
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at place: Int) {
            for (index, byte) in text.utf8.enumerated() { header[place + index] = byte }
        }
        /// Octal digits, and a zero behind them.
        func put(_ number: Int64, digits: Int, at place: Int) {
            let text = String(number, radix: 8)
            put(String(repeating: "0", count: max(0, digits - text.count)) + text, at: place)
        }
        put(name, at: 0)
        put(0o600, digits: 7, at: 100)
        put(0, digits: 7, at: 108)
        put(0, digits: 7, at: 116)
        put(Int64(content.count), digits: 11, at: 124)
        put(modified, digits: 11, at: 136)
        // The sum is taken with blanks in its own place.
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar\u{0}00", at: 257)
        put(header.reduce(0) { $0 + Int64($1) }, digits: 6, at: 148)
        header[154] = 0
        bytes += header + content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    /// The archive with its end.
    var whole: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
