import Federation

/// The listener for whoever watches: figures and health, nothing to change, nothing personal. On loopback.
struct MetricsAPI {
    let node: FederationNode
    let reporter: NodeReporter

    var routes: HTTPRoutes {
        var routes = HTTPRoutes()
        routes.health(of: node)
        let figures = Figures { [reporter] in Metrics(try reporter.observation()).text }
        routes.on("GET", "/metrics") { _, responder in figures.answer(responder) }
        return routes
    }
}

/// One text for everybody who asks within a second: however many watch, the node is looked at once.
final class Figures: Sendable {
    private struct State {
        var text: String?
        var madeAt: Int64 = .min
        var isBeingMade = false
        /// Who came while there was none.
        var waiting: [HTTPResponder] = []
    }

    private static let freshMicroseconds: Int64 = 1_000_000
    /// Whoever comes then, and there is no text yet, comes again.
    private static let mostWaiting = 64
    private let state = Monitor(State())
    private let make: @Sendable () throws -> String

    init(_ make: @escaping @Sendable () throws -> String) { self.make = make }

    func answer(_ responder: HTTPResponder) {
        let now = Clocks.monotonicMicroseconds()
        enum Step { case tell(String), wait, make, refuse }
        let step = state.change { state -> Step in
            if let text = state.text, state.isBeingMade || now - state.madeAt < Figures.freshMicroseconds {
                return .tell(text)
            }
            guard state.waiting.count < Figures.mostWaiting else { return .refuse }
            state.waiting.append(responder)
            defer { state.isBeingMade = true }
            return state.isBeingMade ? .wait : .make
        }
        switch step {
        case .tell(let text): responder.answer(.figures(text))
        case .wait: break
        case .make: Threads.start("figures") { [self] in made(Result { try make() }) }
        case .refuse:
            responder.refuse(
                Problem(
                    503, "too-many-waiting", "Too many wait for the figures.", remedy: "Ask again in a second.",
                    retryAfter: 1))
        }
    }

    private func made(_ result: Result<String, any Error>) {
        let waiting = state.change { state in
            if case .success(let text) = result { (state.text, state.madeAt) = (text, Clocks.monotonicMicroseconds()) }
            state.isBeingMade = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for responder in waiting {
            switch result {
            case .success(let text): responder.answer(.figures(text))
            case .failure(let error): responder.refuse(Problem(telling: error))
            }
        }
    }
}

extension HTTPResponse {
    /// In the text exposition format.
    static func figures(_ text: String) -> HTTPResponse { .text(text, type: "text/plain; version=0.0.4") }
}
