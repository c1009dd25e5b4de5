import CAllocations
import Foundation
import GFNetKit

/// `gfnet-engine-time`: what this package's own work takes, beside that of any network.
///
/// Prints the engine's time and allocations a step, and the time of resizing and cropping a square; medians of rounds.
@main
enum EngineTime {
    private static let rounds = 15

    static func main() async throws {
        try await engine(classes: 10)
        try await engine(classes: 1000)
        let large = noise(side: 3464)  // 12 megapixels
        for (square, patch) in [(noise(side: 224), 96), (large, 96), (large, 224)] {
            try geometry(square, patch)
        }
    }

    private static func geometry(_ square: PixelSquare, _ patch: Int) throws {
        var total: Float = 0
        for interpolation in [Interpolation.bicubic, .bilinear] {
            let resize = GlanceResize(imageSize: square.side, patchSize: patch, interpolation: interpolation)
            let seconds = try median(of: 20) { total += try resize(square).values[0] }
            report("\(interpolation) resize, \(square.side) to \(patch)", seconds, total)
        }
        let room = square.side - patch
        let copied = try median(of: 200) {
            total += try PatchView(of: square, at: Origin(row: room / 2, column: room / 3), side: patch)
                .planes().values[0]
        }
        report("crop of \(patch) from \(square.side), copied as planes", copied, total)
        let viewed = try median(of: 2000) {
            total += try PatchView(of: square, at: Origin(row: room / 2, column: room / 3), side: patch)
                .withUnsafeBufferPointer { Float($0[0]) }
        }
        report("crop of \(patch) from \(square.side), a view", viewed, total)
    }

    private static func engine(classes: Int) async throws {
        let runner = Ready(classes: classes)
        let engine = AdaptiveEngine(runner)
        let square = noise(side: runner.imageSize)
        var steps = 0
        let calls = 2000
        var samples: [Double] = []
        for _ in 0...rounds {
            let start = systemClock()
            for _ in 0..<calls {
                steps += try await engine.classify(square, name: "image", thresholds: nil).steps.count
            }
            samples.append((systemClock() - start) / Double(calls * runner.steps))
        }
        report("engine, \(classes) classes, one step", middle(samples), Float(steps))
        let images = 1000
        let before = allocations_so_far()
        for _ in 0..<images {
            steps += try await engine.classify(square, name: "image", thresholds: nil).steps.count
        }
        let allocations = Double(allocations_so_far() - before) / Double(images * runner.steps)
        if allocations_are_counted() != 0 {
            print("engine, \(classes) classes: \(String(format: "%.2f", allocations)) allocations a step")
        }
    }

    /// Seconds that something takes: the median over rounds of the mean of so many calls.
    private static func median(of calls: Int, _ body: () throws -> Void) rethrows -> Double {
        var samples: [Double] = []
        for _ in 0...rounds {
            let start = systemClock()
            for _ in 0..<calls { try body() }
            samples.append((systemClock() - start) / Double(calls))
        }
        return middle(samples)
    }

    /// Their median without the first, which warms up.
    private static func middle(_ samples: [Double]) -> Double {
        samples.dropFirst().sorted()[rounds / 2]
    }

    /// `result` is what was computed, so that the compiler cannot leave it out.
    private static func report(_ what: String, _ seconds: Double, _ result: Float) {
        precondition(result.isFinite, "the result is NaN or infinite")
        print("\(what): \(String(format: "%.3f", seconds * 1e6)) us")
    }

    private static func noise(side: Int) -> PixelSquare {
        var random: UInt32 = 1
        let bytes = (0..<3 * side * side).map { _ in
            random = random &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: random >> 24)
        }
        return PixelSquare(side: side, bytes: bytes)
    }
}
