/// What others can make a node say: each reason a few times at once, and then one line a minute with the number of times.
/// A reason is an event's code and its peer. Nothing is left untold; it is told together.
package struct LogBudget: Sendable {
    package typealias Event = LinkLoop.Event

    private struct Reason: Hashable {
        var code: String
        var peer: NodeID?
    }

    private struct Minute {
        var ends: Int64
        /// Lines that may still be written at once.
        var left: Int
        var untold = 0
        var last: Event
    }

    /// Milliseconds.
    package static let minute: Int64 = 60_000
    /// Lines at once of what a known peer does; somebody unknown has one.
    package static let linesOfPeer = 10
    /// Further reasons of one minute are told together.
    package static let mostReasons = 256

    private var minutes: [Reason: Minute] = [:]
    /// No minute ends before.
    private var nextEnd = Int64.max

    package init() {}

    /// When there is something to tell; nil when nothing waits.
    package var due: Int64? { minutes.values.lazy.filter { $0.untold > 0 }.map(\.ends).min() }

    /// - Parameter now: milliseconds of a clock that does not go back.
    /// - Returns: the lines to write now, this event's the last of them, if it has one.
    package mutating func happened(_ event: Event, at now: Int64) -> [Event] {
        var lines = now >= nextEnd ? minuteEnded(at: now) : []
        var event = event
        var reason = Reason(code: event.code, peer: event.peer)
        if minutes[reason] == nil, minutes.count >= LogBudget.mostReasons {
            event = Event(code: "too-many-reasons", peer: nil, detail: "\(event.code): \(event.detail)")
            reason = Reason(code: event.code, peer: nil)
        }
        let allowance = event.peer == nil ? 1 : LogBudget.linesOfPeer
        var minute =
            minutes[reason] ?? Minute(ends: now + LogBudget.minute, left: allowance, last: event)
        if minute.left > 0 {
            minute.left -= 1
            lines.append(event)
        } else {
            minute.untold += 1
            minute.last = event
        }
        minutes[reason] = minute
        nextEnd = min(nextEnd, minute.ends)
        return lines
    }

    /// - Returns: a line for each reason whose minute is over and that has happened more often than was told.
    package mutating func minuteEnded(at now: Int64) -> [Event] {
        var lines: [Event] = []
        for (reason, minute) in minutes where minute.ends <= now {
            guard minute.untold > 0 else {
                minutes[reason] = nil
                continue
            }
            var line = minute.last
            line.count = minute.untold
            lines.append(line)
            // It goes on: until it is quiet for a minute it has a line a minute, and none in between.
            minutes[reason] = Minute(ends: now + LogBudget.minute, left: 0, last: minute.last)
        }
        nextEnd = minutes.values.reduce(.max) { min($0, $1.ends) }
        return lines.sorted { ($0.code, $0.peer?.text ?? "") < ($1.code, $1.peer?.text ?? "") }
    }
}
