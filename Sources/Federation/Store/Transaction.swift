/// A consistent view of the store, for the length of one closure. Copy out what must live longer.
package struct ReadTransaction: ~Copyable {
    let reader: any EngineReader

    init(_ reader: any EngineReader) { self.reader = reader }
}

/// One submitter's part of a commit group. What it throws undoes its own part only.
///
/// It exists for the length of one closure on the writer's thread and cannot leave it.
package struct WriteTransaction: ~Copyable {
    let writer: any EngineWriter
    let group: CommitGroup

    init(_ writer: any EngineWriter, _ group: CommitGroup) {
        self.writer = writer
        self.group = group
    }

    /// The instant at which this commit group began.
    package var now: Timestamp { group.now }

    package borrowing func put(_ table: Table, _ key: RawSpan, _ value: RawSpan) throws(StoreError) {
        try writer.put(table, key, value)
    }

    package borrowing func put(_ table: Table, _ key: [UInt8], _ value: [UInt8]) throws(StoreError) {
        try writer.put(table, key.span.bytes, value.span.bytes)
    }

    /// False when there was no such key.
    @discardableResult
    package borrowing func delete(_ table: Table, _ key: [UInt8]) throws(StoreError) -> Bool {
        try writer.delete(table, key.span.bytes)
    }

    /// Runs `body` as a part of its own: what it throws undoes what it wrote, and nothing else.
    package borrowing func attempt<Result, Failure: Error>(
        _ body: (borrowing WriteTransaction) throws(Failure) -> Result
    ) throws(StoreError) -> Swift.Result<Result, Failure> {
        try writer.beginPart()
        let mark = group.mark()
        let outcome: Swift.Result<Result, Failure>
        do throws(Failure) { outcome = .success(try body(self)) } catch { outcome = .failure(error) }
        switch outcome {
        case .success: try writer.commitPart()
        case .failure:
            writer.abortPart()
            group.rollBack(to: mark)
        }
        return outcome
    }
}

/// What can be read inside any transaction.
package protocol Readable: ~Copyable {
    var source: any EngineReader { get }
}

extension ReadTransaction: Readable {
    package var source: any EngineReader { reader }
}

extension WriteTransaction: Readable {
    package var source: any EngineReader { writer }
}

extension Readable where Self: ~Copyable {
    /// The value's bytes, copied out, or nil.
    package borrowing func get(_ table: Table, _ key: [UInt8]) throws(StoreError) -> [UInt8]? {
        var copy: [UInt8]?
        _ = try source.withValue(table, key.span.bytes) { copy = Array($0) }
        return copy
    }

    /// Calls `body` with the value's bytes, valid inside the call only; nil when there is no such key.
    package borrowing func withValue<Result>(
        _ table: Table, _ key: RawSpan, _ body: (RawSpan) -> Result
    ) throws(StoreError) -> Result? {
        var result: Result?
        _ = try source.withValue(table, key) { result = body($0) }
        return result
    }

    /// Walks keys at or after `key` in ascending order until `body` says false.
    package borrowing func scan(
        _ table: Table, from key: [UInt8], _ body: (_ key: RawSpan, _ value: RawSpan) -> Bool
    ) throws(StoreError) {
        try source.scan(table, from: key.span.bytes, body)
    }

    /// Walks keys at or before `key` in descending order until `body` says false.
    package borrowing func scanBackwards(
        _ table: Table, from key: [UInt8], _ body: (_ key: RawSpan, _ value: RawSpan) -> Bool
    ) throws(StoreError) {
        try source.scanBackwards(table, from: key.span.bytes, body)
    }

    /// Number of keys in the table.
    package borrowing func count(_ table: Table) throws(StoreError) -> Int { try source.size(table).rows }

    package borrowing func size(_ table: Table) throws(StoreError) -> TableSize { try source.size(table) }
}

extension Array where Element == UInt8 {
    /// A copy of the bytes.
    package init(_ bytes: RawSpan) {
        self = bytes.withUnsafeBytes { Array($0) }
    }
}
