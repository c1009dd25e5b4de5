import Foundation
import Testing

@testable import GFNetKit

/// Of a confidence, relative: Python's sums are in single precision.
private let confidenceTolerance: Float = 2e-6

/// What Python decided under one rule.
private struct Decisions: Decodable {
    struct Rule: Decodable {
        let budget: Double?
        let thresholds: [Double]?

        /// Both are missing where the most accurate point was asked for.
        var exitRule: ExitRule {
            budget.map { .budget($0) } ?? thresholds.map { .thresholds($0) } ?? .mostAccurate
        }
    }

    struct Image: Decodable {
        let exitStep: Int
        let classIndex: Int
        let label: String
        let confidence: Float
        let origins: [[Int]]

        enum CodingKeys: String, CodingKey {
            case exitStep = "exit_step"
            case classIndex = "class_index"
            case label, confidence, origins
        }
    }

    let rule: Rule
    let chosen: [Double]
    let images: [Image]
}

@Test func theEngineDecidesWhatPythonDecided() async throws {
    let manifest = try Fixtures.manifest()
    let runner = try Fixtures.runner()
    let engine = AdaptiveEngine(runner)
    var exits: Set<Int> = []
    for decisions in try Fixtures.decode([Decisions].self, "decisions.json") {
        let thresholds = try manifest.thresholds(for: decisions.rule.exitRule)
        #expect(thresholds == decisions.chosen)
        #expect(decisions.images.count == runner.traces.count)
        for (index, image) in decisions.images.enumerated() {
            let trace = try await engine.classify(
                runner.square(of: index), name: runner.traces[index].image, thresholds: thresholds)
            #expect(trace.exitStep == image.exitStep)
            #expect(trace.classIndex == image.classIndex)
            #expect(manifest.label(trace.classIndex) == image.label)
            #expect(abs(trace.confidence - image.confidence) <= confidenceTolerance * image.confidence)
            #expect(trace.steps.compactMap(\.origin).map { [$0.row, $0.column] } == image.origins)
            exits.insert(trace.exitStep)
        }
    }
    #expect(exits == [1, 2, 3])
}

@Test func allStepsAreThoseThatPythonRecorded() async throws {
    let runner = try Fixtures.runner()
    let engine = AdaptiveEngine(runner)
    for (index, recorded) in runner.traces.enumerated() {
        let trace = try await engine.classify(runner.square(of: index), name: recorded.image, thresholds: nil)
        #expect(trace.steps.count == recorded.steps.count)
        for (step, wanted) in zip(trace.steps, recorded.steps) {
            #expect(step.step == wanted.step)
            #expect(step.action == wanted.action)
            #expect(step.origin == wanted.origin)
            #expect(step.logits == wanted.logits)
            #expect(step.classIndex == wanted.classIndex)
            #expect(abs(step.confidence - wanted.confidence) <= confidenceTolerance * wanted.confidence)
        }
    }
}

@Test func anotherPatchThanTheRecordedOneHasNoAnswer() async throws {
    let runner = try Fixtures.runner()
    let (_, state) = try await runner.glance(runner.square(of: 1))
    await #expect(throws: ReplayError.self) {
        try await runner.focus(Origin(row: 0, column: 80), step: 2, state: state)
    }
    await #expect(throws: ReplayError.self) {
        try await runner.focus(Origin(row: 0, column: 0), step: 3, state: state)
    }
}

@Test func aRecordingWithoutAllStepsOrOfAnotherNetworkIsRefused() throws {
    let traces = try RecordedTrace.read(Fixtures.url("traces.json"))
    let short = RecordedTrace(image: "short", steps: Array(traces[0].steps.prefix(2)))
    #expect(throws: ReplayError.self) { try ReplayStepRunner(traces: traces + [short], imageSize: 120, patchSize: 40) }
    #expect(throws: ReplayError.self) { try ReplayStepRunner(traces: [short], manifest: Fixtures.manifest()) }
    #expect(throws: ReplayError.self) { try ReplayStepRunner(traces: [], imageSize: 120, patchSize: 40) }
}

@Test func aFileThatIsNoRecordingIsNamed() throws {
    for name in ["manifest.json", "none.json"] {
        let error = #expect(throws: ReplayError.self) { try RecordedTrace.read(Fixtures.url(name)) }
        #expect(try #require(error).description.contains(name))
    }
}
