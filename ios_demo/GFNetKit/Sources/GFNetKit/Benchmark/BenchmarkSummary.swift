/// What is said of one network's times.
struct BenchmarkSummary: Sendable {
    /// Single times of one distribution that a result keeps.
    private static let mostSamples = 20_000

    let about: NetworkDescription
    let images: [BenchmarkImage]
    let thresholds: [Double]?
    let times: RunTimes
    /// Of each image, all steps.
    let traces: [Trace]
    /// Seconds of each subgraph's calls where all steps are run.
    let calls: [String: [Double]]
    let cold: ColdStart?

    var subject: Subject {
        let stops = times.stopped.enumerated().map { index, rounds in
            Stop(
                step: index + 1, typicalMs: 1e3 * Statistics.typical(rounds),
                latency: Timing(seconds: rounds.flatMap { $0 }),
                top1: top1(exits: Array(repeating: index + 1, count: images.count)))
        }
        return Subject(
            about: about,
            subgraphs: about.parts.compactMap { part in
                guard let seconds = calls[part.name], !seconds.isEmpty else { return nil }
                return SubgraphTiming(
                    name: part.name, role: part.role, steps: part.steps,
                    loadMs: cold?.subgraphLoads[part.name].map { 1e3 * $0 },
                    firstRunMs: cold?.firstCalls[part.name].map { 1e3 * $0 },
                    steady: Timing(seconds: seconds, keep: seconds.count <= Self.mostSamples))
            },
            stops: stops,
            loop: loop(stops),
            curve: about.budgets.map { curvePoint($0, stops) },
            cold: cold.map { Cold(loadMs: 1e3 * $0.loadSeconds, firstImageMs: 1e3 * $0.firstImageSeconds) })
    }

    private func loop(_ stops: [Stop]) -> Loop {
        let exits = exitSteps(thresholds)
        let shares = shares(exits)
        let samples = times.own.flatMap { $0 }
        return Loop(
            thresholds: thresholds,
            exitDistribution: shares,
            latency: Timing(seconds: samples, keep: samples.count <= Self.mostSamples),
            typicalMs: 1e3 * Statistics.typical(times.own),
            modelledMs: modelled(shares, stops),
            roundMs: times.roundMs(finished: true),
            top1: top1(exits: exits),
            answers: zip(zip(images, traces), exits).map { pair, exit in
                Answer(image: pair.0.name, exitStep: exit, classIndex: pair.1.steps[exit - 1].classIndex)
            })
    }

    /// One stored set of thresholds, from runs that were stopped where it stops each image.
    private func curvePoint(_ budget: Budget, _ stops: [Stop]) -> CurvePoint {
        let thresholds = budget.thresholds
        let exits = exitSteps(thresholds)
        let picked = times.own.indices.map { round in
            exits.enumerated().map { image, exit in times.stopped[exit - 1][round][image] }
        }
        let known = budget.exitDistribution
        return CurvePoint(
            budget: budget.budget,
            thresholds: thresholds,
            top1: budget.top1,
            exitDistribution: known,
            modelledMs: known.isEmpty ? nil : modelled(known, stops),
            measuredMs: 1e3 * Statistics.typical(picked),
            measuredExits: shares(exits),
            measuredTop1: top1(exits: exits))
    }

    /// The step (1 … T) after which each image stops; the last one takes everyone.
    private func exitSteps(_ thresholds: [Double]?) -> [Int] {
        traces.map { trace in
            guard let thresholds else { return about.steps }
            return trace.steps.first { $0.confidence >= Float(thresholds[$0.step - 1]) }?.step ?? about.steps
        }
    }

    /// Fraction of the images that stopped after each step.
    private func shares(_ exits: [Int]) -> [Double] {
        (1...about.steps).map { step in Double(exits.count { $0 == step }) / Double(exits.count) }
    }

    /// Accuracy in percent, if every image's class is known.
    private func top1(exits: [Int]) -> Double? {
        let right = images.compactMap(\.classIndex)
        guard right.count == images.count else { return nil }
        let hits = zip(zip(traces, exits), right).count { $0.0.steps[$0.1 - 1].classIndex == $1 }
        return 100 * Double(hits) / Double(images.count)
    }

    private func modelled(_ shares: [Double], _ stops: [Stop]) -> Double {
        zip(shares, stops).map { $0 * $1.typicalMs }.reduce(0, +)
    }
}
