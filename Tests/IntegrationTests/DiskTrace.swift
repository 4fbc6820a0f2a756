import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

/// What a process has done to one file, as strace saw it, and what it has said to its clients in between.
struct DiskTrace {
    enum Event {
        /// - Parameter isDurable: when it has returned it is on the medium: the descriptor was opened with O_DSYNC.
        case write(place: Int, [UInt8], isDurable: Bool)
        /// Everything before it is on the medium.
        case sync
        /// A client was told that everything through this position is accepted.
        case told(through: Int)
    }

    private(set) var events: [Event] = []

    /// Options under which a process is to be run.
    static func options(_ file: String) -> [String] {
        [
            "strace", "-f", "-q", "-v", "-xx", "-s", "16777216", "-o", file, "-e",
            "trace=openat,close,lseek,write,writev,pwrite64,pwritev,sendto,sendmsg,fdatasync,fsync,ftruncate,msync,fallocate",
        ]
    }

    /// Whether this machine lets strace trace. Without it two tests say nothing: they say so.
    static let isPossible: Bool = {
        var pid: pid_t = 0
        let words = ["strace", "-qq", "-o", "/dev/null", "true"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var status: CInt = 1
        let isThere =
            posix_spawnp(&pid, "strace", nil, nil, &arguments, environ) == 0 && waitpid(pid, &status, 0) == pid
        if !isThere || status != 0 {
            print("NOT TESTED: strace cannot trace here; failed syncs and power cuts are not tried")
        }
        return isThere && status == 0
    }()

    /// - Parameter path: the file, whatever descriptors it is written through.
    init(_ trace: String, of path: String) throws {
        let text = try Files.read(trace, maximum: 1 << 30)
        let wanted = DiskTrace.hex(Array(path.utf8))
        var descriptors: [Int: Bool] = [:]
        var places: [Int: Int] = [:]
        var unfinished: [Int: [UInt8]] = [:]
        for line in text.split(separator: 0x0A) {
            var reader = LineReader(line)
            let thread = reader.number()
            reader.skipSpaces()
            var call = Array(reader.rest)
            if call.starts(with: Array("<... ".utf8)) {
                guard let begun = unfinished.removeValue(forKey: thread), let end = call.firstIndex(of: 0x3E) else {
                    continue
                }
                call = begun + call[(end + 1)...]
            } else if call.suffix(17).elementsEqual(" <unfinished ...>".utf8) {
                unfinished[thread] = call.dropLast(17)
                // Told is told when it begins.
                if call.starts(with: Array("send".utf8)) { tell(call) }
                continue
            } else if call.starts(with: Array("send".utf8)) {
                tell(call)
            }
            var words = LineReader(call[...])
            let name = words.word()
            switch name {
            case "openat":
                guard DiskTrace.place(of: wanted, in: call) != nil, let descriptor = DiskTrace.result(of: call),
                    descriptor >= 0
                else { continue }
                descriptors[descriptor] = DiskTrace.place(of: "O_DSYNC", in: call) != nil
            case "close": descriptors[words.number()] = nil
            case "lseek":
                let descriptor = words.number()
                if descriptors[descriptor] != nil { places[descriptor] = DiskTrace.result(of: call) }
            case "pwrite64", "pwritev", "write", "writev":
                let descriptor = words.number()
                guard let isDurable = descriptors[descriptor] else { continue }
                let count = try #require(DiskTrace.result(of: call))
                let (bytes, numbers) = words.strings()
                guard bytes.count >= count, count > 0 else {
                    throw Fault.notUnderstood(String(decoding: call.suffix(200), as: UTF8.self))
                }
                let isPlaced = name.hasPrefix("p")
                let place = isPlaced ? try #require(numbers.last) : places[descriptor, default: 0]
                if !isPlaced { places[descriptor] = place + count }
                events.append(.write(place: place, Array(bytes[..<count]), isDurable: isDurable))
            case "fdatasync", "fsync":
                if descriptors[words.number()] != nil, DiskTrace.result(of: call) == 0 { events.append(.sync) }
            case "ftruncate", "msync", "fallocate":
                if name == "msync" || descriptors[words.number()] != nil { throw Fault.notUnderstood(name) }
            default: break
            }
        }
    }

    enum Fault: Error { case notUnderstood(String) }

    private mutating func tell(_ call: [UInt8]) {
        guard let place = DiskTrace.place(of: DiskTrace.hex(Array("\"through\":".utf8)), in: call) else { return }
        var digits = 0
        var at = place + 40
        while at + 4 <= call.count, let digit = Int(String(decoding: call[at + 2..<at + 4], as: UTF8.self), radix: 16),
            (0x30...0x39).contains(digit)
        {
            digits = digits * 10 + digit - 0x30
            at += 4
        }
        events.append(.told(through: digits))
    }

    private static func hex(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { Array("\\x".utf8) + Array(Hex.encode([$0]).utf8) }
    }

    private static func place(of text: String, in line: [UInt8]) -> Int? { place(of: Array(text.utf8), in: line) }

    private static func place(of part: [UInt8], in line: [UInt8]) -> Int? {
        guard line.count >= part.count else { return nil }
        return (0...line.count - part.count).first {
            line[$0] == part[0] && line[$0..<$0 + part.count].elementsEqual(part)
        }
    }

    /// What stands behind the last ` = `.
    private static func result(of call: [UInt8]) -> Int? {
        guard let equals = call.lastIndex(of: 0x3D) else { return nil }
        return Int(String(decoding: call[(equals + 1)...], as: UTF8.self).split(separator: " ").first ?? "")
    }
}

/// Takes a line of strace to pieces.
private struct LineReader {
    var rest: ArraySlice<UInt8>

    init(_ line: ArraySlice<UInt8>) { rest = line }

    mutating func skipSpaces() { rest = rest.drop { $0 == 0x20 } }

    mutating func number() -> Int {
        let digits = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest.dropFirst(digits.count)
        return Int(String(decoding: digits, as: UTF8.self)) ?? -1
    }

    /// Up to the bracket, and over it.
    mutating func word() -> String {
        let name = rest.prefix { $0 != 0x28 }
        rest = rest.dropFirst(name.count + 1)
        return String(decoding: name, as: UTF8.self)
    }

    /// All quoted bytes, one behind the other, and the numbers that stand alone before the closing bracket.
    mutating func strings() -> (bytes: [UInt8], numbers: [Int]) {
        var bytes: [UInt8] = []
        var end = rest.startIndex
        rest.withUnsafeBufferPointer { all in
            func digit(_ byte: UInt8) -> UInt8 { byte <= 0x39 ? byte - 0x30 : byte - 0x57 }
            var at = 0
            var isInside = false
            while at < all.count {
                if all[at] == 0x22 {
                    isInside.toggle()
                    at += 1
                    end = rest.startIndex + at
                } else if isInside {
                    bytes.append(digit(all[at + 2]) << 4 | digit(all[at + 3]))
                    at += 4
                } else {
                    at += 1
                }
            }
        }
        let tail = String(decoding: rest[end...].prefix { $0 != 0x3D }, as: UTF8.self)
        return (bytes, tail.split { !$0.isNumber }.compactMap { Int($0) })
    }
}
