import GFNetKit
import PhotosUI
import SwiftUI
import UIKit

/// A benchmark on this phone, from the photos to the result's file.
@MainActor
final class BenchmarkModel: ObservableObject {
    enum State {
        case idle
        case running(BenchmarkProgress?)
        case done(BenchmarkResult, file: URL)
        case failed(String)
    }

    @Published private(set) var state = State.idle
    @Published private(set) var roundMs: [Double] = []
    @Published var units = ComputeUnits.all
    @Published var rounds = 10
    @Published var items: [PhotosPickerItem] = []

    private let bundle: ModelBundle
    private let monitor = PhoneMonitor()
    private var task: Task<Void, Never>?

    init(_ bundle: ModelBundle) {
        self.bundle = bundle
    }

    var isRunning: Bool {
        if case .running = state { return true }
        return false
    }

    func start() {
        (state, roundMs) = (.running(nil), [])
        UIApplication.shared.isIdleTimerDisabled = true  // a screen that goes dark stops the app
        task = Task {
            do {
                let result = try await measure()
                let file = FileManager.default.temporaryDirectory.appendingPathComponent("gfnet-result.json")
                try ResultFile.write(result, to: file)
                roundMs = result.subjects.first?.loop.roundMs ?? []
                state = .done(result, file: file)
            } catch is CancellationError {
                state = .idle
            } catch {
                state = .failed(error.localizedDescription)
            }
            UIApplication.shared.isIdleTimerDisabled = false
        }
    }

    func stop() {
        task?.cancel()
    }

    private func measure() async throws -> BenchmarkResult {
        let (images, unreadable) = try await photos()
        guard let first = images.first else { throw BenchmarkError("no photo can be read; choose others") }
        let (bundle, units) = (bundle, units)
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
            plan: BenchmarkPlan(rounds: rounds, thresholds: try bundle.manifest.thresholds(for: .mostAccurate)),
            cold: cold,
            monitor: monitor)
        let (reports, report) = AsyncStream.makeStream(of: BenchmarkProgress.self, bufferingPolicy: .bufferingNewest(1))
        let watching = Task {
            for await progress in reports {
                // What was still on its way must not hide the result.
                guard !Task.isCancelled else { break }
                state = .running(progress)
                roundMs = progress.roundMs
            }
        }
        defer {
            report.finish()
            watching.cancel()
        }
        return try await benchmark.run { report.yield($0) }
    }

    private func photos() async throws -> (images: [BenchmarkImage], unreadable: [String]) {
        var images: [BenchmarkImage] = []
        var unreadable: [String] = []
        for (index, item) in items.enumerated() {
            let name = "photo \(index + 1)"  // a result that is shared contains no file names
            do {
                guard let content = try await item.loadTransferable(type: Data.self) else {
                    throw PhotoError("\(name): cannot be loaded; choose another")
                }
                let square = try PhotoSquare.square(of: content, name: name, bundle.manifest.preprocessing)
                images.append(BenchmarkImage(name: name, square: square))
            } catch {
                unreadable.append(error.localizedDescription)
            }
            try Task.checkCancellation()
        }
        return (images, unreadable)
    }
}
