/// What a peer may say when it ends a session. Its own words, and codes that are none of ours, go into no log: they could be
/// anything.
package enum Farewell {
    private static let codes: Set = [
        "ack-beyond-sent", "ack-wrong-stream", "base-out-of-reach", "chain-refused", "connection-lost", "denied",
        "envelope-malformed",
        "frame-oversized", "frame-reserved-bits", "frame-truncated", "frame-unknown-kind", "handshake-timeout",
        "hello-expected", "hello-twice", "hello-wrong-stream", "link-paused", "message-malformed", "message-oversized",
        "metadata-only",
        "node-not-live", "node-rewound", "not-linked", "not-ours-to-relay", "not-pinned", "peer-not-reading",
        "peer-silent", "pin-mismatch", "position-gap", "position-reused", "protocol-version", "receipt-beyond-sent",
        "receipt-wrong-stream", "replaced", "report-of-another", "right-denied", "session-expired", "stopping",
        "store-damaged",
        "store-failed", "token-behind", "token-out-of-turn", "token-unknown", "too-many-files", "too-many-handshakes",
        "topology-changed", "wrong-origin", "wrong-peer", "wrong-segment",
    ]

    /// The code, or `other`: a newer release may have more of them.
    package static func known(_ code: String) -> String { codes.contains(code) ? code : "other" }
}
