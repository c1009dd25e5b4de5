// swift-tools-version: 6.0
import PackageDescription

// GFNetKit and its tools; the sources are in `ios_demo/GFNetKit`.  This file lies at the repository's root, where Swift's
// package manager looks for it when another package depends on GFNetKit by the repository's address.

let sources = "ios_demo/GFNetKit/Sources/"

let package = Package(
    name: "GFNetKit",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "GFNetKit", targets: ["GFNetKit"]),
        .executable(name: "gfnet-bench", targets: ["gfnet-bench"]),
    ],
    targets: [
        .target(name: "GFNetKit", path: sources + "GFNetKit"),
        .executableTarget(name: "gfnet-bench", dependencies: ["GFNetKit"], path: sources + "gfnet-bench"),
        .executableTarget(
            name: "gfnet-manifest-check", dependencies: ["GFNetKit"], path: sources + "gfnet-manifest-check"),
        .target(name: "CAllocations", path: sources + "CAllocations"),
        .executableTarget(
            name: "gfnet-engine-time", dependencies: ["GFNetKit", "CAllocations"], path: sources + "gfnet-engine-time"),
        .testTarget(
            name: "GFNetKitTests",
            dependencies: ["GFNetKit"],
            path: "ios_demo/GFNetKit/Tests/GFNetKitTests",
            resources: [.copy("Fixtures")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
