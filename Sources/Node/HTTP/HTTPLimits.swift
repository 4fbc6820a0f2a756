/// The bounds of one HTTP listener. Each keeps one careless or hostile client from taking what belongs to the others.
package struct HTTPLimits: Sendable {
    /// Bytes of a request's body; more is 413.
    package var body = 1 << 20
    /// Bytes of all header names and values; more is 431.
    package var headers = 16 << 10
    /// Connections at once; further ones wait in the kernel's backlog. More than all that may wait for their clients
    /// and all streams together: the rest is for requests that are being answered.
    package var connections = 1024
    /// Connections that have not sent the head of a request yet; for one more, another of them is closed.
    package var newcomers = 256
    /// Connections between two requests.
    package var idle = 128
    /// Connections whose requests have a head, and not yet all of their bodies.
    package var bodies = 128
    /// Connections whose clients have not taken their answers yet.
    package var untaken = 128
    /// Event streams at once; one more is 503 `too-many-streams`.
    package var streams = 64
    /// Whole seconds without a byte in either direction after which a connection is closed.
    package var inactivitySeconds = 15
    /// From the start of a connection until the head of its first request must be in. Like the others it is not renewed
    /// by single bytes, and so ends slow senders.
    package var headDeadline: Duration = .seconds(5)
    /// From the head of a request until all of it must be in, and from the end of an answer until the next head must.
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
