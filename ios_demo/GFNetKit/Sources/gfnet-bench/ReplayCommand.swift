import Foundation
import GFNetKit

/// `gfnet-bench replay`.
enum ReplayCommand {
    static func run(_ arguments: [String]) async throws {
        let arguments = try Arguments(
            arguments, options: ["manifest", "out", "rounds", "thresholds", "budget"], flags: ["all-steps"])
        let path = try arguments.onlyWord("TRACES.json")
        let out = URL(fileURLWithPath: try arguments.required("out"))
        let manifest = try Reading.manifest(URL(fileURLWithPath: try arguments.required("manifest")))
        let recorded = try RecordedImage.read(path, manifest: manifest)
        let names = recorded.map(\.image)
        let images = zip(names, Reading.classes(of: names, labels: manifest.labels)).enumerated().map { index, image in
            BenchmarkImage(
                name: Reading.shortName(image.0),
                square: RecordedRunner.square(index, side: manifest.preprocessing.imageSize), classIndex: image.1)
        }
        let runtime = Runtime(name: "replay", version: "1", computeUnits: "CPU", threads: 1)
        let benchmark = Benchmark(
            RecordedRunner(recorded, manifest: manifest),
            about: NetworkDescription(manifest, runtime: runtime),
            images: images,
            plan: BenchmarkPlan(
                rounds: try arguments.count("rounds", default: 10),
                thresholds: try Reading.thresholds(arguments, manifest)),
            monitor: HostMonitor())
        try await Reading.measure(benchmark, out: out)
    }
}
