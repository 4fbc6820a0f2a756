/// The test of one link, from this end.
extension FederationNode {
    package struct LinkTest: Codable, Sendable {
        package var peer: String
        /// As in `link list`.
        package var state: String
        /// Of an echo over the link that runs.
        package var roundTripMicroseconds: Int64?
        package var skewMilliseconds: Int64?
        /// One that says `echo` when it runs; else the steps of dialling, up to the first that fails.
        package var steps: [CheckStep]

        package var isGood: Bool { !steps.contains { $0.outcome == .failed } && state == "running" }
    }

    private static let echoMilliseconds = 5_000

    /// It blocks, some seconds when nobody answers.
    /// - Precondition: the topology links the two.
    package func testLink(_ peer: NodeID) throws(FederationError) -> LinkTest {
        let standing = links.standings().first { $0.peer == peer }
        var test = LinkTest(peer: peer.text, state: standing?.state.rawValue ?? "dark", steps: [])
        switch standing?.state {
        case .metadataOnly: test.steps = [DialProbe.ended(peer, standing?.why ?? "a certificate has ended")]
        case .running:
            guard let echo = links.echo(peer, milliseconds: FederationNode.echoMilliseconds) else {
                test.steps = [
                    CheckStep(
                        "echo", .failed, "no answer within \(FederationNode.echoMilliseconds / 1000) s", peer: peer,
                        remedy: "the line is full, or gone: try again, see ekc link list DIR")
                ]
                return test
            }
            test.roundTripMicroseconds = echo.roundTrip
            test.skewMilliseconds = echo.skew
            test.steps = [CheckStep("echo", .good, "it came back", peer: peer)]
        case .paused:
            test.steps = [
                CheckStep(
                    "topology", .failed, "the link is paused here: \(standing?.why ?? "")", peer: peer,
                    remedy: "ekc link resume DIR \(peer)")
            ]
        case .refused:
            test.steps = [
                CheckStep(
                    "accepted", .failed, standing?.why ?? "refused", peer: peer,
                    remedy: "one of the two stores is behind: ekc node status at both")
            ]
        case .greeting, .dark, nil:
            test.steps = DialProbe(
                node: id, topology: topology, context: try folder.context(settings, trust.state)
            ).run(to: peer)
        }
        return test
    }
}
