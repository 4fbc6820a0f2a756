import CLinux
import ContactCentre
import Federation
import FoundationEssentials
import Glibc

/// The people of the demo, as threads that use the same HTTP API as people would.
final class DemoRobots: Sendable {
    struct State {
        /// Ports by node; a node that is down answers nobody, and its robots ask again.
        var ports: [String: NodeService.Ready] = [:]
        var accepted = 0
        /// Milliseconds from the instant at which an appeal should come to its acceptance.
        var waits: [Int] = []
        var running = 0
        var isOver = false
        var faults: [String] = []
    }

    /// Who has nothing to do asks again so much later: all together a thousand times a second at the most.
    private let idleMicroseconds: UInt32

    let state = Monitor(State())
    private let directory: String
    private let seed: UInt64

    init(directory: String, seed: UInt64, desks: Int) {
        idleMicroseconds = UInt32(max(30, desks) * 1000)
        self.directory = directory
        self.seed = seed
    }

    func moved(_ node: String, _ ready: NodeService.Ready?) { state.change { $0.ports[node] = ready } }

    private func token(_ name: String) -> String {
        let bytes = (try? Files.read(directory + "/\(name).token", maximum: 1000)) ?? []
        return String(decoding: bytes, as: UTF8.self).filter { $0 != "\n" }
    }

    private func key() -> String { Hex.encode(Random.bytes(16)) }

    /// Hands in appeals until all are accepted. Each is written to the channel's own journal, synced, before it is sent
    /// (`sent KEY`) and when it is accepted (`accepted KEY ID`).
    func channel(
        _ index: Int, of channels: Int, kind: AppealRecord.Channel, appeals: Int, sample: SampleAppeals,
        arrivals: SampleArrivals?
    ) {
        let begun = Clocks.monotonicMicroseconds()
        run("channel-\(index)") { [self] in
            let journal = clinux_open(
                directory + "/channel-\(index).journal", O_WRONLY | O_CREAT | O_APPEND | O_DSYNC | O_CLOEXEC, 0o600)
            defer { close(journal) }
            let headers = [token("channel-\(index)")]
            for number in stride(from: index, to: appeals, by: channels) {
                let key = key()
                let due = arrivals.map { begun + Int64($0.instant(number) * 1_000_000) }
                while let due, Clocks.monotonicMicroseconds() < due, !state.changeQuietly({ $0.isOver }) {
                    usleep(UInt32(min(100_000, max(1, due - Clocks.monotonicMicroseconds()))))
                }
                note("sent \(key)\n", in: journal)
                let body = Output.encode(sample.submission(number, channel: kind))
                while true {
                    if state.changeQuietly({ $0.isOver }) { return }
                    let answer = ask(
                        "centre", { $0.channels }, "POST", "/api/v1/appeals", headers + ["Idempotency-Key: \(key)"],
                        body)
                    if let answer, answer.status == 201,
                        let accepted = try? JSONDecoder().decode(PublicAPI.Accepted.self, from: Data(answer.body))
                    {
                        note("accepted \(key) \(accepted.id)\n", in: journal)
                        let wait = Int((Clocks.monotonicMicroseconds() - (due ?? 0)) / 1000)
                        state.change {
                            $0.accepted += 1
                            if due != nil { $0.waits.append(wait) }
                        }
                        break
                    }
                    if let answer, answer.status < 500 {
                        return fault(
                            "channel \(index): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
                    }
                    usleep(50_000)
                }
            }
        }
    }

    /// Works at a desk until the demo is over: claims, decides by the appeal's id, acts.
    func desk(_ name: String, at node: String, _ work: @escaping @Sendable (AppealView) -> [(String, OperatorAPI.Act)])
    {
        run(name) { [self] in
            let headers = [token(name)]
            while !state.changeQuietly({ $0.isOver }) {
                guard let claimed = act(node, headers, "/api/v1/queue/claim", OperatorAPI.Act()) else {
                    usleep(idleMicroseconds)
                    continue
                }
                for (verb, act) in work(claimed) {
                    var act = act
                    act.claim = claimed.claim?.number
                    guard self.act(node, headers, "/api/v1/appeals/\(claimed.id)/\(verb)", act) != nil else { break }
                }
            }
        }
    }

    /// One act, under one key however often it must be sent. Nil when it was refused.
    private func act(_ node: String, _ headers: [String], _ path: String, _ act: OperatorAPI.Act) -> AppealView? {
        let headers = headers + ["Idempotency-Key: \(key())"]
        while !state.changeQuietly({ $0.isOver }) {
            let answer = ask(node, { $0.operators }, "POST", path, headers, Output.encode(act))
            if let answer, answer.status == 200 {
                return try? JSONDecoder().decode(AppealView.self, from: Data(answer.body))
            }
            if let answer, answer.status < 500 { return nil }
            usleep(50_000)
        }
        return nil
    }

    private func ask(
        _ node: String, _ port: (NodeService.Ready) -> UInt16?, _ method: String, _ path: String,
        _ headers: [String], _ body: [UInt8]
    ) -> HTTPClient.Answer? {
        guard let ready = state.changeQuietly({ $0.ports[node] }), let port = port(ready) else { return nil }
        return try? client(port).send(method, path, headers: headers, body: body)
    }

    /// One client a thread and port, so that connections stay open.
    private func client(_ port: UInt16) -> HTTPClient {
        final class Kept {
            var clients: [UInt16: HTTPClient] = [:]
        }
        let key = DemoRobots.clients
        if let known = pthread_getspecific(key) {
            let kept = Unmanaged<Kept>.fromOpaque(known).takeUnretainedValue()
            if let client = kept.clients[port] { return client }
            let client = HTTPClient(base: "http://127.0.0.1:\(port)")
            kept.clients[port] = client
            return client
        }
        let kept = Kept()
        let client = HTTPClient(base: "http://127.0.0.1:\(port)")
        kept.clients[port] = client
        pthread_setspecific(key, Unmanaged.passRetained(kept).toOpaque())
        return client
    }

    private static let clients: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    private func run(_ name: String, _ body: @escaping @Sendable () -> Void) {
        state.change { $0.running += 1 }
        Threads.start(name) { [self] in
            body()
            state.change { $0.running -= 1 }
        }
    }

    private func fault(_ text: String) { state.change { $0.faults.append(text) } }

    private func note(_ line: String, in journal: CInt) {
        let bytes = Array(line.utf8)
        if write(journal, bytes, bytes.count) != bytes.count { fault("a journal cannot be written") }
    }

    /// Ends every robot and returns when all have gone home.
    func stop() {
        state.change { $0.isOver = true }
        _ = state.wait(milliseconds: 20_000, until: { $0.running == 0 }, then: { _ in })
    }
}
