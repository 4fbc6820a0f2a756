/// A store that was put back: what is signed may be newer elsewhere, so that who is out by now, or may not send any more, is
/// not known here. Until neighbours have nothing newer, only the lane of control passes, both ways (decision 0021).
extension Exchange {
    func mayPass(_ stream: StreamID) -> Bool { !isControlOnly || stream.lane == .control }

    /// Lanes of which something may be sent.
    var passingLanes: LaneSet { isControlOnly ? .control : .all }

    /// Neighbours have nothing newer: everything passes, and who was told to wait goes on.
    package mutating func metadataAgreed() -> [ExchangeAction] {
        guard isControlOnly else { return [] }
        isControlOnly = false
        var actions = awaitedIsHere()
        // A hello that has gone said that there is no credit: who is greeted hears of it behind that.
        for number in sessions.numbers {
            guard let session = sessions[number], session.carriesPayload else { continue }
            let open = rows.keys.filter { $0.lane != .control && previousHop(of: $0) == session.peer }.sorted()
            if !open.isEmpty {
                var bytes: [UInt8] = []
                let acks = open.map { ack($0, rows[$0] ?? StreamRow(ordinal: 0)) }
                Frame.append(.ack, LinkCodec.acks(acks)[...], to: &bytes)
                actions.append(.send(number, bytes))
            }
            if session.phase == .running { actions.append(.pump(number)) }
        }
        return actions
    }
}
