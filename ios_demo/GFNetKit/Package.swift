// swift-tools-version: 6.0
import PackageDescription

let strict: [SwiftSetting] = [.unsafeFlags(["-warnings-as-errors"])]

let package = Package(
    name: "GFNetKit",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "GFNetKit", targets: ["GFNetKit"]),
        .executable(name: "gfnet-bench", targets: ["gfnet-bench"]),
    ],
    targets: [
        .target(name: "GFNetKit", swiftSettings: strict),
        .executableTarget(name: "gfnet-bench", dependencies: ["GFNetKit"], swiftSettings: strict),
        .executableTarget(name: "gfnet-manifest-check", dependencies: ["GFNetKit"], swiftSettings: strict),
        .target(name: "CAllocations"),
        .executableTarget(
            name: "gfnet-engine-time", dependencies: ["GFNetKit", "CAllocations"], swiftSettings: strict),
        .testTarget(
            name: "GFNetKitTests",
            dependencies: ["GFNetKit"],
            resources: [.copy("Fixtures")],
            swiftSettings: strict
        ),
    ],
    swiftLanguageModes: [.v6]
)
