/// Echoes, and what nodes say of themselves.
extension LinkLoop {
    /// This node's own word, for the centre.
    package func report(_ report: NodeReport) {
        post(.perform { loop in loop.act(loop.exchange.report(report)) })
    }

    func heard(_ report: NodeReport, of node: NodeID) {
        let published = exchange.reports[configuration.node]?.knowledge ?? 0
        reports.heard(node, report, at: Clocks.wall(), published: published)
    }

    /// What is known of others, newest only.
    package func reportsOfOthers() -> [NodeID: ReportBook.Entry] { look { $0.reports.entries } }

    /// Sends a ping and waits for it to come back.
    /// - Returns: nil when the link does not run, or nothing has come in time.
    package func echo(_ peer: NodeID, milliseconds: Int) -> LinkEcho? {
        let answer = Monitor<LinkEcho?>(nil)
        post(
            .perform { loop in
                guard let connection = loop.connections.values.first(where: { $0.peer == peer && $0.isUp }) else {
                    return
                }
                connection.echoWaiters.append(answer)
                loop.ping(connection)
            })
        return answer.wait(milliseconds: milliseconds, until: { $0 != nil }, then: { $0 }) ?? nil
    }

    func ping(_ connection: Connection) {
        connection.mark = Clocks.monotonicMicroseconds()
        send(connection, LinkEcho.ping(at: Clocks.wall(), mark: connection.mark))
    }

    /// - Returns: false when it was neither ping nor pong.
    func answered(_ message: FramedMessage, _ connection: Connection) -> Bool {
        switch message.kind {
        case .ping: send(connection, LinkEcho.pong(to: message.bytes, at: Clocks.wall()))
        case .pong:
            guard
                let echo = LinkEcho(
                    pong: message.bytes, mark: connection.mark, monotonic: Clocks.monotonicMicroseconds())
            else { return true }
            connection.echo = echo
            for waiter in connection.echoWaiters { waiter.change { $0 = echo } }
            connection.echoWaiters = []
        default: return false
        }
        return true
    }

    /// Writes what is due of the book with the next commit.
    func saveReports(all: Bool = false) {
        let due = reports.due(at: Clocks.wall(), all: all)
        guard !due.isEmpty else { return }
        store.writer.submitLazily(
            WriteJob(.essential) { transaction in
                try ReportBook.write(due, in: transaction)
            } completion: { _ in
            })
    }
}
