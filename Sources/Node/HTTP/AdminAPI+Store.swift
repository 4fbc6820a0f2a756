import ContactCentre
import Federation

/// What the store holds: for others, and altogether.
extension AdminAPI {
    struct OutboxRooms: Codable {
        struct Room: Codable {
            var destination: String
            var lane: String
            /// Envelopes that the destination has not decided about.
            var waiting: Int
            var bytes: Int
            /// Per cent of the room in use, by number or by bytes.
            var share: Int
            /// When the oldest of them was created, RFC 3339.
            var oldest: String?
            /// Bytes that are kept in case the destination is put back from a backup.
            var refillBytes: Int
            /// The neighbour on the way, and how the link to it is.
            var nextHop: String?
            var link: String
        }

        var rooms: [Room]
    }

    struct StoreFacts: Codable {
        struct Table: Codable {
            var name: String
            var rows: Int
            var bytes: Int
        }

        var incarnation: String
        var format: UInt64
        /// Bytes of pages that hold rows, of all pages, and that pages with rows may take.
        var usedBytes: Int
        var fileBytes: Int
        var quotaBytes: Int
        /// Bytes that may be written before the disk is full.
        var diskBytes: Int
        var tables: [Table]
    }

    static func outbox(of node: FederationNode) throws -> OutboxRooms {
        let limits = node.settings.limits.rooms
        let rooms = try node.store.read { transaction throws(StoreError) in
            try RoomSummary.list(limits: limits, in: transaction)
        }
        let links = Dictionary(uniqueKeysWithValues: node.links.standings().map { ($0.peer, $0.state.rawValue) })
        return OutboxRooms(
            rooms: rooms.map { summary in
                let hop = node.topology.nextHop(from: node.id, to: summary.room.destination)
                return OutboxRooms.Room(
                    destination: summary.room.destination.text, lane: "\(summary.room.lane)",
                    waiting: summary.use.count, bytes: summary.use.bytes, share: summary.share,
                    oldest: summary.oldest?.rfc3339, refillBytes: summary.use.refill, nextHop: hop?.text,
                    link: hop.flatMap { links[$0] } ?? "no-route")
            })
    }

    static func storeFacts(of node: FederationNode) throws -> StoreFacts {
        let tables = try node.store.read { transaction throws(StoreError) in
            var tables: [StoreFacts.Table] = []
            for table in Table.exchange + ContactCentreTables.all {
                let size = try transaction.size(table)
                tables.append(StoreFacts.Table(name: table.name, rows: size.rows, bytes: size.bytes))
            }
            return tables
        }
        return StoreFacts(
            incarnation: node.store.incarnation.text, format: Store.format,
            usedBytes: tables.reduce(0) { $0 + $1.bytes }, fileBytes: try node.store.engine.fileBytes(),
            quotaBytes: node.settings.limits.quota, diskBytes: node.store.engine.roomBytes(),
            tables: tables.sorted { $0.bytes > $1.bytes })
    }
}
