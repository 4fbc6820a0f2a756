/// The meeting of two stores: is each the one that was met before, and where do their streams go on?
extension Exchange {
    /// Whose store is behind what it has once said.
    enum Rewind: Sendable, Hashable {
        case none
        case own(String)
        case peer(String)
    }

    /// In an order that does not change from run to run, so that a seed replays everything.
    private var orderedRows: [(key: StreamID, value: StreamRow)] { rows.sorted { $0.key < $1.key } }

    mutating func hello(to peer: NodeID) -> Hello {
        var held: [Hello.Held] = []
        var offered: [Hello.Offered] = []
        for (stream, row) in orderedRows {
            if previousHop(of: stream) == peer {
                held.append(
                    Hello.Held(
                        stream: stream, last: row.last, digest: row.lastDigest, from: row.receivedFrom,
                        credit: ack(stream, row).credit))
            }
            if goes(stream, to: peer), row.last > 0 {
                offered.append(
                    Hello.Offered(
                        stream: stream, last: row.last, base: row.base, digest: row.baseDigest,
                        forwarded: row.forwarded, to: row.forwardedTo))
            }
        }
        let known = peers[peer]
        return Hello(
            topologyVersion: routes.topologyVersion, incarnation: incarnation, knownIncarnation: known?.incarnation,
            tokens: known?.tokens ?? [], held: held, offered: offered)
    }

    /// Of a session that carries signed metadata only: nothing of streams is said, and who does not know such sessions
    /// understands no version of it.
    func metadataHello() -> Hello {
        var hello = Hello(
            topologyVersion: routes.topologyVersion, incarnation: incarnation, knownIncarnation: nil, tokens: [],
            held: [], offered: [])
        hello.lowest = Hello.metadataVersion
        hello.isMetadataOnly = true
        return hello
    }

    mutating func greeted(
        _ hello: Hello, _ number: SessionNumber, _ outbox: some OutboxReading,
        _ random: () -> ID128
    ) throws(FrameFault) -> [ExchangeAction] {
        guard let peer = sessions[number]?.peer, let dialled = sessions[number]?.dialled else { return [] }
        guard hello.lowest <= Hello.protocolVersion, hello.highest >= Hello.lowestVersion else {
            throw FrameFault("protocol-version")
        }
        let version = min(hello.highest, Hello.protocolVersion)
        sessions[number]?.version = version
        // Clocks differ by minutes: what one end wants less of is less. Neither store is looked at.
        if sessions[number]?.scope == .metadataOnly || hello.isMetadataOnly {
            guard version >= Hello.metadataVersion else { throw FrameFault("protocol-version") }
            sessions[number]?.phase = .metadataOnly
            return []
        }
        for entry in hello.held where !goes(entry.stream, to: peer) { throw FrameFault("hello-wrong-stream") }
        for entry in hello.offered where previousHop(of: entry.stream) != peer {
            throw FrameFault("hello-wrong-stream")
        }
        sessions[number]?.incarnation = hello.incarnation
        switch rewind(shownBy: hello, from: peer, outbox) {
        case .none: break
        case .own(let proof):
            let isNews = !isRewound
            isRewound = true
            return (isNews ? [.submit(.rewound, .bookkeeping)] : [])
                + refuse(number, "the store of \(node) is behind what \(peer) has seen: \(proof)")
        case .peer(let proof):
            return refuse(number, "the store of \(peer) is behind what \(node) has seen: \(proof)")
        }
        if let before = peers[peer]?.incarnation, before != hello.incarnation {
            pendingForwarded[before] = nil
            passingReceipts = passingReceipts.filter { $0.key.destination != peer }
            for stream in rows.keys where stream.destination == peer && stream.origin != node {
                rows[stream]?.applied = 0
                rows[stream]?.rejections = []
            }
        }
        sessions[number]?.phase = .running
        var actions = resume(hello, number, peer)
        if dialled { actions += propose(hello, number, peer, random()) }
        return actions + showReports(number, peer) + [.pump(number)]
    }

