import Foundation
import GFNetKit

/// What the commands share.
enum Reading {
    static func manifest(_ url: URL) throws -> Manifest {
        guard let content = try? Data(contentsOf: url) else {
            throw UsageError("\(url.path): cannot be read; give the manifest.json of a bundle")
        }
        return try JSONDecoder().decode(Manifest.self, from: content)
    }

    /// Classes of images whose folders are called like them; `nil` for all where one is not.
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
    ///
    /// - Returns: T thresholds; `nil` runs all steps.
    static func thresholds(_ arguments: Arguments, _ manifest: Manifest) throws -> [Double]? {
        let given = [arguments.has("all-steps"), arguments["thresholds"] != nil, arguments["budget"] != nil]
        if given.count(where: { $0 }) > 1 {
            throw UsageError("--all-steps, --thresholds and --budget exclude one another; give one")
        }
        if arguments.has("all-steps") { return nil }
        if let text = arguments["thresholds"] {
            let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
            let wanted = [manifest.steps - 1, manifest.steps]
            guard wanted.contains(values.count), values.allSatisfy({ $0.map { $0 >= 0 } ?? false }) else {
                throw UsageError("--thresholds \(text): give \(wanted[0]) or \(wanted[1]) numbers from 0 up, e.g. 0.8,0.7")
            }
            return values.prefix(manifest.steps - 1).compactMap { $0 } + [-1e8]
        }
        if let text = arguments["budget"] {
            let units: [Character: Double] = ["K": 1e3, "M": 1e6, "G": 1e9]
            let factor = units[text.uppercased().last ?? " "]
            guard let number = Double(factor == nil ? text : String(text.dropLast())) else {
                throw UsageError("--budget \(text): give multiply-adds, e.g. 60M")
            }
            let met = manifest.budgets.filter { $0.budget <= number * (factor ?? 1) }
            guard let best = met.max(by: { $0.budget < $1.budget }) else {
                throw UsageError("--budget \(text): no stored thresholds cost as little; give more, or --all-steps")
            }
            return best.thresholds
        }
        return manifest.budgets.max { ($0.top1 ?? 0, -$0.budget) < ($1.top1 ?? 0, -$1.budget) }?.thresholds
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
            print("\(subject.name): after each step \(stops) ms; own exits \(String(format: "%.4g", subject.loop.typicalMs)) ms")
        }
        for reason in result.unreliable { print("UNRELIABLE: \(reason)") }
        print(out.path)
    }
}
