import Foundation
import GFNetKit

/// `gfnet-bench run`.
enum RunCommand {
    static func run(_ arguments: [String]) async throws {
        #if canImport(CoreML)
            try await runCoreML(arguments)
        #else
            throw UsageError(
                "only a Mac has Core ML to run a bundle with; `gfnet bench onnx` measures here, `replay` plays traces")
        #endif
    }

    #if canImport(CoreML)
        private static func runCoreML(_ arguments: [String]) async throws {
            let arguments = try Arguments(
                arguments, options: ["images", "out", "units", "rounds", "limit", "thresholds", "budget"],
                flags: ["all-steps"])
            let folder = URL(fileURLWithPath: try arguments.onlyWord("BUNDLE"))
            let photos = URL(fileURLWithPath: try arguments.required("images"))
            let out = URL(fileURLWithPath: try arguments.required("out"))
            let name = arguments["units"] ?? "all"
            guard let units = ComputeUnits(rawValue: name) else {
                let known = ComputeUnits.allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("--units \(name): use one of \(known)")
            }
            let bundle = try ModelBundle.open(folder)
            let (images, unreadable) = try Reading.photos(
                in: photos, atMost: try arguments.count("limit", default: 100), bundle.manifest)
            guard let first = images.first else {
                throw UsageError("\(photos.path): no photo that can be read; give a folder of photos")
            }
            let (runner, cold) = try await ColdStart.measure(on: first) {
                let runner = try CoreMLStepRunner(bundle, units: units)
                try await runner.load()
                return runner
            }
            let benchmark = Benchmark(
                runner,
                about: try NetworkDescription(bundle, units: units),
                images: images,
                unreadable: unreadable,
                plan: BenchmarkPlan(
                    rounds: try arguments.count("rounds", default: 10),
                    thresholds: try bundle.manifest.thresholds(for: Reading.exitRule(arguments))),
                cold: cold,
                monitor: HostMonitor())
            try await Reading.measure(benchmark, out: out)
        }
    #endif
}
