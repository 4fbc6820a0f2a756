/// The bounds of one HTTP listener. Each keeps one careless or hostile client from taking what belongs to the others.
package struct HTTPLimits: Sendable {
    /// Bytes of a request's body; more is 413.
    package var body = 1 << 20
    /// Bytes of all header names and values; more is 431.
    package var headers = 16 << 10
    /// Connections at once; further ones wait in the kernel's backlog.
    package var connections = 256
    /// Event streams at once; one more is 503 `too-many-streams`.
    package var streams = 64
    /// Whole seconds without a byte in either direction after which a connection is closed.
    package var inactivitySeconds = 15
    /// From the start of a connection, or the end of its last answer, until the whole request must be in. It is not
    /// renewed by single bytes, and so ends slow senders.
    package var requestDeadline: Duration = .seconds(30)
    /// For the handler to answer; then 503 `deadline`.
    package var answerDeadline: Duration = .seconds(30)
    /// For the client to take the whole answer.
    package var sendDeadline: Duration = .seconds(30)
    /// Between two heartbeat comments of an event stream, by which a client that has left is noticed.
    package var heartbeat: Duration = .seconds(15)
    /// Names, besides the loopback addresses and `localhost`, that a Host header may carry.
    package var allowedHosts: Set<String> = []

    package init() {}
}
