import Federation
import FoundationEssentials
import SampleData

/// When appeals come: the loads that the source names, so that they can be repeated.
struct SampleArrivals {
    enum Load: String, CaseIterable {
        /// 800 calls within 10 seconds (mission, item 8).
        case burst
        /// A day of 30,000 appeals in ten minutes (mission, items 3 and 9; A1).
        case day

        var count: Int { self == .burst ? 800 : 30_000 }
        var seconds: Double { self == .burst ? 10 : 600 }
    }

    /// Hundredths of a subject's day, by its own clock: two peaks, a quiet night. An assumption: the source has none.
    private static let hours = [
        0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.5, 2, 5, 8, 11, 11, 8, 8, 10, 10, 8, 6, 4, 3, 1.5, 0.8, 0.4, 0.3,
    ]

    private struct Subject: Decodable { var utc_offset: String }

    private let load: Load
    private let count: Int
    /// Of all appeals of the day, by the end of each hour UTC.
    private let through: [Double]

    init(_ load: Load, count: Int) throws(FederationError) {
        self.load = load
        self.count = count
        guard let subjects = try? JSONDecoder().decode([Subject].self, from: Data(SampleData.subjects)) else {
            throw FederationError("sample-damaged", "the subjects cannot be read", remedy: "build ekc again")
        }
        // Each subject weighs the same: the source counts no people.
        let offsets = subjects.map { Int($0.utc_offset.prefix(3)) ?? 3 }
        let weights = (0..<24).map { hour in
            offsets.reduce(0.0) { $0 + SampleArrivals.hours[(hour + $1 + 24) % 24] }
        }
        let whole = weights.reduce(0, +)
        var sum = 0.0
        through = weights.map { weight in
            sum += weight / whole
            return sum
        }
    }

    /// Seconds after the beginning; later numbers come later.
    func instant(_ number: Int) -> Double {
        let share = (Double(number) + 0.5) / Double(count)
        guard load == .day else { return share * load.seconds }
        let hour = through.firstIndex { $0 >= share } ?? 23
        let before = hour == 0 ? 0 : through[hour - 1]
        return (Double(hour) + (share - before) / (through[hour] - before)) / 24 * load.seconds
    }

    /// Of all, in the busiest hour.
    var peak: Double { zip(through, [0] + through).map { $0 - $1 }.max() ?? 0 }
}
