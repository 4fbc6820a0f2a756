/// What a ping that came back has shown of a link.
///
///     ping: wall clock i64, milliseconds · mark i64 · pong: the ping as it came, at most 64 bytes · wall clock i64
///
/// Release 0.1.0 sends pings without a mark and answers without a clock: of it only the round trip is known.
package struct LinkEcho: Sendable, Hashable {
    /// Microseconds.
    package var roundTrip: Int64
    /// Milliseconds that the other clock is ahead, give or take half a round trip; nil: it was not said.
    package var skew: Int64?

    /// - Parameter mark: the sender's monotonic clock, in microseconds: it is compared when the ping is back.
    static func ping(at wall: Timestamp, mark: Int64) -> [UInt8] {
        var writer = ByteWriter(capacity: 16)
        writer.append(wall.milliseconds)
        writer.append(mark)
        return frame(.ping, writer.bytes)
    }

    static func pong(to ping: [UInt8], at wall: Timestamp) -> [UInt8] {
        var writer = ByteWriter(capacity: 72)
        writer.append(Array(ping.prefix(64)))
        writer.append(wall.milliseconds)
        return frame(.pong, writer.bytes)
    }

    private static func frame(_ kind: FrameKind, _ payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        Frame.append(kind, payload[...], to: &bytes)
        return bytes
    }
}

extension LinkEcho {
    /// Nil when it is no answer to the ping with that mark.
    init?(pong bytes: [UInt8], mark: Int64, monotonic: Int64) {
        var reader = ByteReader(bytes)
        guard let sent = try? reader.instant(), let came = try? reader.number(Int64.self), came == mark,
            monotonic >= mark
        else { return nil }
        roundTrip = monotonic - mark
        guard let there = try? reader.instant() else { return }
        // The other clock was read half a round trip after this one.
        skew = there.milliseconds - sent.milliseconds - roundTrip / 2000
    }
}
