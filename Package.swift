// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "ekc",
    products: [
        .executable(name: "ekc", targets: ["Node"])
    ],
    targets: [
        // System modules: declarations and `static inline` only.
        .systemLibrary(name: "CLMDB"),
        .systemLibrary(name: "CXXHash"),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CMicroHTTPD"),
        .systemLibrary(name: "CCurl"),
        .target(
            name: "CryptoShim",
            cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto"), .linkedLibrary("sodium")]
        ),
        .target(
            name: "Federation", dependencies: ["CryptoShim", "CLMDB", "CXXHash", "CLinux"], swiftSettings: settings),
        .target(name: "ContactCentre", dependencies: ["Federation"], swiftSettings: settings),
        // Sample knowledge and the 89 subjects: in a target of their own, so that an edit elsewhere does not embed them again.
        .target(
            name: "SampleData",
            resources: [
                .embedInCode("kb-sample.json"), .embedInCode("subjects.json"), .embedInCode("demo-topology.json"),
                .embedInCode("federation-topology.json"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "Node",
            dependencies: ["ContactCentre", "Federation", "SampleData", "CMicroHTTPD", "CCurl", "CLinux"],
            swiftSettings: settings
        ),
        .target(
            name: "FederationTestKit",
            dependencies: ["Federation", "CLinux"],
            path: "Tests/FederationTestKit",
            swiftSettings: settings
        ),
        .testTarget(
            name: "FederationTests",
            dependencies: ["Federation", "FederationTestKit", "CryptoShim", "CLMDB", "CLinux"],
            exclude: ["Samples"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ContactCentreTests",
            dependencies: ["ContactCentre", "Federation", "FederationTestKit", "SampleData"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "NodeTests",
            dependencies: ["Node", "ContactCentre", "Federation", "FederationTestKit", "SampleData", "CLinux"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["ContactCentre", "Federation", "FederationTestKit"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["Node", "ContactCentre", "Federation", "FederationTestKit", "SampleData", "CLinux"],
            swiftSettings: settings
        ),
    ]
)
