import Foundation
import GFNetKit

/// What the commands share.
enum Reading {
    /// Classes of images, by the names of their folders; `nil` for all if one folder has another name.
    static func classes(of paths: [String], labels: [String]?) -> [Int?] {
        let index = Dictionary((labels ?? []).enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        let found = paths.map { path in
            index[URL(fileURLWithPath: path).deletingLastPathComponent().lastPathComponent]
        }
        return found.contains(nil) ? found.map { _ in nil } : found
    }

    /// Folder and file.
    static func shortName(_ path: String) -> String {
        path.split(separator: "/").suffix(2).joined(separator: "/")
    }

    /// When images stop: as asked for, or else by the manifest's most accurate thresholds.
    static func exitRule(_ arguments: Arguments) throws -> ExitRule {
        let given = [arguments.has("all-steps"), arguments["thresholds"] != nil, arguments["budget"] != nil]
        if given.count(where: { $0 }) > 1 {
            throw UsageError("--all-steps, --thresholds and --budget exclude one another; give one")
        }
        if arguments.has("all-steps") { return .allSteps }
        if let text = arguments["thresholds"] {
            let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
            guard !values.contains(nil) else {
                throw UsageError("--thresholds \(text): give comma-separated numbers, e.g. 0.8,0.7")
            }
            return .thresholds(values.compactMap { $0 })
        }
        if let text = arguments["budget"] {
            let factor = ["K": 1e3, "M": 1e6, "G": 1e9][text.suffix(1).uppercased()]
            guard let number = Double(factor == nil ? text : String(text.dropLast())) else {
                throw UsageError("--budget \(text): give multiply-adds, e.g. 60M")
            }
            return .budget(number * (factor ?? 1))
        }
        return .mostAccurate
    }

    /// Runs a benchmark, with a line on standard error for each round, and writes its result.
    static func measure<Runner: StepRunner>(_ benchmark: Benchmark<Runner>, out: URL) async throws {
        let result = try await benchmark.run { progress in
            guard progress.phase == .measuring, progress.done * 10 % progress.total < 10 else { return }
            FileHandle.standardError.write(Data("bench: \(progress.done) of \(progress.total) images\n".utf8))
        }
        try ResultFile.write(result, to: out)
        for subject in result.subjects {
            let stops = subject.stops.map { String(format: "%.4g", $0.typicalMs) }.joined(separator: ", ")
            print(
                "\(subject.name): after each step \(stops) ms; own exits \(String(format: "%.4g", subject.loop.typicalMs)) ms"
            )
        }
        for reason in result.unreliable { print("UNRELIABLE: \(reason)") }
        print(out.path)
    }
}
