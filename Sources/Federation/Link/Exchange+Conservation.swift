/// Conservation: what was enqueued is applied, refused, held, gone or in flight, at each end by itself and between the
/// two. A difference of one is an alarm.
extension Exchange {
    /// What is known of a stream's end: with the tally, when that is here.
    func receipt(_ change: StreamChange) -> ReceiptState {
        let hasTally = change.id.destination == node && change.row.isCounted
        let applied = change.row.missingFrom > 0 ? change.row.missingFrom - 1 : change.row.applied
        return ReceiptState(
            stream: change.id, applied: applied, rejections: change.row.rejections,
            tally: hasTally ? Tally(change.row) : nil)
    }

    func appendReceipts(_ states: [ReceiptState], _ number: SessionNumber, to bytes: inout [UInt8]) {
        let version = sessions[number]?.version ?? 1
        Frame.append(.receipt, LinkCodec.receipts(states, version: version)[...], to: &bytes)
    }

    /// Looks at the counts of a stream that begins or ends here.
    /// - Returns: an alarm, once for each stream until it is in order again.
    mutating func balance(_ change: StreamChange) -> [ExchangeAction] {
        guard change.id.destination != .everyone, change.id.origin == node || change.id.destination == node else {
            return []
        }
        if change.row.isCounted, change.row.imbalance != 0 {
            return alarm(change.id, "\(change.row.imbalance) positions are in no count here")
        }
        guard change.id.origin == node, let state = tallies[change.id] else { return inOrder(change.id) }
        return compare(change.id, change.row, state)
    }

    /// What a destination has counted, as it was told.
    mutating func compare(_ state: ReceiptState) { if state.tally != nil { tallies[state.stream] = state } }

    /// Both ends have counted the same positions: then each count is the same at both, but for what the destination has
    /// decided late or lost. What is held or gone there was applied or refused here, and what was held at one end may be
    /// decided at the other: nothing else moves.
    private mutating func compare(_ stream: StreamID, _ row: StreamRow, _ state: ReceiptState) -> [ExchangeAction] {
        guard let tally = state.tally, row.isCounted, row.base == state.applied, tally.missing == 0 else { return [] }
        let applied = Int64(clamping: row.appliedCount) - Int64(clamping: tally.applied)
        let refused = Int64(clamping: row.rejectedCount) - Int64(clamping: tally.rejected)
        let held = Int64(row.held) - Int64(clamping: tally.held)
        let most = -max(0, held)
        guard applied < most || refused < most || applied + refused + held != Int64(clamping: tally.lost) else {
            return inOrder(stream)
        }
        return alarm(
            stream,
            "through \(row.base) this end counts \(row.appliedCount) applied and \(row.rejectedCount) refused, the other "
                + "\(tally.applied) and \(tally.rejected), \(tally.lost) gone")
    }

    private mutating func inOrder(_ stream: StreamID) -> [ExchangeAction] {
        unbalanced[stream] = nil
        return []
    }

    private mutating func alarm(_ stream: StreamID, _ detail: String) -> [ExchangeAction] {
        guard unbalanced.updateValue(detail, forKey: stream) == nil else { return [] }
        let peer = stream.origin == node ? stream.destination : stream.origin
        return [.note(code: "conservation-broken", peer: peer, detail: "\(stream): \(detail)")]
    }
}
