import CCurl
import Federation
import Glibc

/// Fetches files from a web server, blocking, over libcurl; bounded in size and time. One thread at a time.
final class WebFiles {
    private let curl: UnsafeMutableRawPointer?
    private var bytes: [UInt8] = []
    private var maximum = 0

    /// - Parameter seconds: for one file.
    init(seconds: Int = 60) {
        precondition(HTTPClient.isReady)
        curl = curl_easy_init()
        ccurl_set_long(curl, CURLOPT_NOSIGNAL, 1)
        ccurl_set_long(curl, CURLOPT_TIMEOUT, seconds)
        ccurl_set_long(curl, CURLOPT_CONNECTTIMEOUT, 10)
        ccurl_set_text(curl, CURLOPT_PROTOCOLS_STR, "http,https")
    }

    deinit { curl_easy_cleanup(curl) }

    /// - Returns: nil when the server says that it does not have it; of a file that is too long, one byte more than may be.
    /// - Throws: `unreachable`.
    func fetch(_ url: String, maximum: Int) throws(FederationError) -> [UInt8]? {
        self.maximum = maximum
        bytes = []
        ccurl_set_text(curl, CURLOPT_URL, url)
        ccurl_set_write(curl, collectFile, Unmanaged.passUnretained(self).toOpaque())
        let status = curl_easy_perform(curl)
        var code = 0
        ccurl_status(curl, &code)
        // First of all: the page that says so may be longer than the file may be.
        if [403, 404, 410].contains(code) { return nil }
        if code == 200, bytes.count > maximum { return bytes }
        guard status == CURLE_OK, code == 200 else {
            let words = status == CURLE_OK ? "status \(code)" : String(cString: curl_easy_strerror(status))
            throw FederationError("unreachable", "\(url): \(words)", remedy: "look at the address, and at the server")
        }
        return bytes
    }

    fileprivate func take(_ part: UnsafeRawBufferPointer) -> Bool {
        bytes.append(contentsOf: part.prefix(maximum + 1 - bytes.count))
        return bytes.count <= maximum
    }
}

private let collectFile: ccurl_write = { data, size, count, argument in
    guard let data, let argument else { return 0 }
    let files = Unmanaged<WebFiles>.fromOpaque(argument).takeUnretainedValue()
    return files.take(UnsafeRawBufferPointer(start: data, count: size * count)) ? size * count : 0
}
