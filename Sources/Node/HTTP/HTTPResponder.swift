import Synchronization

/// The way to answer one request: from any thread, once. A handler that drops it unanswered has answered 500.
package final class HTTPResponder: Sendable {
    private let answered = Atomic(false)
    private let deliver: @Sendable (HTTPResponse) -> Bool

    /// - Parameter deliver: takes the one answer; false if it came too late.
    package init(_ deliver: @escaping @Sendable (HTTPResponse) -> Bool) { self.deliver = deliver }

    /// Hands the answer over; does not wait until it is sent.
    /// - Returns: false if the request was answered before, ran into its deadline, or its client has gone: the answer
    ///   is dropped, and an event stream in it is closed.
    @discardableResult
    package func answer(_ response: HTTPResponse) -> Bool {
        let first = !answered.exchange(true, ordering: .acquiringAndReleasing)
        if first && deliver(response) { return true }
        if case .events(let stream) = response.body { stream.close() }
        return false
    }

    /// Answers with problem details.
    @discardableResult
    package func refuse(_ problem: Problem) -> Bool { answer(.problem(problem)) }

    deinit {
        if answered.load(ordering: .acquiring) { return }
        _ = deliver(
            .problem(
                Problem(
                    500, "no-answer", "The request was dropped without an answer.",
                    remedy: "Try again; then report a defect.")
            )
        )
    }
}
