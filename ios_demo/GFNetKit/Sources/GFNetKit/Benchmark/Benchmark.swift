import Foundation

/// Times a network step by step and whole, in the manner of `gfnet bench onnx`.
///
/// Every image goes through everything before the next one does: the loop with its own exits, and the loop stopped
/// after each step in turn, in an order drawn anew; all of that again in each round. Warm-up rounds over a few images
/// come first, until times no longer fall.
public struct Benchmark<Runner: StepRunner>: Sendable {
    private let runner: Runner
    private let about: NetworkDescription
    private let images: [BenchmarkImage]
    private let unreadable: [String]
    private let plan: BenchmarkPlan
    private let cold: ColdStart?
    private let monitor: any DeviceMonitor
    private let clock: TimeSource
    private let now: @Sendable () -> Date

    /// - Parameters:
    ///   - runner: loaded and ready; if it is `SubgraphTimed`, subgraphs' times are its own.
    ///   - about: what the result says of it.
    ///   - images: squares of the network's size, all of which are run in each round.
    ///   - unreadable: messages for images that could not be read.
    ///   - cold: what loading took.
    ///   - monitor: is asked at the start of each round.
    ///   - clock: seconds.
    ///   - now: the date that the result carries.
    public init(
        _ runner: Runner, about: NetworkDescription, images: [BenchmarkImage], unreadable: [String] = [],
        plan: BenchmarkPlan, cold: ColdStart? = nil, monitor: any DeviceMonitor,
        clock: @escaping TimeSource = systemClock,
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.runner = runner
        self.about = about
        self.images = images
        self.unreadable = unreadable
        self.plan = plan
        self.cold = cold
        self.monitor = monitor
        self.clock = clock
        self.now = now
    }

    /// Measures, and says what was found.
    ///
    /// - Parameter progress: is called after each image.
    /// - Throws: `BenchmarkError`: no images, no rounds, or a wrong number of thresholds; `CancellationError`; what the
    ///   runner throws.
    public func run(
        progress: @Sendable (BenchmarkProgress) -> Void = { _ in }
    ) async throws -> BenchmarkResult {
        try check()
        if let timed = runner as? any SubgraphTimed { return try await run(timed, progress) }
        return try await run(TimedStepRunner(runner, parts: about.parts, clock: clock), progress)
    }

    private func check() throws {
        guard !images.isEmpty else {
            let reason = unreadable.first.map { "; the first that could not be read: \($0)" } ?? ""
            throw BenchmarkError("there are no images to run\(reason); give one or more")
        }
        guard plan.rounds >= 1, plan.warmupImages >= 1 else {
            throw BenchmarkError("\(plan.rounds) rounds measure nothing; give 1 or more")
        }
        if let thresholds = plan.thresholds, thresholds.count != about.steps {
            throw BenchmarkError("\(thresholds.count) thresholds for \(about.steps) steps; give one for each step")
        }
        if runner.steps != about.steps {
            throw BenchmarkError("the runner has \(runner.steps) steps, its manifest \(about.steps); give its own")
        }
        if let image = images.first(where: { $0.square.side != runner.imageSize }) {
            throw BenchmarkError(
                "\(image.name): \(image.square.side) pixels a side, but the network takes \(runner.imageSize); "
                    + "resize it first")
        }
    }

