import Synchronization

@testable import Node

/// What a handler answers, without a server; 0 if it has kept its responder.
func answer(of handler: HTTPServer.Handler, to request: HTTPRequest) -> HTTPResponse {
    final class Box: Sendable { let answer = Mutex<HTTPResponse?>(nil) }
    let box = Box()
    handler(
        request,
        HTTPResponder { response in
            box.answer.withLock { $0 = response }
            return true
        })
    return box.answer.withLock { $0 } ?? HTTPResponse(status: 0, body: .bytes([]))
}
