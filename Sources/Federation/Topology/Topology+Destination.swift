/// Where appeals go.
extension Topology {
    package struct Destination: Sendable, Hashable {
        package var tenancy: String
        /// A competence centre; otherwise the home.
        package var isCentre: Bool
    }

    /// What is not special goes home. What is goes to the first centre that lists the subject, of whoever has what is the
    /// organisation's on that day; without one, home.
    /// - Parameter day: ISO 8601.
    /// - Returns: nil when no home covers the pair.
    package func destination(
        of organisation: String, _ subject: String, isSpecial: Bool, on day: String
    ) -> Destination? {
        if isSpecial {
            let acting = acting(organisation, on: day)
            let centre = special.first { $0.organisation == acting && $0.subjects?.contains(subject) ?? true }
            if let centre { return Destination(tenancy: centre.tenancy, isCentre: true) }
        }
        return homes.first {
            $0.organisation == organisation && $0.subjects.contains(subject) && $0.from <= day
                && $0.to.map { day < $0 } ?? true
        }.map { Destination(tenancy: $0.tenancy, isCentre: false) }
    }

    /// Whether an organisation has begun by a day, and has not ended.
    package func takesPart(_ organisation: String, on day: String) -> Bool {
        participants.contains { $0.id == organisation && $0.from ?? "" <= day && $0.to.map { day < $0 } ?? true }
    }
}
