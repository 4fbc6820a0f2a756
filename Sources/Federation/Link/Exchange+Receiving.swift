/// Envelopes and receipts that come.
extension Exchange {
    mutating func envelopeArrived(
        _ message: FramedMessage, _ number: SessionNumber, _ outbox: some OutboxReading
    ) throws(FrameFault) -> [ExchangeAction] {
        guard let peer = sessions[number]?.peer else { return [] }
        var reader = ByteReader(message.bytes)
        guard let header = try? EnvelopeCodec.decodeHeader(&reader) else { throw FrameFault("envelope-malformed") }
        let stream = header.stream
        guard stream.origin != node else { throw FrameFault("wrong-origin") }
        guard previousHop(of: stream) == peer else {
            throw FrameFault(stream.origin == peer ? "not-ours-to-relay" : "wrong-origin")
        }
        sessions.change(number) { $0.burstOpen = message.flags & FrameFlags.burst != 0 }
        guard rows[stream] != nil || admits(stream) else { return tooManyLives(stream, number) }
        if let actions = try objection(to: header, from: peer, number) { return actions }
        let expected = expected(stream, number)
        if header.position == expected {
            sessions.change(number) { $0.take(ReceivedBatch.Item(header: header, bytes: message.bytes)) }
        } else if header.position > expected, sessions[number]?.awaitingResend.contains(stream) != true {
            throw FrameFault("position-gap")
        } else if header.position < expected, let row = rows[stream], header.position <= row.last {
            // Once more what is durable already: say so again. As far as it is kept here, it must be the same.
            let kept = header.position > row.base ? outbox.pack(holding: header.position, of: row.ordinal, stream) : nil
            guard kept.map({ Array($0.envelope(at: header.position)) == message.bytes }) ?? true else {
                throw FrameFault("position-reused")
            }
            var bytes: [UInt8] = []
            Frame.append(.ack, LinkCodec.acks([ack(stream, row)])[...], to: &bytes)
            return [.send(number, bytes)] + submitReceived(number)
        }
        return submitReceived(number)
    }

    /// Not followed: without credit it stays where it is, and all else goes on.
    private func tooManyLives(_ stream: StreamID, _ number: SessionNumber) -> [ExchangeAction] {
        var bytes: [UInt8] = []
        Frame.append(
            .ack, LinkCodec.acks([ack(stream, StreamRow(ordinal: 0), resend: true, isHeld: true)])[...], to: &bytes)
        return [
            .note(
                code: "too-many-lives", peer: stream.origin,
                detail: "streams of \(Exchange.mostLives) lives of its store are known here: \(stream) is not taken"),
            .send(number, bytes),
        ]
    }

    /// Hands what has come to the store, unless more of a burst is on its way or the last batch is not done.
    mutating func submitReceived(_ number: SessionNumber) -> [ExchangeAction] {
        guard let batch = sessions.change(number, { $0.nextBatch() }) else { return [] }
        return [.submit(.receive(batch), .receive(number))]
    }

    mutating func received(
        _ number: SessionNumber, _ result: Result<ExchangeOutcome, StoreError>
    ) -> [ExchangeAction] {
        guard sessions[number] != nil else { return [] }
        sessions[number]?.inWork = false
        switch result {
        case .success(let outcome):
            return notes(of: result) + refused(outcome.refused, number, isHeld: false) + submitReceived(number)
                + takeAgain()
        case .failure(let error) where error.code == .full:
            let all = sessions[number].map { Set($0.expected.keys) } ?? []
            return refused(all, number, isHeld: true)
        case .failure(let error):
            return end(number, code: "store-failed", detail: error.code.rawValue)
        }
    }

