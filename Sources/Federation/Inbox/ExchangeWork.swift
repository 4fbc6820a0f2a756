/// What the exchange wants done in the store: a value, so that daemon and simulator run the same code on it.
package enum ExchangeWork: Sendable, Hashable {
    /// Envelopes that came from a peer, checked and in order a stream.
    case receive(ReceivedBatch)
    /// What destinations have decided, for streams that begin or pass here.
    case receipts([ReceiptState])
    /// The origin has taken back what was rejected: destinations and relays may forget it.
    case settled([StreamPosition])
    /// The next hop holds these durably: a relay lets them go, an origin notes it.
    case forwarded([StreamPosition], by: Incarnation)
    /// The sender keeps nothing at or below: a relay that knows less goes on from there,
    /// and so does a destination that knows nothing of the stream.
    case adopt([StreamBase], from: Incarnation)
    /// A session with a peer is proposed (by who dials) or agreed: its token, and the life of the peer's store.
    case session(peer: NodeID, incarnation: Incarnation, tokens: [SessionToken])
    /// A meeting has proved that this store is behind what it once said.
    case rewound

    /// Records that it writes, towards the limit of a commit group.
    package var records: Int {
        switch self {
        case .receive(let batch): batch.envelopes.count
        case .receipts(let states): states.count
        case .settled(let positions), .forwarded(let positions, _): positions.count
        case .adopt(let bases, _): bases.count
        case .session, .rewound: 1
        }
    }
}

package struct StreamPosition: Sendable, Hashable {
    package var stream: StreamID
    package var position: UInt64
    package init(stream: StreamID, position: UInt64) {
        self.stream = stream
        self.position = position
    }
}

/// Where what a sender keeps of a stream begins.
package struct StreamBase: Sendable, Hashable {
    package var stream: StreamID
    package var base: UInt64
    package var digest: Digest32
    package init(stream: StreamID, base: UInt64, digest: Digest32) {
        self.stream = stream
        self.base = base
        self.digest = digest
    }
}

/// The newest receipt of a stream: everything through `applied` is decided, and these positions were refused.
package struct ReceiptState: Sendable, Hashable {
    package var stream: StreamID
    package var applied: UInt64
    package var rejections: [RejectedPosition]
    /// What the destination has counted through `applied`; absent from a release that counts nothing.
    package var tally: Tally?

    package init(stream: StreamID, applied: UInt64, rejections: [RejectedPosition], tally: Tally? = nil) {
        self.stream = stream
        self.applied = applied
        self.rejections = rejections
        self.tally = tally
    }
}

/// What a destination has made of a stream, for its origin to compare.
package struct Tally: Sendable, Hashable {
    package var applied: UInt64
    package var rejected: UInt64
    package var held: UInt64
    /// Gone for good.
    package var lost: UInt64
    /// Being refilled.
    package var missing: UInt64
    /// Through here it is inside a verified backup.
    package var safe: UInt64

    init(_ row: StreamRow) {
        applied = row.appliedCount
        rejected = row.rejectedCount
        held = UInt64(row.held)
        lost = row.lostCount
        missing = row.missing
        safe = row.safe
    }

    init(from reader: inout ByteReader) throws(WireError) {
        applied = try reader.position()
        rejected = try reader.position()
        held = try reader.position()
        lost = try reader.position()
        missing = try reader.position()
        safe = try reader.position()
    }

    func append(to writer: inout ByteWriter) {
        for number in [applied, rejected, held, lost, missing, safe] { writer.append(number) }
    }
}

package struct ReceivedBatch: Sendable, Hashable {
    package struct Item: Sendable, Hashable {
        package var header: EnvelopeHeader
        /// The envelope as it came.
        package var bytes: [UInt8]
    }
    /// The life of the peer that sent them.
    package var incarnation: Incarnation
    package var envelopes: [Item]
}

/// What came of a work.
package struct ExchangeOutcome: Sendable, Hashable {
    /// Streams whose envelopes found no room: the sender is asked to send them again.
    package var refused: Set<StreamID> = []
    /// What destinations have refused, and this node has taken back.
    package var takenBack: [TakenBack] = []
    /// What is kept undecided since this work: here, or at a destination that has said so.
    package var held: [HeldPosition] = []
    /// What no one has any more.
    package var lost: [LostPositions] = []
    /// What a destination has lost of this node's.
    package var lostThere: [LostThere] = []
}

package struct HeldPosition: Sendable, Hashable {
    package var stream: StreamID
    package var position: UInt64
    package var reason: HoldReason
}

package struct LostPositions: Sendable, Hashable {
    package var stream: StreamID
    package var first: UInt64
    package var last: UInt64
}

package struct LostThere: Sendable, Hashable {
    package var stream: StreamID
    package var count: UInt64
}

package struct TakenBack: Sendable, Hashable {
    package var stream: StreamID
    package var position: UInt64
    package var code: String
}
