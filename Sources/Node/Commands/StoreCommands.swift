import CLinux
import Federation
import Glibc

/// What a node's store holds, and whether it is what was written.
enum StoreCommands {
    static func outbox(_ command: ParsedCommand) throws -> Int32 {
        let all = try NodeCommands.client(command.operands[0])
            .exchange(AdminAPI.OutboxRooms.self, "GET", "/api/v1/outbox")
        let lines = all.rooms.map { room in
            let oldest = room.oldest.map { ", the oldest of \($0)" } ?? ""
            let way = room.nextHop.map { "by \($0), \(room.link)" } ?? room.link
            return
                "\(room.destination)\t\(room.lane)\twaiting \(room.waiting) (\(room.bytes >> 10) KiB, \(room.share) %)"
                + "\(oldest)\t\(way)\tkept for refill \(room.refillBytes >> 10) KiB"
        }
        Output.print(command, all, lines.isEmpty ? "nothing waits, nothing is kept" : lines.joined(separator: "\n"))
        return 0
    }

    /// Beside the node that has it open, or alone. What is found is kept, and the node hears of it.
    static func verify(_ command: ParsedCommand) throws -> Int32 {
        // In a container the node itself may be process 1; one that has lost it reads to its end and harms nobody.
        if command.flags.contains("with-parent") { _ = clinux_die_with_parent(SIGKILL) }
        let place = NodeFolder(command.operands[0])
        let growth = try place.settings().limits.growth
        let isAsked = !command.json || command.flags.contains("with-parent")
        var told = Clocks.monotonicMicroseconds()
        let report = try StoreVerifier.verify(directory: place.storeFolder, growth: growth) { seen, count in
            let now = Clocks.monotonicMicroseconds()
            guard isAsked, now - told > 1_000_000 else { return }
            told = now
            Output.error("\(seen) of \(count) pages")
        }
        var said = StoreLook.Verified(report: report)
        guard let damage = StoreDamage(report, foundAt: Clocks.wall()) else {
            let rows = report.tables.reduce(0) { $0 + $1.rows }
            if let known = StoreHealth(directory: place.storeFolder).damage {
                Output.error(
                    "but it was found damaged before (\(known.detail)), and no node works on it: \(place.wayBack)")
            }
            Output.print(
                command, said,
                "\(rows) rows in \(report.tables.count) tables on \(report.pages) pages are as they were written"
                    + (report.hasDigests ? "" : ", as far as their order and number go: it has no digests yet"))
            return 0
        }
        if !StoreHealth(directory: place.storeFolder).found(damage) {
            Output.error("it could not be written down beside the store: do not start a node on it")
        }
        (said.damage, said.remedy) = (damage, place.wayBack)
        let lines = report.damage.map { fault in (fault.table.map { "\($0): " } ?? "") + fault.detail }
        Output.print(
            command, said, (["store-damaged"] + lines + ["remedy: \(place.wayBack)"]).joined(separator: "\n"))
        return 1
    }

    static func stat(_ command: ParsedCommand) throws -> Int32 {
        let facts = try NodeCommands.client(command.operands[0])
            .exchange(AdminAPI.StoreFacts.self, "GET", "/api/v1/store")
        var lines = [
            "store format \(facts.format), incarnation \(facts.incarnation)",
            "in use \(facts.usedBytes >> 10) KiB of \(facts.quotaBytes >> 20) MiB that it may have; "
                + "the file is \(facts.fileBytes >> 10) KiB, the disk has \(facts.diskBytes >> 20) MiB",
        ]
        lines += facts.tables.filter { $0.rows > 0 }.map { "\($0.name)\t\($0.rows)\t\($0.bytes >> 10) KiB" }
        Output.print(command, facts, lines.joined(separator: "\n"))
        return 0
    }

    static func generateStock(_ command: ParsedCommand) throws -> Int32 {
        let closed = try command.number("closed", 0...10_000_000, otherwise: 2_000_000)
        let queued = try command.number("queued", 0...10_000_000, otherwise: 100_000)
        let stock = try SampleStock(
            NodeFolder(command.operands[0]), seed: UInt64(try command.number("seed", 0...Int.max, otherwise: 1)))
        defer { stock.close() }
        let before = try stock.count()
        let step = max(1000, (closed + queued) / 20)
        var told = 0
        try stock.make(closed: closed, queued: queued) { made in
            guard made - told >= step else { return }
            told = made
            Output.error("\(made) of \(closed + queued) appeals")
        }
        let after = try stock.count()
        Output.print(
            command, after,
            "closed \(after.closed), waiting \(after.queued), otherwise \(after.otherwise); in the queue \(after.inQueue), "
                + "numbers \(after.numbers), events \(after.events)")
        var expected = before
        expected.closed += closed
        expected.queued += queued
        expected.inQueue += queued
        expected.numbers += closed + queued
        expected.events += 4 * closed + queued
        guard after == expected else {
            throw FederationError(
                "not-accounted-for", "it should be \(expected), and is \(after)", remedy: "report this as a fault")
        }
        return 0
    }
}
