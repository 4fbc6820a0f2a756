/// What a node says of itself to the centre: counts and instants, and no field that could hold a word. It is state, not
/// mail: it travels in a frame of a running session and is never kept in an outbox. Big endian:
///
///     version u8 = 1 · flags u8 (1 rewound, 2 draining, 4 control only) · at i64 · started i64 · topology version u64 · knowledge u64
///     · link certificate ends i64 · authority ends i64 · waiting u64 · oldest i64 (0: none) · closed rooms u32
///     · quarantined u64 · held elsewhere u64 · missing u64 · lost u64 · unbalanced u32 · used u64 · quota u64 · disk u64
///     · queues u16 × (name u64, waiting u32, overdue u32, oldest i64) · metadata age u64
///     · mail u16 × (name u64, waiting u32), 0xFFFF: not known; earlier builds end before it · bytes to come: ignored
package struct NodeReport: Sendable, Hashable {
    /// The appeals that wait at one tenancy.
    package struct Queue: Sendable, Hashable {
        /// See `name(of:)`: the receiver knows the tenancies by its own topology.
        package var name: UInt64
        package var waiting: UInt32
        /// Past their due time.
        package var overdue: UInt32
        /// When the oldest of the first ones was received; nil when none waits.
        package var oldest: Timestamp?

        package init(name: UInt64, waiting: UInt32, overdue: UInt32, oldest: Timestamp?) {
            self.name = name
            self.waiting = waiting
            self.overdue = overdue
            self.oldest = oldest
        }
    }

    /// What waits at the node for one other.
    package struct Mail: Sendable, Hashable {
        /// See `name(of:)`: of the destination.
        package var name: UInt64
        package var waiting: UInt32

        package init(name: UInt64, waiting: UInt32) {
            self.name = name
            self.waiting = waiting
        }
    }

    /// Queues, and destinations, that one report may have.
    package static let mostQueues = 256
    package static let mostMail = 256
    private static let mailUnknown = UInt16.max

    package var isRewound = false
    /// It takes nothing new.
    package var isDraining = false
    /// Its store was put back: of messages only those of the lane of control pass.
    package var isControlOnly = false
    /// By the node's clock.
    package var at: Timestamp
    package var started: Timestamp
    package var topologyVersion: UInt64 = 0
    /// Entries of knowledge, published or applied.
    package var knowledge: UInt64 = 0
    /// When the certificate of its link key ends, and that of its segment's authority; 0: unknown.
    package var certificateEnds = Timestamp(milliseconds: 0)
    package var authorityEnds = Timestamp(milliseconds: 0)
    /// Envelopes that wait for others, since when, and rooms that take no more of others.
    package var waiting: UInt64 = 0
    package var oldest: Timestamp?
    package var closedRooms: UInt32 = 0
    /// Kept undecided here, and by others of this node's.
    package var quarantined: UInt64 = 0
    package var heldElsewhere: UInt64 = 0
    /// Being got back, and gone for good.
    package var missing: UInt64 = 0
    package var lost: UInt64 = 0
    /// Streams of which the counts do not agree.
    package var unbalanced: UInt32 = 0
    /// Bytes of the store in use, that it may use, and that the disk still takes.
    package var usedBytes: UInt64 = 0
    package var quotaBytes: UInt64 = 0
    package var diskBytes: UInt64 = 0
    package var queues: [Queue] = []
    /// Milliseconds since it verified newer signed metadata.
    package var metadataAge: UInt64 = 0
    /// For whom `waiting` waits; nil: not known, of an earlier build or for more than can be said.
    package var mail: [Mail]?

    package init(at: Timestamp, started: Timestamp) {
        self.at = at
        self.started = started
    }

    /// The name of a tenancy or a node as a number (FNV-1a, 64 bits): what the receiver's topology does not name is nothing.
    package static func name(of name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
}

extension NodeReport {
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 160 + 24 * queues.count + 12 * (mail?.count ?? 0))
        append(to: &writer)
        return writer.bytes
    }

    func append(to writer: inout ByteWriter) {
        writer.append(UInt8(1))
        writer.append(UInt8((isRewound ? 1 : 0) | (isDraining ? 2 : 0) | (isControlOnly ? 4 : 0)))
        for instant in [at, started] { writer.append(instant.milliseconds) }
        for number in [topologyVersion, knowledge] { writer.append(number) }
        for instant in [certificateEnds, authorityEnds] { writer.append(instant.milliseconds) }
        writer.append(waiting)
        writer.append(oldest?.milliseconds ?? 0)
        writer.append(closedRooms)
        for number in [quarantined, heldElsewhere, missing, lost] { writer.append(number) }
        writer.append(unbalanced)
        for number in [usedBytes, quotaBytes, diskBytes] { writer.append(number) }
        writer.append(UInt16(min(queues.count, NodeReport.mostQueues)))
        for queue in queues.prefix(NodeReport.mostQueues) {
            writer.append(queue.name)
            writer.append(queue.waiting)
            writer.append(queue.overdue)
            writer.append(queue.oldest?.milliseconds ?? 0)
        }
        writer.append(metadataAge)
        guard let mail, mail.count <= NodeReport.mostMail else { return writer.append(NodeReport.mailUnknown) }
        writer.append(UInt16(mail.count))
        for entry in mail {
            writer.append(entry.name)
            writer.append(entry.waiting)
        }
    }

    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        try self.init(from: &reader)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        let flags = try reader.number(UInt8.self)
        self.init(at: try reader.instant(), started: try reader.instant())
        isRewound = flags & 1 != 0
        isDraining = flags & 2 != 0
        isControlOnly = flags & 4 != 0
        topologyVersion = try reader.position()
        knowledge = try reader.position()
        certificateEnds = try reader.instant()
        authorityEnds = try reader.instant()
        waiting = try reader.position()
        oldest = try reader.instantIfAny()
        closedRooms = try reader.number(UInt32.self)
        quarantined = try reader.position()
        heldElsewhere = try reader.position()
        missing = try reader.position()
        lost = try reader.position()
        unbalanced = try reader.number(UInt32.self)
        usedBytes = try reader.position()
        quotaBytes = try reader.position()
        diskBytes = try reader.position()
        let place = reader.offset
        let count = Int(try reader.number(UInt16.self))
        guard count <= NodeReport.mostQueues else { throw .tooLong(at: place) }
        for _ in 0..<count {
            queues.append(
                Queue(
                    name: try reader.number(UInt64.self), waiting: try reader.number(UInt32.self),
                    overdue: try reader.number(UInt32.self), oldest: try reader.instantIfAny()))
        }
        metadataAge = try reader.position()
        guard !reader.isAtEnd else { return }
        mail = try NodeReport.mail(from: &reader)
    }

    private static func mail(from reader: inout ByteReader) throws(WireError) -> [Mail]? {
        let place = reader.offset
        let count = try reader.number(UInt16.self)
        guard count != mailUnknown else { return nil }
        guard count <= mostMail else { throw .tooLong(at: place) }
        var mail: [Mail] = []
        for _ in 0..<count {
            mail.append(Mail(name: try reader.number(UInt64.self), waiting: try reader.number(UInt32.self)))
        }
        return mail
    }
}

extension ByteReader {
    /// An instant of somebody else; 0 stands for none.
    mutating func instantIfAny() throws(WireError) -> Timestamp? {
        let instant = try instant()
        return instant.milliseconds == 0 ? nil : instant
    }
}
