/// What is not taken for now stays where it is. The first relay of a stream holds it against the rights: what its origin
/// may not send goes no further.
extension Exchange {
    /// - Returns: nil when nothing is against it.
    /// - Throws: `right-denied`: it was never allowed, which only broken or hostile software sends.
    mutating func objection(
        to header: EnvelopeHeader, from peer: NodeID, _ number: SessionNumber
    ) throws(FrameFault) -> [ExchangeAction]? {
        let stream = header.stream
        guard mayPass(stream) else {
            return header.position == expected(stream, number) ? hold(stream, number).actions : nil
        }
        guard stream.origin == peer, stream.destination != node else { return nil }
        switch routes.verdict(on: header) {
        // What was allowed when it was sent goes on to who decides.
        case .allowed, .changed: return nil
        case .denied: throw FrameFault("right-denied")
        // What is published is for this node too, and waits here.
        case .awaitsTopology where stream.destination == .everyone: return nil
        // Out of turn it is nothing but out of turn.
        case .awaitsTopology: return header.position == expected(stream, number) ? wait(header, number) : nil
        }
    }

    private mutating func wait(_ header: EnvelopeHeader, _ number: SessionNumber) -> [ExchangeAction] {
        let stream = header.stream
        let (isNews, actions) = hold(stream, number)
        let note = ExchangeAction.note(
            code: "topology-awaited", peer: stream.origin,
            detail: "\(header.kind) in \(stream) is sent under topology \(header.topologyVersion)")
        return (isNews ? [note] : []) + actions
    }

    /// What has come stays at who sent it, and with it what comes behind it in its stream. Nothing is asked for again now:
    /// what came before may still be on its way into the store, and is told of when it is there.
    private mutating func hold(
        _ stream: StreamID, _ number: SessionNumber
    ) -> (isNews: Bool, actions: [ExchangeAction]) {
        let isNews = awaited.insert(stream).inserted
        sessions.change(number) { $0.awaitingResend.insert(stream) }
        var bytes: [UInt8] = []
        Frame.append(.ack, LinkCodec.acks([ack(stream, rows[stream] ?? StreamRow(ordinal: 0))])[...], to: &bytes)
        return (isNews, [.send(number, bytes)] + submitReceived(number))
    }

    func expected(_ stream: StreamID, _ number: SessionNumber) -> UInt64 {
        sessions[number]?.expected[stream] ?? (rows[stream]?.last ?? 0) + 1
    }

    /// What waited at its origin for the topology that is in force now may come.
    mutating func awaitedIsHere() -> [ExchangeAction] {
        let passing = awaited.filter(mayPass)
        due.formUnion(passing)
        awaited.subtract(passing)
        return takeAgain()
    }

    /// As soon as what came before is durable: nobody is told less than before.
    mutating func takeAgain() -> [ExchangeAction] {
        var acks: [SessionNumber: [Ack]] = [:]
        for stream in due.sorted() {
            guard let hop = previousHop(of: stream), let number = running(hop) else {
                due.remove(stream)
                continue
            }
            guard let session = sessions[number], !session.inWork, session.pending.isEmpty else { continue }
            due.remove(stream)
            sessions.change(number) { $0.awaitingResend.insert(stream) }
            acks[number, default: []].append(ack(stream, rows[stream] ?? StreamRow(ordinal: 0), resend: true))
        }
        return acks.sorted { $0.key < $1.key }.map { number, acks in
            var bytes: [UInt8] = []
            Frame.append(.ack, LinkCodec.acks(acks)[...], to: &bytes)
            return .send(number, bytes)
        }
    }

    /// A new session tells by itself how far what it takes has come.
    mutating func forgetDue(of peer: NodeID) {
        for stream in due where previousHop(of: stream) == peer { due.remove(stream) }
    }
}
