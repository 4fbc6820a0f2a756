extension HTTPServer {
    /// The port that it listens on; nil on a Unix socket.
    var port: UInt16? { if case .tcp(_, let port) = address { port } else { nil } }
}
