import Foundation
import GFNetKit

@main
enum GFNetBench {
    static let help = """
        Benchmarks a Glance-and-Focus network and writes the result that `gfnet bench ingest` reads.

        gfnet-bench run BUNDLE --images DIR --out RESULT.json
            [--units all|cpuOnly|cpuAndGPU|cpuAndNeuralEngine] [--rounds N] [--limit N]
            [--all-steps | --thresholds 0.8,0.7 | --budget 60M]
                on a Mac: a Core ML bundle, on up to N (100) of a folder's photos
        gfnet-bench replay TRACES.json --manifest manifest.json --out RESULT.json [--rounds N]
            [--all-steps | --thresholds 0.8,0.7 | --budget 60M]
                on any system: answers that `gfnet predict --all-steps --logits --json TRACES.json` recorded;
                what takes time is the engine itself
        gfnet-bench validate RESULT.json [--out COPY.json]
                checks a result, and writes it anew
        """

    static func main() async {
        do {
            try await run(Array(CommandLine.arguments.dropFirst()))
        } catch {
            let message = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
            FileHandle.standardError.write(Data("gfnet-bench: \(message)\n".utf8))
            exit(2)
        }
    }

    private static func run(_ arguments: [String]) async throws {
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "run": try await RunCommand.run(rest)
        case "replay": try await ReplayCommand.run(rest)
        case "validate": try ValidateCommand.run(rest)
        case "--help", "-h", "help": print(help)
        case nil: throw UsageError("no command; use run, replay or validate, or --help")
        case let other?: throw UsageError("no such command: \(other); use run, replay or validate, or --help")
        }
    }
}
