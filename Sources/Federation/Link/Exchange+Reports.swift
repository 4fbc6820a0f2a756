/// What nodes say of themselves, on its way to the centre: only over sessions that run, newest only.
extension Exchange {
    /// This node's own word: it goes to the next hop on the way to the centre, if that is there.
    package mutating func report(_ own: NodeReport) -> [ExchangeAction] {
        reports[node] = own
        return passOn(node, own)
    }

    /// What is known when a session has begun to run.
    func showReports(_ number: SessionNumber, _ peer: NodeID) -> [ExchangeAction] {
        guard isOnTheWay(peer), sessions[number]?.version ?? 1 >= Hello.reportsVersion, !reports.isEmpty else {
            return []
        }
        var bytes: [UInt8] = []
        for (origin, report) in reports.sorted(by: { $0.key < $1.key }) where origin != peer {
            Frame.append(.report, LinkCodec.report(report, of: origin)[...], to: &bytes)
        }
        return bytes.isEmpty ? [] : [.send(number, bytes)]
    }

    mutating func reportArrived(
        _ message: FramedMessage, _ number: SessionNumber
    ) throws(FrameFault) -> [ExchangeAction] {
        guard let session = sessions[number], session.version >= Hello.reportsVersion else {
            throw FrameFault("frame-unknown-kind")
        }
        let (origin, report) = try FrameFault.decoding(message.bytes, LinkCodec.report)
        guard let centre = routes.publisher else { return [] }
        // Of itself, or of a node whose way to the centre leads over the peer and over here.
        let way = StreamID(origin: origin, incarnation: incarnation, destination: centre, lane: .control)
        guard previousHop(of: way) == session.peer else {
            // The two ends may go by two versions of the topology: no reason to part.
            guard sessions[number]?.hasToldOfReports == false else { return [] }
            sessions[number]?.hasToldOfReports = true
            return [.note(code: "report-of-another", peer: session.peer, detail: "it speaks for \(origin)")]
        }
        reports[origin] = report
        return [.reported(origin, report)] + passOn(origin, report)
    }

    private func passOn(_ origin: NodeID, _ report: NodeReport) -> [ExchangeAction] {
        guard let centre = routes.publisher, let hop = routes.nextHop(from: node, to: centre),
            let number = running(hop), sessions[number]?.version ?? 1 >= Hello.reportsVersion
        else { return [] }
        var bytes: [UInt8] = []
        Frame.append(.report, LinkCodec.report(report, of: origin)[...], to: &bytes)
        return [.send(number, bytes)]
    }

    private func isOnTheWay(_ peer: NodeID) -> Bool {
        routes.publisher.map { routes.nextHop(from: node, to: $0) == peer } ?? false
    }
}

extension LinkCodec {
    /// Whose it is, short text · the report.
    package static func report(_ report: NodeReport, of origin: NodeID) -> [UInt8] {
        var writer = ByteWriter(capacity: 200)
        writer.append(origin)
        report.append(to: &writer)
        return writer.bytes
    }

    package static func report(_ bytes: [UInt8]) throws(WireError) -> (origin: NodeID, report: NodeReport) {
        var reader = ByteReader(bytes)
        return (try reader.nodeID(), try NodeReport(from: &reader))
    }
}