    /// No payload passes until an administrator has opened a new incarnation of the store that is behind.
    private mutating func refuse(_ number: SessionNumber, _ detail: String) -> [ExchangeAction] {
        guard let peer = sessions[number]?.peer else { return [] }
        sessions[number]?.phase = .refused
        sessions[number]?.refusal = "node-rewound"
        return [.note(code: "node-rewound", peer: peer, detail: detail)]
            + end(number, code: "node-rewound", detail: detail)
    }

    private mutating func propose(
        _ hello: Hello, _ number: SessionNumber, _ peer: NodeID, _ random: ID128
    ) -> [ExchangeAction] {
        let mine = tokens(of: peer, in: hello.incarnation)
        let theirs = hello.knownIncarnation == incarnation ? hello.tokens : []
        let common = Set(mine.isEmpty ? [.none] : mine).intersection(theirs.isEmpty ? [.none] : theirs)
        let agreed = common.max { $0.counter < $1.counter } ?? .none
        let highest = (mine + theirs).map(\.counter).max() ?? 0
        let token = SessionToken(counter: highest + 1, random: random)
        peers[peer, default: PeerRow()].tokens = [agreed, token]
        peers[peer, default: PeerRow()].incarnation = hello.incarnation
        return [
            .submit(
                .session(peer: peer, incarnation: hello.incarnation, tokens: [agreed, token]),
                .tokenProposed(number, token))
        ]
    }

    func tokens(of peer: NodeID, in life: Incarnation) -> [SessionToken] {
        peers[peer].flatMap { $0.incarnation == life ? $0.tokens : nil } ?? []
    }

    // MARK: Proofs

    private mutating func rewind(shownBy hello: Hello, from peer: NodeID, _ outbox: some OutboxReading) -> Rewind {
        let mine = tokens(of: peer, in: hello.incarnation)
        let theirs = hello.knownIncarnation == incarnation ? hello.tokens : []
        let common = Set(mine.isEmpty ? [.none] : mine).intersection(theirs.isEmpty ? [.none] : theirs)
        if common.isEmpty {
            let (here, there) = (mine.map(\.counter).max() ?? 0, theirs.map(\.counter).max() ?? 0)
            let proof = "session \(max(here, there)) was met, this one remembers \(min(here, there))"
            return here < there ? .own(proof) : .peer(proof)
        }
        for entry in hello.held {
            let found = rewind(entry, hello, outbox)
            if found != .none { return found }
        }
        for entry in hello.offered {
            let found = rewind(entry, hello)
            if found != .none { return found }
        }
        return absent(hello, peer)
    }

    /// A stream that the peer receives from here.
    private func rewind(_ entry: Hello.Held, _ hello: Hello, _ outbox: some OutboxReading) -> Rewind {
        let fromHere = entry.from == incarnation
        let row = rows[entry.stream]
        guard let row, entry.last <= row.last else {
            guard fromHere else { return .none }  // sent by an earlier life, or not yet here in this one
            return .own("\(entry.stream) reached \(entry.last) there, \(row?.last ?? 0) here")
        }
        if row.forwardedTo == hello.incarnation, entry.last < row.forwarded {
            return .peer("\(entry.stream) was acknowledged through \(row.forwarded) and is now at \(entry.last)")
        }
        guard fromHere, entry.last >= row.base, entry.last > 0 else { return .none }
        if digest(through: entry.last, of: row, entry.stream, outbox) != entry.digest {
            return .own("\(entry.stream) has another digest at \(entry.last)")
        }
        return .none
    }

    /// A stream that is received here from the peer.
    private func rewind(_ entry: Hello.Offered, _ hello: Hello) -> Rewind {
        let row = rows[entry.stream]
        if entry.to == incarnation, entry.forwarded > row?.last ?? 0 {
            return .own("\(entry.stream) was acknowledged through \(entry.forwarded) and is now at \(row?.last ?? 0)")
        }
        if let row, row.receivedFrom == hello.incarnation, entry.last < row.last {
            return .peer("\(entry.stream) reached \(row.last) here, \(entry.last) there")
        }
        return .none
    }

