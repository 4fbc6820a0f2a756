import ContactCentre
import Federation

extension Problem {
    /// What of an error may be told, and under which status.
    init(telling error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as StoreError where error.code == .full || error.code == .stopping:
            self.init(503, error.code.rawValue, error.detail, remedy: error.remedy, retryAfter: 5)
        case let error as StoreError where error.code == .damaged:
            self.init(503, error.code.rawValue, error.detail, remedy: error.remedy, retryAfter: 600)
        case let error as StoreError where error.code == .rightDenied:
            self.init(409, error.code.rawValue, error.detail, remedy: error.remedy)
        case let error as StoreError where error.code == .tooLarge:
            self.init(413, error.code.rawValue, error.detail, remedy: error.remedy)
        case let error as DomainError:
            let status =
                switch error.kind {
                case .badInput: 400
                case .notYours: 403
                case .conflict: 409
                case .tooLarge: 413
                case .keyReused: 422
                case .unavailable: 503
                }
            self.init(
                status, error.code, error.detail, remedy: error.remedy, retryAfter: status == 503 ? 60 : nil)
        case let error as FederationError: self.init(error, status: 409)
        default:
            // The words of a store's error name tables and files, never what is in them.
            let detail =
                (error as? StoreError).map { "\($0.code.rawValue): \($0.detail)" } ?? "\(Swift.type(of: error))"
            Log.write(LinkLoop.Event(code: "request-failed", peer: nil, detail: detail))
            self.init(500, "internal", "The node could not do this.", remedy: "See the node's log.")
        }
    }
}

extension HTTPRoutes {
    /// A handler that answers at once, on the listener's thread: it must not wait for a commit.
    mutating func on(
        _ method: String, _ pattern: String, answering body: @escaping @Sendable (HTTPRequest) throws -> HTTPResponse
    ) {
        on(method, pattern) { request, responder in
            do { responder.answer(try body(request)) } catch { responder.refuse(Problem(telling: error)) }
        }
    }

    /// A handler that may wait: it gets a thread of its own.
    mutating func on(
        _ method: String, _ pattern: String, waiting body: @escaping @Sendable (HTTPRequest) throws -> HTTPResponse
    ) {
        on(method, pattern) { request, responder in
            Threads.start("request") {
                do { responder.answer(try body(request)) } catch { responder.refuse(Problem(telling: error)) }
            }
        }
    }
}
