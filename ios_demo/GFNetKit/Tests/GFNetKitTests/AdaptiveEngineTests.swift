import Foundation
import Testing

@testable import GFNetKit

/// Something that several tasks write to.
private actor Log {
    private(set) var lines: [String] = []
    func add(_ line: String) { lines.append(line) }
}

/// Seconds that go on by one each time somebody looks.
private final class Ticks: @unchecked Sendable {
    private let lock = NSLock()
    private var now = 0.0

    func next() -> Double {
        lock.withLock {
            now += 1
            return now
        }
    }
}

private let half = Double(Float(1 / (1 + exp(-1.0))))  // the glance's confidence

@Test func anImageStopsWhenItsConfidenceReachesTheThreshold() async throws {
    let engine = AdaptiveEngine(ScriptedRunner())
    for (thresholds, exit) in [
        ([half, 0, 0], 1), ([half + 1e-12, 2, 0], 1),  // equal once it is a Float
        ([half + 1e-6, 0, 0], 2), ([2, 0.88, 0], 2), ([2, 0.89, 0], 3), ([2, 2, 2], 3), ([.nan, .nan, .nan], 3),
        ([-1e8, 0, 0], 1),
    ] {
        let trace = try await engine.classify(ScriptedRunner.square, name: "image", thresholds: thresholds)
        #expect(trace.exitStep == exit, "\(thresholds)")
    }
    #expect(try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil).exitStep == 3)
}

@Test func aTraceTellsWhatHappened() async throws {
    let ticks = Ticks()
    let engine = AdaptiveEngine(ScriptedRunner(logits: [[0, 1], [5, 2], [0, 3]])) { ticks.next() }
    let trace = try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil)
    #expect(trace.image == "image")
    #expect(trace.steps.map(\.step) == [1, 2, 3])
    #expect(trace.steps.map(\.classIndex) == [1, 0, 1])
    #expect(trace.steps.map(\.origin) == [nil, Origin(row: 6, column: 12), Origin(row: 6, column: 12)])
    #expect(trace.steps.map(\.seconds) == [1, 1, 1])
    #expect(abs(trace.confidence - Float(1 / (1 + exp(-3.0)))) < 1e-7)
}

@Test func everyStepIsToldBeforeTheNextBegins() async throws {
    let log = Log()
    let engine = AdaptiveEngine(ScriptedRunner(before: { name in await log.add(name) }))
    let (told, teller) = AsyncStream<Int>.makeStream()
    _ = try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil) { teller.yield($0.step) }
    teller.finish()
    var steps: [Int] = []
    for await step in told { steps.append(step) }
    #expect(steps == [1, 2, 3])
    #expect(await log.lines == ["glance", "propose", "focus 2", "propose", "focus 3"])
}

@Test(arguments: [[], [Float.nan, 1], [1, .infinity], [-.infinity, 0]])
func logitsThatAreNoNumbersAreAnError(logits: [Float]) async {
    for step in 1...3 {
        var runner = ScriptedRunner()
        runner.logits[step - 1] = logits
        let engine = AdaptiveEngine(runner)
        await #expect(throws: EngineError.brokenLogits(image: "image", step: step)) {
            try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil)
        }
    }
}

@Test(arguments: [
    Action(row: .nan, column: 0), Action(row: 0, column: .infinity), Action(row: -0.01, column: 0),
    Action(row: 0, column: 1.01),
])
func anActionOutsideIsAnError(action: Action) async {
    let engine = AdaptiveEngine(ScriptedRunner(action: action))
    await #expect(throws: EngineError.brokenAction(image: "image", step: 2)) {
        try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil)
    }
}

@Test func anEngineGoesOnAfterAnError() async throws {
    let engine = AdaptiveEngine(ScriptedRunner(logits: [[0, 1], [.nan, 0], [0, 1]]))
    await #expect(throws: EngineError.self) {
        try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil)
    }
    #expect(try await engine.classify(ScriptedRunner.square, name: "image", thresholds: [0, 0, 0]).exitStep == 1)
}

@Test func aWrongSquareOrNumberOfThresholdsIsAnError() async {
    let engine = AdaptiveEngine(ScriptedRunner())
    await #expect(throws: EngineError.wrongThresholds(count: 2, steps: 3)) {
        try await engine.classify(ScriptedRunner.square, name: "image", thresholds: [1, 1])
    }
    let small = PixelSquare(side: 1, bytes: [0, 0, 0])
    await #expect(throws: EngineError.wrongSquare(image: "image", side: 1, expected: 20)) {
        try await engine.classify(small, name: "image", thresholds: nil)
    }
}

@Test func aCancelledTaskStopsBetweenTwoSteps() async throws {
    let log = Log()
    let engine = AdaptiveEngine(
        ScriptedRunner(before: { name in
            await log.add(name)
            if name == "focus 2" { withUnsafeCurrentTask { $0?.cancel() } }
        }))
    let task = Task { try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil) }
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(await log.lines == ["glance", "propose", "focus 2"])
    #expect(try await engine.classify(ScriptedRunner.square, name: "image", thresholds: [0, 0, 0]).exitStep == 1)
}

@Test func imagesDoNotMixInOneRunner() async throws {
    let log = Log()
    let engine = AdaptiveEngine(
        ScriptedRunner(before: { name in
            await log.add(name)
            for _ in 0..<20 { await Task.yield() }
        }))
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<10 {
            group.addTask { _ = try await engine.classify(ScriptedRunner.square, name: "image", thresholds: nil) }
        }
        try await group.waitForAll()
    }
    let one = ["glance", "propose", "focus 2", "propose", "focus 3"]
    #expect(await log.lines == Array(repeating: one, count: 10).flatMap { $0 })
}

@Test func whoIsCancelledWhileWaitingLeavesTheQueue() async throws {
    let (open, gate) = AsyncStream<Void>.makeStream()
    let log = Log()
    let engine = AdaptiveEngine(
        ScriptedRunner(before: { name in
            await log.add(name)
            if name == "glance" { for await _ in open { break } }
        }))
    let first = Task { try await engine.classify(ScriptedRunner.square, name: "first", thresholds: [0, 0, 0]) }
    while await log.lines.isEmpty { await Task.yield() }
    let second = Task { try await engine.classify(ScriptedRunner.square, name: "second", thresholds: nil) }
    for _ in 0..<100 { await Task.yield() }
    second.cancel()
    await #expect(throws: CancellationError.self) { try await second.value }
    gate.yield()
    gate.finish()
    #expect(try await first.value.exitStep == 1)
    #expect(try await engine.classify(ScriptedRunner.square, name: "third", thresholds: [0, 0, 0]).exitStep == 1)
    #expect(await log.lines == ["glance", "glance"])
}

@Test func tiesGoToTheFirstClass() throws {
    let answer = try #require(mostLikely([1, 3, 3, 0]))
    #expect(answer.classIndex == 1)
    #expect(try #require(mostLikely([0])).confidence == 1)
    #expect(try #require(mostLikely([-3e38, 3e38])).confidence == 1)  // their difference overflows a Float
}
