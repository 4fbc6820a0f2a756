/// A person at a desk, and what the desk is for.
package struct Operator: Sendable, Hashable {
    package enum Desk: Sendable, Hashable {
        /// At the centre: any subject, any organisation.
        case firstLine
        /// At a home: one tenancy, the lines 2 or 2.1 of it.
        case secondLine(tenancy: String, line: String)
    }

    package var name: String
    package var desk: Desk
    /// Whose first line it is: for people, it limits nothing.
    package var organisation: String?

    package init(name: String, desk: Desk, organisation: String? = nil) {
        self.name = name
        self.desk = desk
        self.organisation = organisation
    }

    var role: AppealActor { if case .firstLine = desk { .firstLine } else { .secondLine } }

    /// The queue that this desk works on.
    var scope: String {
        switch desk {
        case .firstLine: QueueScope.firstLine
        case .secondLine(let tenancy, let line): QueueScope.of(tenancy, line: line)
        }
    }
}

/// The names of queues: one for the first line, one for each line of a tenancy.
enum QueueScope {
    static let firstLine = "L1"
    static func of(_ tenancy: String, line: String) -> String { "\(tenancy) \(line)" }
}

extension AppealRecord {
    /// The queue that it waits in, when it waits.
    package var scope: String { tenancy.map { QueueScope.of($0, line: line ?? "2") } ?? QueueScope.firstLine }
}

/// The one door: what a person may touch. What is not allowed and what does not exist get the same answer.
package enum Access {
    package static let refusal = DomainError(
        .notYours, "not-yours", "there is no such appeal at your desk", remedy: "check the number; ask your supervisor")

    static func permit(_ person: Operator, _ appeal: AppealRecord?, at node: String) throws(DomainError) -> AppealRecord
    {
        guard let appeal else { throw refusal }
        switch person.desk {
        case .firstLine: guard appeal.tenancy == nil || appeal.owner == node else { throw refusal }
        case .secondLine(let tenancy, let line):
            guard appeal.tenancy == tenancy, appeal.line == line, appeal.owner == node else { throw refusal }
        }
        return appeal
    }
}
