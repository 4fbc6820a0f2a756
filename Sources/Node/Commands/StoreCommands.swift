import Federation

/// What a running node's store holds.
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