    /// What was refused or is kept undecided is for a person to know: where it is, and where it came from.
    func notes(of result: Result<ExchangeOutcome, StoreError>) -> [ExchangeAction] {
        guard case .success(let outcome) = result else { return [] }
        let refused = outcome.takenBack.map { refused in
            ExchangeAction.note(
                code: "message-refused", peer: refused.stream.destination,
                detail: "\(refused.stream), position \(refused.position): \(refused.code)")
        }
        let lost = outcome.lost.map { lost in
            ExchangeAction.note(
                code: "gap-lost", peer: lost.stream.origin,
                detail: "\(lost.stream): \(lost.first) to \(lost.last) are not there any more")
        }
        let lostThere = outcome.lostThere.map { lost in
            ExchangeAction.note(
                code: "gap-lost-there", peer: lost.stream.destination,
                detail: "\(lost.stream): \(lost.count) that had been applied are not there any more, nor here")
        }
        let held = outcome.held.map { held in
            let isHere = held.stream.origin != node
            let detail = "\(held.stream), position \(held.position): \(held.reason.rawValue)"
            return ExchangeAction.note(
                code: isHere ? "message-held" : "message-held-there",
                peer: isHere ? held.stream.origin : held.stream.destination,
                detail: isHere ? "\(detail); ekc quarantine list" : detail)
        }
        return refused + lost + lostThere + held
    }

    /// No room for these: what was sent beyond the last durable one must be sent again, once there is credit. A room that
    /// has opened since gives it at once.
    private mutating func refused(
        _ streams: Set<StreamID>, _ number: SessionNumber, isHeld: Bool
    ) -> [ExchangeAction] {
        guard !streams.isEmpty else { return [] }
        var acks: [Ack] = []
        for stream in streams.sorted() {
            sessions[number]?.pending.removeAll { $0.header.stream == stream }
            let row = rows[stream] ?? StreamRow(ordinal: 0)
            sessions[number]?.expected[stream] = row.last + 1
            sessions[number]?.awaitingResend.insert(stream)
            acks.append(ack(stream, row, resend: true, isHeld: isHeld))
        }
        let left = sessions[number]?.pending.reduce(0) { $0 + $1.bytes.count } ?? 0
        sessions[number]?.pendingBytes = left
        var bytes: [UInt8] = []
        Frame.append(.ack, LinkCodec.acks(acks)[...], to: &bytes)
        return [.send(number, bytes)]
    }

    /// Room has been used up or has come back: whoever was refused, or only told that there is no credit, may go on.
    package mutating func roomChanged(mayRelay: Bool, closed: Set<Room>) -> [ExchangeAction] {
        let everywhere = mayRelay && !self.mayRelay
        let opened = closedRooms.subtracting(closed)
        self.mayRelay = mayRelay
        closedRooms = closed
        guard everywhere || !opened.isEmpty else { return [] }
        var actions: [ExchangeAction] = []
        // A hello that has gone already told what was so then: who is greeted hears of the room behind it.
        for number in sessions.numbers {
            guard let session = sessions[number], session.carriesPayload else { continue }
            var held = everywhere ? session.awaitingResend : session.awaitingResend.filter { opened.contains(Room($0)) }
            for stream in rows.keys where everywhere || opened.contains(Room(stream)) {
                guard stream.origin != node, stream.destination != node, stream.destination != .everyone else {
                    continue
                }
                if previousHop(of: stream) == session.peer { held.insert(stream) }
            }
            guard !held.isEmpty else { continue }
            let acks = held.sorted().map { ack($0, rows[$0] ?? StreamRow(ordinal: 0)) }
            var bytes: [UInt8] = []
            Frame.append(.ack, LinkCodec.acks(acks)[...], to: &bytes)
            actions.append(.send(number, bytes))
        }
        return actions
    }

    // MARK: Receipts

    mutating func receiptsArrived(
        _ states: [ReceiptState], _ number: SessionNumber
    ) throws(FrameFault) -> [ExchangeAction] {
        guard let peer = sessions[number]?.peer else { return [] }
        var forwards: [SessionNumber: [ReceiptState]] = [:]
        for state in states {
            guard nextHop(of: state.stream) == peer else { throw FrameFault("receipt-wrong-stream") }
            if !state.rejections.isEmpty { sessions[number]?.rejecting.insert(state.stream) }
            guard state.stream.origin != node else {
                guard let row = rows[state.stream] else { continue }
                // An earlier life of this store may have sent more than this one remembers.
                guard state.applied <= row.last || state.stream.incarnation != incarnation else {
                    throw FrameFault("receipt-beyond-sent")
                }
                let pending = pendingReceipts[state.stream]
                let isNews = min(state.applied, row.last) > pending?.applied ?? row.base
                let isSafer = state.tally?.safe ?? 0 > max(row.safe, pending?.tally?.safe ?? 0)
                let isLoss = state.tally?.lost ?? 0 != tallies[state.stream]?.tally?.lost ?? 0
                if isNews || isSafer || isLoss { pendingReceipts[state.stream] = state }
                compare(state)
                continue
            }
            if passingReceipts[state.stream] != nil || passingReceipts.count < Exchange.mostPassingReceipts {
                passingReceipts[state.stream] = state
            }
            if rows[state.stream] != nil { pendingReceipts[state.stream] = state }
            if let hop = previousHop(of: state.stream), let back = running(hop) {
                forwards[back, default: []].append(state)
            }
        }
        var actions: [ExchangeAction] = forwards.keys.sorted().map { back in
            var bytes: [UInt8] = []
            appendReceipts(forwards[back] ?? [], back, to: &bytes)
            return .send(back, bytes)
        }
        actions += submitReceipts()
        return actions
    }

