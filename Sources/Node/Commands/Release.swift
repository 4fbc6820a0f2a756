import Federation

/// What this software is, for people who ask it.
enum Release {
    static let version = "0.2.0-dev"

    static var words: String {
        "ekc \(version), wire \(Hello.protocolVersion), store format \(Store.format)"
    }
}
