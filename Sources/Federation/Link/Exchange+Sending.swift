/// Envelopes that go.
extension Exchange {
    /// Appends frames of envelopes until so many bytes have been added or there is nothing more to send now.
    package mutating func pump(
        _ number: SessionNumber, room: Int, reading outbox: some OutboxReading, into output: inout [UInt8]
    ) {
        guard sessions[number]?.phase == .running else { return }
        let start = output.count
        var reader = PackCache(outbox)
        while output.count - start < room {
            guard let lane = nextLane(number) else {
                endBurst(number, &output)
                return
            }
            // Whatever is urgent has gone: the peer commits it now, and not when the rest of a long burst is there.
            if lane > .appeals, sessions[number]?.urgentAnnounced == true, !hasUrgent(number) {
                endBurst(number, &output)
            }
            sendFrame(number, lane, &reader, &output)
        }
    }

    private func hasUrgent(_ number: SessionNumber) -> Bool {
        guard let session = sessions[number] else { return false }
        return [Lane.control, .appeals].contains { session.hasSomething(in: $0) }
    }

    private mutating func nextLane(_ number: SessionNumber) -> Lane? {
        let passing = passingLanes
        return sessions.change(number) { $0.nextLane(of: passing) }
    }

    private mutating func sendFrame(
        _ number: SessionNumber, _ lane: Lane, _ reader: inout PackCache<some OutboxReading>, _ output: inout [UInt8]
    ) {
        let index = Int(lane.rawValue)
        let goesOn = sessions[number]?.turns.begun[index]
        guard let begun = goesOn ?? begin(number, lane, &reader, &output) else { return }
        let part = begun.bytes.prefix(Frame.maximumPayload - 1)
        let rest = begun.bytes.dropFirst(part.count)
        // Most envelopes are one frame: nothing of them is kept.
        if goesOn != nil || !rest.isEmpty {
            sessions[number]?.turns.begun[index] = rest.isEmpty ? nil : (begun.stream, rest)
        }
        sessions.change(number) { session in
            session.burstAnnounced = true
            if lane <= .appeals { session.urgentAnnounced = true }
        }
        let flags = FrameFlags.burst | (rest.isEmpty ? 0 : FrameFlags.fragment)
        Frame.appendFrame(.envelope, part, lane: lane, flags: flags, to: &output)
    }

    /// Takes the next envelope of a lane out of the store.
    private mutating func begin(
        _ number: SessionNumber, _ lane: Lane, _ reader: inout PackCache<some OutboxReading>, _ output: inout [UInt8]
    ) -> (stream: StreamID, bytes: ArraySlice<UInt8>)? {
        guard let (stream, sending) = sessions.change(number, { $0.nextStream(in: lane) }), let row = rows[stream]
        else {
            return nil
        }
        if sending.next <= row.base {
            // Decided by its destination meanwhile, and let go: the peer need not have it.
            let start = StreamBase(stream: stream, base: row.base, digest: row.baseDigest)
            Frame.append(.offer, LinkCodec.bases([start])[...], to: &output)
            sessions[number]?.sending[stream]?.next = row.base + 1
            sessions[number]?.sending[stream]?.credit = max(sending.credit, row.base + Exchange.window)
            return nil
        }
        guard let pack = reader.pack(holding: sending.next, of: sending.ordinal, stream) else {
            // Let go in a commit that has not been told yet: its row will come.
            sessions[number]?.sending[stream]?.last = sending.next - 1
            return nil
        }
        sessions.change(number) { $0.sent(stream) }
        return (stream, pack.envelope(at: sending.next))
    }

    /// Nothing more to send now: the peer need not wait before it commits what has come.
    private mutating func endBurst(_ number: SessionNumber, _ output: inout [UInt8]) {
        guard sessions[number]?.burstAnnounced == true else { return }
        sessions[number]?.burstAnnounced = false
        sessions[number]?.urgentAnnounced = false
        Frame.append(.flush, [], to: &output)
    }

    mutating func acknowledged(_ acks: [Ack], _ number: SessionNumber) throws(FrameFault) -> [ExchangeAction] {
        guard let session = sessions[number], let life = session.incarnation else { return [] }
        for ack in acks {
            guard goes(ack.stream, to: session.peer) else { throw FrameFault("ack-wrong-stream") }
            // A stream of an earlier life of this store, which the peer remembers.
            guard let sending = session.sending[ack.stream] else {
                guard ack.stream.origin != node || ack.stream.incarnation != incarnation else {
                    throw FrameFault("ack-wrong-stream")
                }
                continue
            }
            guard ack.through < max(sending.next, 1) || ack.through == sending.acknowledged else {
                throw FrameFault("ack-beyond-sent")
            }
            sessions[number]?.sending[ack.stream]?.credit = min(ack.credit, ack.through + Exchange.window)
            if ack.resend { sessions[number]?.sending[ack.stream]?.next = ack.through + 1 }
            guard ack.through > sending.acknowledged else { continue }
            sessions[number]?.sending[ack.stream]?.acknowledged = ack.through
            // What is published is kept for whoever comes later.
            guard ack.stream.destination != .everyone else { continue }
            pendingForwarded[life, default: [:]][ack.stream] = ack.through
        }
        return submitForwarded() + [.pump(number)]
    }

    /// What next hops hold durably goes to the store with the next commit.
    mutating func submitForwarded() -> [ExchangeAction] {
        guard !bookkeepingInWork, let life = pendingForwarded.keys.min(),
            let positions = pendingForwarded.removeValue(forKey: life)
        else { return [] }
        bookkeepingInWork = true
        let forwarded = positions.sorted { $0.key < $1.key }
            .map { StreamPosition(stream: $0.key, position: $0.value) }
        return [.submitLazily(.forwarded(forwarded, by: life), .bookkeeping)]
    }
}

/// The last pack of each stream that was read: a pack holds up to 16 envelopes that go one after another.
private struct PackCache<Source: OutboxReading> {
    private let source: Source
    private var packs: [UInt32: Pack] = [:]

    init(_ source: Source) { self.source = source }

    mutating func pack(holding position: UInt64, of ordinal: UInt32, _ stream: StreamID) -> Pack? {
        if let pack = packs[ordinal], pack.first <= position, position <= pack.last { return pack }
        guard let pack = source.pack(holding: position, of: ordinal, stream) else { return nil }
        packs[ordinal] = pack
        return pack
    }
}
