/// What one commit gathers beside the engine's own transaction: envelopes that wait to be packed, and what to do once
/// it is durable. A part that is undone takes its own share back out.
package final class CommitGroup {
    package let now: Timestamp
    private var finishers: [() -> Void] = []

    init(now: Timestamp) { self.now = now }

    struct Mark { var finishers: Int }

    func mark() -> Mark { Mark(finishers: finishers.count) }

    func rollBack(to mark: Mark) { finishers.removeSubrange(mark.finishers...) }

    /// Runs when the commit is durable; never when it is not.
    func whenDurable(_ body: @escaping () -> Void) { finishers.append(body) }

    func runFinishers() { for finisher in finishers { finisher() } }
}
