/// How sessions stand, for those who ask.
extension Exchange {
    /// Whether the peer of a session that is up knows frames of signed metadata.
    package func speaksOfMetadata(_ number: SessionNumber) -> Bool {
        isUp(number) && sessions[number]?.version ?? 1 >= Hello.metadataVersion
    }

    /// True once the peer's hello has been accepted, whatever the session carries.
    package func isUp(_ number: SessionNumber) -> Bool { isRunning(number) || isMetadataOnly(number) }

    /// Payload passes.
    package func isRunning(_ number: SessionNumber) -> Bool { sessions[number]?.phase == .running }

    package func isMetadataOnly(_ number: SessionNumber) -> Bool { sessions[number]?.phase == .metadataOnly }

    /// What is known of each open session.
    package var links: [LinkStatus] {
        sessions.numbers.compactMap { sessions[$0] }
            .map { LinkStatus(peer: $0.peer, phase: $0.phase, refusal: $0.refusal) }
            .sorted { $0.peer < $1.peer }
    }

    /// Neighbours of a release that does not speak of signed metadata.
    package var speechless: Set<NodeID> {
        Set(sessions.numbers.compactMap { isRunning($0) && !speaksOfMetadata($0) ? sessions[$0]?.peer : nil })
    }
}
