import ContactCentre
import FederationTestKit
import FoundationEssentials
import Glibc
import Testing

@testable import Federation

/// Flips a bit of a store's file, asks the real `ekc store verify`, and flips it back.
enum Flips {
    struct Tally: CustomStringConvertible {
        var named = 0
        var harmless = 0
        var description: String { "\(named) named, \(harmless) harmless" }
    }

    /// Another bit in bytes that a row holds.
    static func flip(_ file: String, where marker: [UInt8]) throws {
        let bytes = try Files.read(file, maximum: 1 << 30)
        // In the last page that holds it: the others may be of the past.
        let map = PageMap(bytes)
        let inUse = map.pages.filter { $0.key != .free }.flatMap(\.value).sorted()
        let place = try #require(
            inUse.reversed().lazy.compactMap { page -> Int? in
                let slice = bytes[page * 4096..<page * 4096 + 4096]
                return slice.indices.dropLast(marker.count).first {
                    slice[$0..<$0 + marker.count].elementsEqual(marker)
                }
            }.first)
        try patch(file, place, bytes[place] ^ 4)
    }

    static func run(_ count: Int, seed: UInt64, binary: String) throws -> [PageMap.Kind: Tally] {
        let store = try FilledStore()
        let whole = try Files.read(store.file, maximum: 1 << 30)
        let map = PageMap(whole)
        let rows = try FilledStore.rows(in: store.place.storeFolder)
        let copy = try TemporaryFolder()
        var random = SeededRandom(seed: seed)
        var tallies: [PageMap.Kind: Tally] = [:]
        #expect(try verify(store, binary).exit == 0)
        for number in 0..<count {
            let kind = PageMap.Kind.allCases[number % PageMap.Kind.allCases.count]
            let pages = try #require(map.pages[kind], "the store has no page of kind \(kind.rawValue)")
            let page = pages[Int.random(in: 0..<pages.count, using: &random)]
            // Half of them where the page says what it is; of the meta pages only that is in use.
            let area = kind == .meta ? 160 : Bool.random(using: &random) ? 64 : 4096
            let place = page * 4096 + Int.random(in: 0..<area, using: &random)
            let bit = UInt8(1) << Int.random(in: 0..<8, using: &random)
            let what = "\(kind.rawValue) page \(page), byte \(place % 4096), bit \(bit.trailingZeroBitCount)"
            try patch(store.file, place, whole[place] ^ bit)
            defer { try? patch(store.file, place, whole[place]) }
            let (exit, output) = try verify(store, binary)
            let marker = store.place.storeFolder + "/damaged"
            if exit == 1 {
                #expect(output.contains("store-damaged"), "\(what): \(output)")
                #expect(Files.exists(marker), "\(what)")
                tallies[kind, default: Tally()].named += 1
                unlink(marker)
                continue
            }
            #expect(exit == 0, "\(what): \(output)")
            tallies[kind, default: Tally()].harmless += 1
            // Nobody who reads sees it, and nobody who goes on writing falls over it.
            #expect(try FilledStore.rows(in: store.place.storeFolder) == rows, "\(what)")
            try goOn(store, in: copy, what)
        }
        return tallies
    }

    private static func goOn(_ store: FilledStore, in folder: TemporaryFolder, _ what: String) throws {
        try? FileManager.default.removeItem(atPath: folder.path + "/data.mdb")
        try Files.copy(store.file, to: folder.path + "/data.mdb", inParts: 1 << 20)
        let engine = try LMDBEngine(directory: folder.path, tables: FilledStore.tables)
        for number in UInt8(0)..<5 {
            let writer = try engine.beginWrite()
            let (key, value) = ([number], [UInt8](repeating: 1, count: 3000))
            for table in FilledStore.tables { try writer.put(table, key.span.bytes, value.span.bytes) }
            try writer.commit()
        }
        engine.close()
        #expect(try StoreVerifier.verify(directory: folder.path).damage == [], "\(what)")
    }

    static func verify(_ store: FilledStore, _ binary: String) throws -> (exit: Int32, output: String) {
        try Binary.start(["store", "verify", store.place.path], of: binary).finish()
    }

    static func patch(_ file: String, _ place: Int, _ byte: UInt8) throws {
        let descriptor = open(file, O_WRONLY)
        defer { close(descriptor) }
        var byte = byte
        try #require(pwrite(descriptor, &byte, 1, off_t(place)) == 1)
    }

    static func check(_ tallies: [PageMap.Kind: Tally], _ count: Int, seed: UInt64) {
        let said = PageMap.Kind.allCases.map { "\($0.rawValue): \(tallies[$0].map { "\($0)" } ?? "none")" }
        print("flips: \(count) of seed \(seed): \(said.joined(separator: "; "))")
        for (kind, tally) in tallies {
            // What is free is nobody's.
            #expect((tally.named == 0) == (kind == .free), "\(kind.rawValue): \(tally)")
        }
    }
}

@Suite("Damage: a bit of a store's file, or its end, is lost", .serialized)
struct FlipTests {
    @Test("Each of 56 flipped bits is named by store verify, or harms nobody")
    func flips() throws {
        Flips.check(try Flips.run(56, seed: 5, binary: Binary.path), 56, seed: 5)
    }

    @Test("A file that is cut short is named before anybody follows what it says")
    func cut() throws {
        let store = try FilledStore()
        let whole = try Files.read(store.file, maximum: 1 << 30)
        let map = PageMap(whole)
        let last = map.pages.filter { $0.key != .free }.flatMap(\.value).max() ?? 0
        for length in [0, 100, 4096, 8192, last / 2 * 4096, last * 4096, last * 4096 + 4095] {
            try Files.write(Array(whole[..<length]), to: store.file)
            let (exit, output) = try Flips.verify(store, Binary.path)
            #expect(exit == 1 && output.contains("store-damaged"), "\(length): \(output)")
            unlink(store.place.storeFolder + "/damaged")
            let opened = try Store.open(
                directory: store.place.storeFolder, tables: ContactCentreTables.all,
                newIncarnation: Incarnation(bits: ID128(high: 0, low: 1)))
            #expect(opened.health.damage?.detail.isEmpty == false, "\(length)")
            #expect { try opened.write(.essential) { _ in 0 } } throws: { ($0 as? StoreError)?.code == .damaged }
            opened.close()
            unlink(store.place.storeFolder + "/damaged")
        }
        // What is behind the last page that is in use nobody misses.
        try Files.write(Array(whole[..<((last + 1) * 4096)]), to: store.file)
        #expect(try Flips.verify(store, Binary.path).exit == 0)
    }
}
