import Foundation
import Testing

@testable import GFNetKit

private func benchmark(
    images: [BenchmarkImage] = (0..<3).map { FakeRunner.image($0) }, rounds: Int = 4,
    thresholds: [Double]? = [0.9, 0.9, -1e8], device: FakeDevice = FakeDevice(), time: FakeClock = FakeClock()
) -> Benchmark<FakeRunner> {
    Benchmark(
        FakeRunner(time: time), about: .fake, images: images,
        plan: BenchmarkPlan(rounds: rounds, thresholds: thresholds), monitor: device, clock: time.clock,
        now: { Date(timeIntervalSince1970: 0) })
}

private func isClose(_ found: Double?, _ expected: Double) -> Bool {
    abs((found ?? .nan) - expected) < 1e-9
}

@Test func aRunSaysWhatEveryStepCostAndWhereEachImageStopped() async throws {
    let result = try await benchmark().run()
    let subject = try #require(result.subjects.first)
    #expect(zip(subject.stops, [1.0, 3, 5]).allSatisfy { isClose($0.typicalMs, $1) })
    #expect(subject.loop.answers.map(\.exitStep) == [1, 2, 3])
    #expect(zip(subject.loop.exitDistribution, [1.0, 1, 1]).allSatisfy { isClose(3 * $0, $1) })
    #expect(isClose(subject.loop.typicalMs, 3) && isClose(subject.loop.modelledMs, 3))
    #expect(subject.loop.roundMs.count == 4 && subject.loop.latency.count == 12)
    #expect(subject.loop.top1 == 100 && isClose(subject.stops[0].top1, 100 / 3))
    #expect(result.created == "1970-01-01T00:00:00Z" && result.unreliable.isEmpty)
    #expect(result.warmupRounds == 3 && result.contradiction == nil)
}

@Test func subgraphsAreTimedWhereAllStepsAreRunAndNowhereElse() async throws {
    let subject = try #require(try await benchmark().run().subjects.first)
    #expect(subject.subgraphs.map(\.name) == ["glance", "policy", "focus"])
    #expect(subject.subgraphs.map(\.steady.count) == [12, 24, 24])
    #expect(zip(subject.subgraphs, [1.0, 0.5, 1.5]).allSatisfy { isClose($0.steady.medianMs, $1) })
}

@Test func theCurveHoldsWhatStoredThresholdsWouldCostHere() async throws {
    let point = try #require(try await benchmark(thresholds: nil).run().subjects.first?.curve.first)
    #expect(isClose(point.measuredMs, 3) && isClose(point.modelledMs, 0.5 + 0.75 + 1.25))
    #expect(point.measuredTop1 == 100)
}

@Test func whatTheDeviceWentThroughMarksTheResult() async throws {
    let fine = DeviceState(thermalState: "nominal", lowPowerMode: false, batteryLevel: 0.9, pluggedIn: true)
    var hot = fine
    (hot.thermalState, hot.lowPowerMode, hot.interruptions) = ("serious", true, 1)
    let result = try await benchmark(rounds: 2, device: FakeDevice([fine, fine, hot, fine, hot])).run()
    #expect(result.conditions.thermalStates == ["nominal", "serious"])
    #expect(result.conditions.lowPowerMode == true && result.conditions.pluggedIn == true)
    #expect(
        result.unreliable == [
            Doubt(.throttled, ["state": "serious", "round": "2", "rounds": "2"]), Doubt(.lowPower),
        ])
    #expect(
        result.unreliable.first?.description
            == "the device throttled: thermal state serious from round 2 of 2; let it cool")
}

@Test func anAppThatWentIntoTheBackgroundIsMarked() async throws {
    let device = FakeDevice([DeviceState(), DeviceState(), DeviceState(interruptions: 1)])
    let result = try await benchmark(rounds: 2, device: device).run()
    #expect(result.conditions.interrupted == true)
    #expect(result.unreliable == [Doubt(.interrupted)])
}

@Test func whatCannotBeMeasuredIsRefusedWithARemedy() async {
    await #expect(throws: BenchmarkError.self) { try await benchmark(images: []).run() }
    await #expect(throws: BenchmarkError.self) { try await benchmark(rounds: 0).run() }
    await #expect(throws: BenchmarkError.self) { try await benchmark(thresholds: [0.5]).run() }
    let small = BenchmarkImage(name: "small", square: PixelSquare(side: 2, bytes: [UInt8](repeating: 0, count: 12)))
    await #expect(throws: BenchmarkError("small: 2 pixels a side, but the network takes 8; resize it first")) {
        try await benchmark(images: [small]).run()
    }
}

@Test func aBenchmarkThatIsCancelledEnds() async {
    let task = Task {
        try await benchmark(rounds: 100_000).run { _ in withUnsafeCurrentTask { $0?.cancel() } }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
}

@Test func warmUpGoesOnWhileTimesFall() {
    #expect(!Interleaving.isSteady([3, 2]))
    #expect(!Interleaving.isSteady([4, 3, 2]))
    #expect(Interleaving.isSteady([4, 2, 2.1, 1.99]))
    #expect(!Interleaving.isSteady([2, 2, 1.9]))
}
