/// One envelope that is about to be applied: its position, and 128 bits of a digest of its stream and id. Not the store's
/// own name of its stream: a stream that was new in a commit that never happened gets another one.
package struct Attempt: Sendable, Hashable {
    package var position: UInt64
    package var id: ID128

    package init(position: UInt64, id: ID128) {
        self.position = position
        self.id = id
    }

    /// Of an envelope's stream too: an origin chooses ids and positions, and must not clear what is counted of one message
    /// by another of the same.
    package init(_ header: EnvelopeHeader) {
        var writer = ByteWriter(capacity: 112)
        writer.append(header.id)
        header.stream.append(to: &writer)
        let id = Digest.blake2b256(writer.bytes).withBytes { digest in
            ID128(
                high: UInt64(bigEndian: digest.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
        self.init(position: header.position, id: id)
    }
}

/// Counts tries to apply an envelope, before each attempt, where the count outlives the process. What ended the process
/// is still counted when it starts again; what came to an end, good or bad, is forgotten.
///
/// Called on the writer's thread only.
package protocol AttemptLog: AnyObject, Sendable {
    /// Attempts of it that have ended the process so far.
    func tries(_ attempt: Attempt) -> Int
    func begins(_ attempt: Attempt)
    func ended(_ attempt: Attempt)
}

/// What is counted, as a value. The number of places is fixed: with more in doubt at once, the one with the fewest tries
/// gives way.
package struct AttemptTable: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var attempt: Attempt
        package var tries: UInt32

        package init(attempt: Attempt, tries: UInt32) {
            self.attempt = attempt
            self.tries = tries
        }
    }

    package static let places = 127
    package private(set) var entries: [Entry?]

    package init(_ entries: [Entry?] = Array(repeating: nil, count: AttemptTable.places)) { self.entries = entries }

    private func place(of attempt: Attempt) -> Int? { entries.firstIndex { $0?.attempt == attempt } }

    package func tries(_ attempt: Attempt) -> Int {
        place(of: attempt).flatMap { entries[$0] }.map { Int($0.tries) } ?? 0
    }

    /// - Returns: the place that has changed.
    package mutating func begins(_ attempt: Attempt) -> Int {
        let before = UInt32(truncatingIfNeeded: tries(attempt))
        let place =
            place(of: attempt) ?? entries.firstIndex(of: nil)
            ?? entries.indices.min { entries[$0]?.tries ?? 0 < entries[$1]?.tries ?? 0 } ?? 0
        entries[place] = Entry(attempt: attempt, tries: before &+ 1)
        return place
    }

    /// - Returns: the place that is free now, if it was there.
    package mutating func ended(_ attempt: Attempt) -> Int? {
        let place = place(of: attempt)
        if let place { entries[place] = nil }
        return place
    }
}

/// Counts in memory: for tests and the simulator, where a process is not one.
package final class MemoryAttempts: AttemptLog, @unchecked Sendable {
    // Safe because: only one thread at a time applies envelopes.
    private var table = AttemptTable()

    package init() {}

    package func tries(_ attempt: Attempt) -> Int { table.tries(attempt) }
    package func begins(_ attempt: Attempt) { _ = table.begins(attempt) }
    package func ended(_ attempt: Attempt) { _ = table.ended(attempt) }
}
