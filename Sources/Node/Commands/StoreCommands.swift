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
}
