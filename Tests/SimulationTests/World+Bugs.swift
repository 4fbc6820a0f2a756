import FederationTestKit

@testable import Federation

/// Faults of the shell that must be found.
extension World {
    func deleteSent(_ node: SimulatedNode, _ session: SessionNumber) {
        guard let sent = node.exchange?.sessions[session]?.sending.filter({ $0.value.next > 1 }) else { return }
        let job = WriteJob(.essential) { transaction in
            for (stream, sending) in sent {
                guard var row = try transaction.group.streams.row(of: stream, in: transaction) else { continue }
                try Outbox.release(through: sending.next - 1, of: stream, &row, in: transaction)
            }
        } completion: { _ in
        }
        enqueue(node, job)
    }

    func stepOverGap(_ node: SimulatedNode, _ message: FramedMessage) {
        guard message.kind == .envelope, let header = try? EnvelopeCodec.decode(message.bytes).header,
            header.stream.destination == node.name, var row = node.exchange?.rows[header.stream],
            header.position > row.last + 1
        else { return }
        row.last = header.position - 1
        row.base = row.last
        row.applied = row.last
        let writer = node.engine.beginWrite()
        try? writer.put(.streams, header.stream.key.span.bytes, row.encoded().span.bytes)
        try? writer.commit()
        for number in node.exchange?.sessions.numbers ?? [] {
            node.exchange?.sessions[number]?.expected[header.stream] = header.position
        }
        act(node, node.exchange?.committed([StreamChange(id: header.stream, row: row)]) ?? [])
    }

    /// What a node's own code would have done to its store, wrongly.
    func plantInStore(_ node: SimulatedNode) {
        var tables = node.engine.committed
        switch bug {
        case .takenBackForgotten: tables[.takenBack] = nil
        case .gapForgotten: tables[.gaps] = nil
        case .miscount:
            guard eventCount % 7 == 0 else { return }
            let writer = node.engine.beginWrite()
            for stream in streams(of: node)
            where stream.id.destination == node.name && stream.row.appliedCount > 0 {
                var row = stream.row
                row.appliedCount -= 1
                try? writer.put(.streams, stream.id.key.span.bytes, row.encoded().span.bytes)
                break
            }
            return (try? writer.commit()) ?? ()
        case .tokensForgotten:
            guard eventCount % 97 == 0 else { return }
            let writer = node.engine.beginWrite()
            for (peer, old) in peers(of: node) {
                var row = old
                row.tokens = row.tokens.map { SessionToken(counter: max(1, $0.counter / 2), random: $0.random) }
                try? writer.put(.meta, MetaKey.peer(peer).span.bytes, row.encoded().span.bytes)
            }
            return (try? writer.commit()) ?? ()
        default: return
        }
        node.engine.restore(tables)
    }

    private func streams(of node: SimulatedNode) -> [StreamChange] {
        let rows = try? Store.read(node.engine) { transaction throws(StoreError) in
            try Sessions.streams(in: transaction)
        }
        return rows ?? []
    }

    private func peers(of node: SimulatedNode) -> [(node: NodeID, row: PeerRow)] {
        let rows = try? Store.read(node.engine) { transaction throws(StoreError) in
            try Sessions.peers(in: transaction)
        }
        return rows ?? []
    }
}
