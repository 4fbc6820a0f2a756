import Testing

@testable import Node

@Suite("When synthetic appeals come")
struct SampleArrivalsTests {
    @Test("Within the time of the load, one after the other", arguments: SampleArrivals.Load.allCases)
    func order(_ load: SampleArrivals.Load) throws {
        let arrivals = try SampleArrivals(load, count: load.count)
        let instants = (0..<load.count).map(arrivals.instant)
        #expect(instants == instants.sorted())
        #expect((instants.first ?? -1) >= 0 && (instants.last ?? .infinity) <= load.seconds)
    }

    @Test("A day has its busy hours and its night")
    func day() throws {
        let arrivals = try SampleArrivals(.day, count: 30_000)
        var hours = [Int](repeating: 0, count: 24)
        for number in 0..<30_000 { hours[min(23, Int(arrivals.instant(number) / 25))] += 1 }
        // The source's reckoning has 10 to 12 in 100 in the busiest hour of one zone; eleven zones flatten it.
        #expect((0.07...0.12).contains(arrivals.peak))
        #expect(Double(hours.max() ?? 0) / 30_000 <= arrivals.peak + 0.001)
        #expect(hours.min() ?? 30_000 < 300 && hours.reduce(0, +) == 30_000)
    }
}
