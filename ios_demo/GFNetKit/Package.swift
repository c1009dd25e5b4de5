// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "GFNetKit",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "GFNetKit", targets: ["GFNetKit"]),
        .executable(name: "gfnet-bench", targets: ["gfnet-bench"]),
    ],
    targets: [
        .target(name: "GFNetKit"),
        .executableTarget(name: "gfnet-bench", dependencies: ["GFNetKit"]),
        .executableTarget(name: "gfnet-manifest-check", dependencies: ["GFNetKit"]),
        .target(name: "CAllocations"),
        .executableTarget(
            name: "gfnet-engine-time", dependencies: ["GFNetKit", "CAllocations"]),
        .testTarget(
            name: "GFNetKitTests",
            dependencies: ["GFNetKit"],
            resources: [.copy("Fixtures")]
        ),
    ],
    swiftLanguageModes: [.v6]
)
