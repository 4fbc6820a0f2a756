import Federation

/// What the channels wrote down, synced: `sent KEY` before a request, `accepted KEY ID` when it was accepted.
struct DemoJournal {
    struct Acceptance: Hashable {
        var key: String
        var id: String
    }

    var sent: Set<String> = []
    var accepted: [Acceptance] = []

    var ids: Set<String> { Set(accepted.map(\.id)) }

    static func path(_ directory: String, _ channel: Int) -> String { directory + "/channel-\(channel).journal" }

    /// - Throws: `journal-missing`, `journal-damaged`: what a channel was told cannot be known.
    static func read(in directory: String, channels: Int) throws(FederationError) -> DemoJournal {
        var journal = DemoJournal()
        for channel in 0..<channels {
            let path = path(directory, channel)
            guard Files.exists(path) else {
                throw FederationError(
                    "journal-missing", "\(path) is not there: nobody knows what channel \(channel) was told",
                    remedy: "recount a folder that has all its journals")
            }
            let text = String(decoding: try Files.read(path, maximum: 1 << 30), as: UTF8.self)
            for (index, line) in text.split(separator: "\n").enumerated() {
                let words = line.split(separator: " ").map(String.init)
                switch (words.first, words.count) {
                case ("sent", 2): journal.sent.insert(words[1])
                case ("accepted", 3): journal.accepted.append(Acceptance(key: words[1], id: words[2]))
                default:
                    throw FederationError(
                        "journal-damaged", "\(path):\(index + 1) is neither \"sent KEY\" nor \"accepted KEY ID\"",
                        remedy: "recount a folder whose journals nobody has written to")
                }
            }
        }
        return journal
    }

    /// One key gives one id, once, and no other key gives it.
    var doubles: [String] {
        var found: [String] = []
        var known: Set<Acceptance> = []
        for acceptance in accepted where !known.insert(acceptance).inserted {
            found.append("\(acceptance.id): key \(acceptance.key) was accepted a second time")
        }
        for acceptance in known where !sent.contains(acceptance.key) {
            found.append("\(acceptance.id): accepted for key \(acceptance.key), which was never sent")
        }
        var ids: [String: String] = [:]
        var keys: [String: String] = [:]
        for acceptance in known.sorted(by: { ($0.key, $0.id) < ($1.key, $1.id) }) {
            if let other = ids.updateValue(acceptance.id, forKey: acceptance.key) {
                found.append("\(acceptance.id): its key \(acceptance.key) gave \(other) too")
            }
            if let other = keys.updateValue(acceptance.key, forKey: acceptance.id) {
                found.append("\(acceptance.id): accepted for two keys, \(other) and \(acceptance.key)")
            }
        }
        return found
    }
}
