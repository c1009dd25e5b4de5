import Foundation
import GFNetKit

/// `gfnet-bench replay`.
enum ReplayCommand {
    static func run(_ arguments: [String]) async throws {
        let arguments = try Arguments(
            arguments, options: ["manifest", "out", "rounds", "thresholds", "budget"], flags: ["all-steps"])
        let traces = try RecordedTrace.read(URL(fileURLWithPath: try arguments.onlyWord("TRACES.json")))
        let out = URL(fileURLWithPath: try arguments.required("out"))
        let manifest = try ModelBundle.readManifest(URL(fileURLWithPath: try arguments.required("manifest")))
        let runner = try ReplayStepRunner(traces: traces, manifest: manifest)
        let classes = Reading.classes(of: traces.map(\.image), labels: manifest.labels)
        let images = traces.indices.map { index in
            BenchmarkImage(
                name: Reading.shortName(traces[index].image), square: runner.square(of: index),
                classIndex: classes[index])
        }
        let benchmark = Benchmark(
            runner,
            about: NetworkDescription(
                manifest, runtime: Runtime(name: "replay", version: "1", computeUnits: "CPU", threads: 1)),
            images: images,
            plan: BenchmarkPlan(
                rounds: try arguments.count("rounds", default: 10),
                thresholds: try manifest.thresholds(for: Reading.exitRule(arguments))),
            monitor: HostMonitor())
        try await Reading.measure(benchmark, out: out)
    }
}
