/// What nodes have said of themselves, and when it was heard: the newest of each. A value; the clock is given.
///
/// Rows `report/<node>` of table `meta`: version u8 = 1 · heard i64 · stuck since i64 (0: no) · the report. They are written once
/// a minute, and when a link ends, so that a centre that was started again still knows what it last knew.
package struct ReportBook: Sendable {
    package struct Entry: Sendable, Hashable {
        package var report: NodeReport
        /// By the clock of who keeps the book.
        package var heard: Timestamp
        /// Since when its knowledge is behind and does not grow.
        package var stuckSince: Timestamp?
        /// Milliseconds that its clock is ahead; nil unless words of it come one after the other: a relay shows the last of
        /// a node that has long been dark, too. Not written.
        package var skew: Int64?

        package init(report: NodeReport, heard: Timestamp) {
            self.report = report
            self.heard = heard
        }
    }

    /// Reports come every five seconds; after four of them a node behind a relay is not there.
    package static let silenceMilliseconds: Int64 = 20_000

    static let saveMilliseconds: Int64 = 60_000
    package private(set) var entries: [NodeID: Entry] = [:]
    private var saved: [NodeID: Timestamp] = [:]
    private var urgent: Set<NodeID> = []
    /// The last that was passed over of each node.
    private var passedOver: [NodeID: NodeReport] = [:]

    package init() {}

    /// - Parameter published: how much knowledge there is.
    package mutating func heard(_ node: NodeID, _ report: NodeReport, at now: Timestamp, published: UInt64) {
        let known = entries[node]
        guard isNews(node, report, known) else { return }
        var entry = Entry(report: report, heard: now)
        if let known, now.milliseconds - known.heard.milliseconds <= ReportBook.silenceMilliseconds {
            entry.skew = report.at.milliseconds - now.milliseconds
        }
        if report.knowledge < published {
            entry.stuckSince = known?.report.knowledge == report.knowledge ? known?.stuckSince ?? now : now
        }
        entries[node] = entry
    }

    /// A relay shows what it knows at each new session: the same again, or what is older, is no word of the node's own. A
    /// clock that was set back makes older ones that go on: the second is taken.
    private mutating func isNews(_ node: NodeID, _ report: NodeReport, _ known: Entry?) -> Bool {
        func order(_ report: NodeReport) -> (Int64, Int64) { (report.started.milliseconds, report.at.milliseconds) }
        guard let known, order(report) <= order(known.report) else {
            passedOver[node] = nil
            return true
        }
        if order(report) == order(known.report) { return false }
        if let last = passedOver[node], order(last) < order(report) {
            passedOver[node] = nil
            return true
        }
        passedOver[node] = report
        return false
    }

    /// Its link has ended: nothing newer may come for long.
    mutating func lost(_ node: NodeID) { urgent.insert(node) }

    /// The entries that are to be written now.
    mutating func due(at now: Timestamp, all: Bool = false) -> [NodeID: Entry] {
        let due = entries.filter { node, entry in
            guard let written = saved[node] else { return true }
            let isOld = now.milliseconds - written.milliseconds >= ReportBook.saveMilliseconds
            return written < entry.heard && (all || isOld || urgent.contains(node))
        }
        for node in due.keys { saved[node] = now }
        urgent = []
        return due
    }
}

extension ReportBook {
    private static let prefix = Array("report/".utf8)

    static func write(
        _ entries: [NodeID: Entry], in transaction: borrowing WriteTransaction
    ) throws(StoreError) {
        for (node, entry) in entries {
            var writer = ByteWriter(capacity: 240)
            writer.append(UInt8(1))
            writer.append(entry.heard.milliseconds)
            writer.append(entry.stuckSince?.milliseconds ?? 0)
            entry.report.append(to: &writer)
            try transaction.put(.meta, prefix + Array(node.text.utf8), writer.bytes)
        }
    }

    /// What cannot be read any more is as if it had never been heard: it is said anew within seconds.
    init<Transaction: Readable & ~Copyable>(in transaction: borrowing Transaction) throws(StoreError) {
        self.init()
        var found: [(key: [UInt8], value: [UInt8])] = []
        try transaction.scan(.meta, from: ReportBook.prefix) { key, value in
            let key = Array(key)
            guard key.starts(with: ReportBook.prefix) else { return false }
            found.append((key, Array(value)))
            return true
        }
        for (key, value) in found {
            guard let node = NodeID(String(decoding: key[ReportBook.prefix.count...], as: UTF8.self)),
                let entry = try? Entry(decoding: value)
            else { continue }
            entries[node] = entry
            saved[node] = entry.heard
        }
    }
}

extension ReportBook.Entry {
    fileprivate init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        guard try reader.number(UInt8.self) == 1 else { throw .invalid(at: 0) }
        let heard = try reader.instant()
        let stuckSince = try reader.instantIfAny()
        self.init(report: try NodeReport(from: &reader), heard: heard)
        self.stuckSince = stuckSince
    }
}
