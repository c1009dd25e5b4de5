import GFNetKit
import PhotosUI
import SwiftUI

/// Measures the network on this phone, and shares what was found.
struct BenchmarkView: View {
    @StateObject private var model: BenchmarkModel

    init(model: @autoclosure @escaping () -> BenchmarkModel) {
        _model = StateObject(wrappedValue: model())
    }

    var body: some View {
        NavigationStack {
            Form {
                Section("What is measured") {
                    Picker("Compute units", selection: $model.units) {
                        ForEach(ComputeUnits.allCases) { Text($0.title).tag($0) }
                    }
                    Stepper("Repetitions: \(model.rounds)", value: $model.rounds, in: 1...100)
                    PhotosPicker(selection: $model.items, maxSelectionCount: 50, matching: .images) {
                        Label("Photos: \(model.items.count)", systemImage: "photo.on.rectangle")
                    }
                }
                .disabled(model.isRunning)
                Section {
                    BenchmarkStatus(model: model)
                } footer: {
                    Text("Plugged in, cool, no low-power mode, and with this app in front: else the result says so.")
                }
                if !model.roundMs.isEmpty {
                    Section("Milliseconds an image, each round") { RoundChart(values: model.roundMs) }
                }
            }
            .navigationTitle("Benchmark")
        }
    }
}

private struct BenchmarkStatus: View {
    @ObservedObject var model: BenchmarkModel

    var body: some View {
        switch model.state {
        case .running(let progress):
            BenchmarkProgressView(progress: progress)
            Button("Stop", role: .cancel) { model.stop() }
        case .done(let result, let file):
            ResultSummary(result: result)
            ShareLink("Share the result", item: file)
            start
        case .failed(let reason):
            FailureLine(reason: reason)
            start
        case .idle:
            start
        }
    }

    private var start: some View {
        Button("Measure") { model.start() }.disabled(model.items.isEmpty)
    }
}

private struct BenchmarkProgressView: View {
    let progress: BenchmarkProgress?

    var body: some View {
        switch progress?.phase {
        case .measuring:
            ProgressView("Measuring", value: Double(progress?.done ?? 0), total: Double(progress?.total ?? 1))
        case .warmup:
            ProgressView("Warming up, round \(progress?.done ?? 0)")
        case nil:
            ProgressView("Loading")
        }
    }
}

private struct ResultSummary: View {
    let result: BenchmarkResult

    var body: some View {
        ForEach(result.subjects, id: \.name) { subject in
            ForEach(subject.stops, id: \.step) { stop in
                LabeledContent("After step \(stop.step)", value: milliseconds(stop.typicalMs))
            }
            LabeledContent("With own exits", value: milliseconds(subject.loop.typicalMs))
        }
        ForEach(result.unreliable, id: \.description) { FailureLine(reason: $0.description) }
    }

    private func milliseconds(_ value: Double) -> String { String(format: "%.2f ms", value) }
}