    /// Streams that one end knows and the other has forgotten.
    private mutating func absent(_ hello: Hello, _ peer: NodeID) -> Rewind {
        let held = Set(hello.held.map(\.stream))
        let offered = Set(hello.offered.map(\.stream))
        for (stream, row) in orderedRows {
            if row.forwardedTo == hello.incarnation, row.forwarded > 0, nextHop(of: stream) == peer,
                !held.contains(stream)
            {
                return .peer("\(stream) was acknowledged through \(row.forwarded) and is not known there")
            }
            if row.receivedFrom == hello.incarnation, row.last > 0, previousHop(of: stream) == peer,
                !offered.contains(stream)
            {
                return .peer("\(stream) reached \(row.last) here and is not known there")
            }
        }
        return .none
    }

    private func digest(
        through position: UInt64, of row: StreamRow, _ stream: StreamID, _ outbox: some OutboxReading
    ) -> Digest32? {
        if position == row.last { return row.lastDigest }
        if position == row.base { return row.baseDigest }
        return outbox.pack(holding: position, of: row.ordinal, stream)?.digest(through: position)
    }

    // MARK: Going on

    private mutating func resume(_ hello: Hello, _ number: SessionNumber, _ peer: NodeID) -> [ExchangeAction] {
        var actions: [ExchangeAction] = []
        var durable: [StreamPosition] = []
        for (stream, row) in orderedRows where goes(stream, to: peer) {
            let held = hello.held.first { $0.stream == stream }
            let last = held?.last ?? 0
            sessions[number]?.sending[stream] = Sending(
                ordinal: row.ordinal, next: last + 1, last: row.last,
                credit: min(held?.credit ?? .max, max(last, row.base) + Exchange.window), acknowledged: last)
            sessions[number]?.turns.add(stream)
            if stream.destination == .everyone { continue }
            if last > row.forwarded || (last > 0 && row.forwardedTo != hello.incarnation) {
                durable.append(StreamPosition(stream: stream, position: min(last, row.last)))
            }
        }
        for position in durable {
            pendingForwarded[hello.incarnation, default: [:]][position.stream] = position.position
        }
        actions += submitForwarded()
        return actions + showStates(number, peer)
    }

    /// Receipts and what is settled are state: shown on every new session along the way.
    private mutating func showStates(_ number: SessionNumber, _ peer: NodeID) -> [ExchangeAction] {
        var receipts: [ReceiptState] = []
        var settled: [StreamPosition] = []
        for (stream, row) in orderedRows {
            if previousHop(of: stream) == peer {
                let state = receipt(StreamChange(id: stream, row: row))
                if state.applied > 0, passingReceipts[stream] == nil { receipts.append(state) }
            }
            if nextHop(of: stream) == peer, row.settled > 0 {
                settled.append(StreamPosition(stream: stream, position: row.settled))
            }
        }
        for (stream, state) in passingReceipts.sorted(by: { $0.key < $1.key }) where previousHop(of: stream) == peer {
            receipts.append(state)
        }
        var bytes: [UInt8] = []
        // A message has an end, a list of streams need not.
        for start in stride(from: 0, to: receipts.count, by: 256) {
            let part = Array(receipts[start..<min(start + 256, receipts.count)])
            appendReceipts(part, number, to: &bytes)
        }
        if !settled.isEmpty { Frame.append(.settled, LinkCodec.positions(settled)[...], to: &bytes) }
        return bytes.isEmpty ? [] : [.send(number, bytes)]
    }
}

extension SessionToken {
    /// Before the first meeting.
    static let none = SessionToken(counter: 0, random: ID128(high: 0, low: 0))
}

extension StreamID: CustomStringConvertible {
    package var description: String { "\(origin) → \(destination) (\(lane))" }
}