    private func run<Timed: SubgraphTimed>(
        _ timed: Timed, _ progress: @Sendable (BenchmarkProgress) -> Void
    ) async throws -> BenchmarkResult {
        let recorder = Recorder(images: images.count)
        var interleaving = Interleaving(
            probes(timed, recorder), images: images.count, seed: plan.seed, clock: clock)
        let begin = await monitor.state()
        let start = clock()

        var warmup: [Double] = []
        while !Interleaving.isSteady(warmup) && warmup.count < plan.mostWarmupRounds {
            var total = 0.0
            for image in 0..<min(images.count, plan.warmupImages) {
                total += try await interleaving.run(image: image).reduce(0, +)
            }
            warmup.append(total)
            progress(.init(phase: .warmup, done: warmup.count, total: plan.mostWarmupRounds, roundMs: []))
        }
        await recorder.clearCalls()

        var times = RunTimes(steps: about.steps)
        var states = [begin]
        for round in 0..<plan.rounds {
            states.append(await monitor.state())
            times.beginRound()
            for image in images.indices {
                times.add(try await interleaving.run(image: image))
                progress(
                    .init(
                        phase: .measuring, done: round * images.count + image + 1, total: plan.rounds * images.count,
                        roundMs: times.roundMs(finished: image == images.count - 1)))
            }
        }
        states.append(await monitor.state())

        let summary = await BenchmarkSummary(
            about: about, images: images, thresholds: plan.thresholds, times: times, traces: recorder.traces,
            calls: recorder.calls, cold: cold)
        return BenchmarkResult(
            tool: "gfnet-bench 0.1.0",
            created: now().formatted(.iso8601),
            machine: await monitor.machine(),
            conditions: conditions(states, seconds: clock() - start),
            images: images.count,
            unreadable: unreadable,
            rounds: plan.rounds,
            warmupRounds: warmup.count,
            harnessUs: 1e6 * Statistics.median(times.empty),
            subjects: [summary.subject],
            unreliable: doubts(states, warmup: warmup))
    }

    /// Own exits; stopped after steps 1 … T-1; all steps, with each subgraph's calls noted; and nothing at all.
    private func probes<Timed: SubgraphTimed>(_ timed: Timed, _ recorder: Recorder) -> [Interleaving.Probe] {
        let plain = AdaptiveEngine(runner, clock: clock)
        let noted = AdaptiveEngine(timed, clock: clock)
        let (images, thresholds, steps) = (images, plan.thresholds, about.steps)
        func stopped(_ limits: [Double]?) -> Interleaving.Probe {
            { image in _ = try await plain.classify(images[image].square, name: images[image].name, thresholds: limits)
            }
        }
        var probes = [stopped(thresholds)]
        for step in 1..<max(steps, 1) {
            // No confidence reaches 2, and every one reaches 0.
            probes.append(stopped((1...steps).map { $0 < step ? 2 : 0 }))
        }
        probes.append { image in
            _ = await timed.drainSamples()
            let trace = try await noted.classify(images[image].square, name: images[image].name, thresholds: nil)
            await recorder.add(trace, calls: timed.drainSamples(), image: image)
        }
        probes.append { _ in }
        return probes
    }

    private func conditions(_ states: [DeviceState], seconds: Double) -> Conditions {
        let last = states[states.count - 1]
        let lowPower = states.compactMap(\.lowPowerMode)
        return Conditions(
            seconds: seconds,
            thermalStates: states.dropFirst().dropLast().compactMap(\.thermalState),
            lowPowerMode: lowPower.isEmpty ? nil : lowPower.contains(true),
            batteryLevel: last.batteryLevel,
            pluggedIn: last.pluggedIn,
            interrupted: last.interruptions > states[0].interruptions)
    }

    /// `gfnet bench` adds those that show in the numbers.
    private func doubts(_ states: [DeviceState], warmup: [Double]) -> [Doubt] {
        var found: [Doubt] = []
        if !Interleaving.isSteady(warmup) { found.append(Doubt(.stillWarming, ["rounds": "\(warmup.count)"])) }
        let rounds = states.dropFirst().dropLast().map { $0.thermalState ?? "" }
        if let hot = rounds.firstIndex(where: { ["serious", "critical"].contains($0) }) {
            found.append(
                Doubt(.throttled, ["state": rounds[hot], "round": "\(hot + 1)", "rounds": "\(rounds.count)"]))
        }
        if states.contains(where: { $0.lowPowerMode == true }) { found.append(Doubt(.lowPower)) }
        if states[states.count - 1].interruptions > states[0].interruptions { found.append(Doubt(.interrupted)) }
        return found
    }
}

/// What the probe that runs all steps saw.
private actor Recorder {
    /// Of each image.
    private var found: [Trace?]
    /// Seconds of each subgraph's calls.
    private(set) var calls: [String: [Double]] = [:]

    init(images: Int) {
        found = Array(repeating: nil, count: images)
    }

    /// Once all have been run.
    var traces: [Trace] { found.compactMap { $0 } }

    func add(_ trace: Trace, calls new: [String: [Double]], image: Int) {
        found[image] = trace
        calls.merge(new, uniquingKeysWith: +)
    }

    /// Forgets the warm-up.
    func clearCalls() {
        calls = [:]
    }
}