    mutating func submitReceipts() -> [ExchangeAction] {
        guard receiptsInWork.isEmpty, !pendingReceipts.isEmpty else { return [] }
        let states = pendingReceipts.values.sorted { $0.stream < $1.stream }
        pendingReceipts = [:]
        receiptsInWork = states
        // What changes an appeal is wanted at once; that an envelope may go can wait for the next commit, unless so many
        // wait that their room would be given back over minutes.
        let urgent = states.contains {
            $0.stream.origin == node
                && ($0.stream.lane <= .appeals || !$0.rejections.isEmpty || unsettled($0) > Exchange.window)
        }
        return [urgent ? .submit(.receipts(states), .receipts) : .submitLazily(.receipts(states), .receipts)]
    }

    /// Positions of this node's that are decided, and keep their room.
    private func unsettled(_ state: ReceiptState) -> UInt64 {
        guard let row = rows[state.stream] else { return 0 }
        let decided = min(state.applied, row.last)
        return decided > row.base ? decided - row.base : 0
    }

    /// What one commit has not settled of the receipts in work is next.
    mutating func settleRest() {
        // Of an earlier life the destination is asked: its answer goes on.
        for state in receiptsInWork
        where state.stream.origin == node && state.stream.incarnation == incarnation
            && pendingReceipts[state.stream] == nil
        {
            guard let row = rows[state.stream], row.base < min(state.applied, row.last) else { continue }
            pendingReceipts[state.stream] = state
        }
    }

    mutating func settledArrived(_ positions: [StreamPosition], _ number: SessionNumber) -> [ExchangeAction] {
        guard let peer = sessions[number]?.peer else { return [] }
        let ours = positions.filter { previousHop(of: $0.stream) == peer && rows[$0.stream] != nil }
        let news = ours.filter { $0.position > rows[$0.stream]?.settled ?? 0 }
        guard !news.isEmpty else { return [] }
        var actions: [ExchangeAction] = [.submitLazily(.settled(news), .bookkeeping)]
        for settled in news {
            guard let hop = nextHop(of: settled.stream), let on = running(hop) else { continue }
            var bytes: [UInt8] = []
            Frame.append(.settled, LinkCodec.positions([settled])[...], to: &bytes)
            actions.append(.send(on, bytes))
        }
        return actions
    }

    /// No stream gets so far.
    private static let farthestBase: UInt64 = 1 << 40

    mutating func offered(
        _ bases: [StreamBase], _ number: SessionNumber
    ) throws(FrameFault) -> [ExchangeAction] {
        guard let session = sessions[number], let life = session.incarnation else { return [] }
        var ahead: [StreamBase] = []
        for base in bases where previousHop(of: base.stream) == session.peer {
            guard base.base <= Exchange.farthestBase else { throw FrameFault("base-out-of-reach") }
            if base.base > rows[base.stream]?.last ?? 0, admits(base.stream) { ahead.append(base) }
        }
        guard !ahead.isEmpty else { return [] }
        for start in ahead {
            sessions[number]?.pending.removeAll { $0.header.stream == start.stream }
            sessions[number]?.expected[start.stream] = start.base + 1
        }
        // Decided in an earlier life of this store, mostly: its origin is asked for them.
        let gaps = ahead.filter { $0.stream.destination == node }
        return gaps.map { start in
            let first = (rows[start.stream]?.last ?? 0) + 1
            return .note(code: "gap", peer: start.stream.origin, detail: "\(start.stream): \(first) to \(start.base)")
        } + [.submit(.adopt(ahead, from: life), .bookkeeping)]
    }
}
