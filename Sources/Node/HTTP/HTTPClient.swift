import CCurl
import Federation
import FoundationEssentials
import Glibc

/// The command line's HTTP: blocking, over libcurl, to a Unix socket or to loopback. One thread at a time.
final class HTTPClient {
    struct Answer {
        var status: Int
        var body: [UInt8]
    }

    private let curl: UnsafeMutableRawPointer?
    private let base: String
    private let socket: String?
    static let isReady: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// - Parameters:
    ///   - socket: the path of a Unix socket; nil: `base` is asked over TCP.
    ///   - seconds: for an answer; a node that hangs is no reason to hang.
    init(base: String = "http://localhost", socket: String? = nil, seconds: Int = 60) {
        precondition(HTTPClient.isReady)
        self.base = base
        self.socket = socket
        curl = curl_easy_init()
        ccurl_set_long(curl, CURLOPT_NOSIGNAL, 1)
        ccurl_set_text(curl, CURLOPT_PROXY, "")
        ccurl_set_long(curl, CURLOPT_TIMEOUT, seconds)
        ccurl_set_long(curl, CURLOPT_CONNECTTIMEOUT, 5)
        ccurl_set_text(curl, CURLOPT_PROTOCOLS_STR, "http")
        if let socket { ccurl_set_text(curl, CURLOPT_UNIX_SOCKET_PATH, socket) }
    }

    deinit { curl_easy_cleanup(curl) }

    /// - Throws: `unreachable` when nobody answers.
    func send(
        _ method: String, _ path: String, headers: [String] = [], body: [UInt8]? = nil
    ) throws(FederationError) -> Answer {
        let collected = Collected()
        ccurl_set_text(curl, CURLOPT_URL, base + path)
        ccurl_set_text(curl, CURLOPT_CUSTOMREQUEST, method)
        ccurl_set_write(curl, collectBytes, Unmanaged.passUnretained(collected).toOpaque())
        var lines: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(lines) }
        for header in headers + ["Content-Type: application/json", "Expect:"] {
            lines = curl_slist_append(lines, header)
        }
        ccurl_set_list(curl, CURLOPT_HTTPHEADER, lines)
        let payload = body ?? []
        let status = payload.withUnsafeBytes { bytes in
            if body != nil {
                ccurl_set_long(curl, CURLOPT_POSTFIELDSIZE, bytes.count)
                ccurl_set_pointer(curl, CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            } else {
                ccurl_set_long(curl, CURLOPT_HTTPGET, 1)
                ccurl_set_text(curl, CURLOPT_CUSTOMREQUEST, method)
            }
            return curl_easy_perform(curl)
        }
        guard status == CURLE_OK else {
            if let socket, access(socket, F_OK) == 0 || errno == EACCES, access(socket, W_OK) != 0, errno == EACCES {
                throw FederationError(
                    "not-permitted", "\(socket) is not for this user", remedy: "become root or the node's own user")
            }
            if status == CURLE_OPERATION_TIMEDOUT {
                throw FederationError(
                    "no-answer", "\(socket ?? base) takes the question and does not answer",
                    remedy: "see whether that process hangs, and its log")
            }
            if let socket {
                let folder = String(socket.dropLast("/admin.sock".count))
                throw Files.exists(folder)
                    ? FederationError(
                        "unreachable", "nobody listens at \(socket)", remedy: "start the node: ekc node run \(folder)")
                    : FederationError("unreachable", "there is no \(folder)", remedy: "name the folder of a node")
            }
            throw FederationError(
                "unreachable", "\(base)\(path): \(String(cString: curl_easy_strerror(status)))",
                remedy: "is the node running, and is that its port?")
        }
        var code = 0
        ccurl_status(curl, &code)
        return Answer(status: code, body: collected.bytes)
    }

    /// Sends and decodes; a problem of the server becomes an error with its words.
    func exchange<Answer: Decodable>(
        _ type: Answer.Type, _ method: String, _ path: String, headers: [String] = [], body: [UInt8]? = nil
    ) throws(FederationError) -> Answer {
        let answer = try send(method, path, headers: headers, body: body)
        guard answer.status < 300 else {
            let problem = try? JSONDecoder().decode(Told.self, from: Data(answer.body))
            throw FederationError(
                problem?.code ?? "http-\(answer.status)", problem?.detail ?? "the node answered \(answer.status)",
                remedy: problem?.remedy ?? "see the node's log")
        }
        do { return try JSONDecoder().decode(type, from: Data(answer.body)) } catch {
            throw FederationError(
                "answer-malformed", "the node's answer cannot be read", remedy: "use the same release")
        }
    }

    private struct Told: Decodable {
        var code: String
        var detail: String
        var remedy: String
    }

    fileprivate final class Collected {
        var bytes: [UInt8] = []
    }
}

private let collectBytes: ccurl_write = { data, size, count, argument in
    guard let data, let argument else { return 0 }
    let collected = Unmanaged<HTTPClient.Collected>.fromOpaque(argument).takeUnretainedValue()
    guard collected.bytes.count + size * count <= 64 << 20 else { return 0 }
    collected.bytes.append(contentsOf: UnsafeRawBufferPointer(start: data, count: size * count))
    return size * count
}
