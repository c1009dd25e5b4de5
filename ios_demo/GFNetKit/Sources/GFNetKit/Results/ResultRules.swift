import Foundation

// The rules of `gfnet/results/schema.py`: what Python refuses is neither written nor read here.

extension BenchmarkResult {
    /// What is wrong with the result, if anything.
    public var contradiction: String? {
        let names = subjects.map(\.name)
        if subjects.isEmpty { return "subjects: there is none" }
        if Set(names).count < names.count { return "two subjects have the same name" }
        if images < 1 || rounds < 1 || warmupRounds < 0 || (processes ?? 1) < 1 {
            return "images, rounds, processes and warmup_rounds must count something"
        }
        if created.wholeMatch(of: /[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z/) == nil {
            return "created: not a time like 2026-01-31T12:00:00Z"
        }
        for text in [tool, machine.device, machine.os] where !text.isText {
            return "tool, machine.device and machine.os must be one line of 1 to \(Limits.text) characters"
        }
        if (harnessUs ?? 0) < 0 || conditions.seconds < 0 { return "a time is negative" }
        if let level = conditions.batteryLevel, !(0...1).contains(level) { return "battery_level is not in 0 … 1" }
        for subject in subjects {
            let others = subjects.filter { $0.kind == .classifier && $0.name != subject.name }.map(\.name)
            if let reference = subject.reference, !others.contains(reference) {
                return "\(subject.name): its reference \(reference) is not another classifier of the run"
            }
            if let match = subject.matches.first(where: { !others.contains($0.classifier) }) {
                return "\(subject.name): \(match.classifier) is not another classifier of the run"
            }
            if subject.loop.roundMs.count != rounds {
                return "\(subject.name): \(subject.loop.roundMs.count) values in round_ms for \(rounds) rounds"
            }
            if let problem = subject.contradiction { return "\(subject.name): \(problem)" }
        }
        return nil
    }
}

extension Subject {
    fileprivate var contradiction: String? {
        let steps = stops.count
        if stops.isEmpty || stops.map(\.step) != Array(1...max(steps, 1)) {
            return "stops are not those of steps 1, 2, …"
        }
        if kind == .classifier && steps != 1 { return "a classifier has one step, not \(steps)" }
        if subgraphs.isEmpty { return "no subgraph was timed" }
        let roles: Set = ["glance", "policy", "focus", "step", "classifier"]
        if let graph = subgraphs.first(where: { !roles.contains($0.role) }) { return "\(graph.role) is not a role" }
        for text in [name, network, precision, layout ?? "split", runtime.name, runtime.version, runtime.computeUnits]
        where !text.isText {
            return "a name is not one line of 1 to \(Limits.text) characters"
        }
        if let digest = sha256, digest.wholeMatch(of: /[0-9a-f]{64}/) == nil { return "sha256 is not a digest" }
        var counted = [("loop.exit_distribution", loop.exitDistribution.count)]
        if !macs.isEmpty { counted.append(("macs", macs.count)) }
        if !storedTop1.isEmpty { counted.append(("stored_top1", storedTop1.count)) }
        if let thresholds = loop.thresholds { counted.append(("loop.thresholds", thresholds.count)) }
        for (index, point) in curve.enumerated() {
            counted.append(("curve.\(index).thresholds", point.thresholds.count))
            if !point.exitDistribution.isEmpty {
                counted.append(("curve.\(index).exit_distribution", point.exitDistribution.count))
            }
            if !point.measuredExits.isEmpty {
                counted.append(("curve.\(index).measured_exits", point.measuredExits.count))
            }
        }
        if let (what, count) = counted.first(where: { $0.1 != steps }) {
            return "\(what) has \(count) values for \(steps) steps"
        }
        let sum = loop.exitDistribution.reduce(0, +)
        // As Python's isclose: a thousandth, or a billionth of the larger one.
        if !(abs(sum - 1) <= 1e-3) { return "exit_distribution adds up to \(sum), not 1" }
        let modelled = zip(loop.exitDistribution, stops).map { $0 * $1.typicalMs }.reduce(0, +)
        if abs(loop.modelledMs - modelled) > max(1e-4, 0.01 * max(loop.modelledMs, modelled)) {
            return "modelled_ms is \(loop.modelledMs), but stops and exits say \(modelled)"
        }
        if kind == .network && !network.hasSuffix("_T\(steps)") {
            return "\(network) does not have the \(steps) steps that were measured"
        }
        if let graph = subgraphs.first(where: { $0.steps.isEmpty || $0.steps.contains { !(1...steps).contains($0) } }) {
            return "\(graph.name) runs at no step of \(steps)"
        }
        let ratios = [loop.ratio] + stops.map(\.ratio) + subgraphs.map(\.ratio)
        if let problem = ratios.lazy.compactMap({ $0?.contradiction }).first { return problem }
        if let match = matches.first(where: { !$0.isSound }) {
            return "its match with \(match.classifier) contradicts itself"
        }
        if let answer = loop.answers.first(where: { !(1...steps).contains($0.exitStep) }) {
            return "\(answer.image) stopped at step \(answer.exitStep) of \(steps)"
        }
        let timings = subgraphs.map(\.steady) + stops.map(\.latency) + [loop.latency]
        return timings.lazy.compactMap(\.contradiction).first
    }
}

extension Ratio {
    fileprivate var contradiction: String? {
        if !(value > 0 && low > 0 && low <= high) { return "the interval \(low) to \(high) is upside down" }
        // Resampling may shift it a little.
        return value < 0.9 * low || value > 1.1 * high ? "\(value) lies outside of its interval \(low) to \(high)" : nil
    }
}

extension Match {
    fileprivate var isSound: Bool {
        let ratios = [ratio, low, high].compactMap { $0 }
        return (0...100).contains(top1) && (typicalMs ?? 0) >= 0 && ratios.allSatisfy { $0 > 0 }
    }
}

extension Timing {
    private static var rounding: Double { 2e-3 }  // of percentiles, against samples written with few digits

    fileprivate var contradiction: String? {
        if count < 1 { return "a distribution of \(count) times" }
        if !(meanMs >= 0 && medianMs >= 0) || samplesMs.contains(where: { $0 < 0 }) { return "a time is negative" }
        if !(medianMs <= p90Ms && p90Ms <= p99Ms) { return "median, p90 and p99 do not ascend" }
        if samplesMs.isEmpty { return nil }
        if samplesMs.count != count { return "\(samplesMs.count) samples, but count is \(count)" }
        let sorted = samplesMs.sorted()
        for (told, percent) in [(medianMs, 50.0), (p90Ms, 90), (p99Ms, 99)] {
            let found = Statistics.percentile(ofSorted: sorted, percent)
            if abs(told - found) > Self.rounding + Self.rounding * abs(found) {
                return "the percentiles are not those of the samples"
            }
        }
        return nil
    }
}
