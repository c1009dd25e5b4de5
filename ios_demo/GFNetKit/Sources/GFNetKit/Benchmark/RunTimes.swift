/// Seconds of everything that was timed, by round and image.
struct RunTimes: Sendable {
    /// Whole images with their own exits, `[rounds][images]`.
    private(set) var own: [[Double]] = []
    /// Whole images stopped after each step, `[steps][rounds][images]`.
    private(set) var stopped: [[[Double]]]
    /// Of a call that does nothing.
    private(set) var empty: [Double] = []

    init(steps: Int) {
        stopped = Array(repeating: [], count: steps)
    }

    mutating func beginRound() {
        own.append([])
        for step in stopped.indices { stopped[step].append([]) }
    }

    /// - Parameter seconds: of own exits, of a stop after each step, and of nothing.
    mutating func add(_ seconds: [Double]) {
        own[own.count - 1].append(seconds[0])
        for step in stopped.indices { stopped[step][own.count - 1].append(seconds[1 + step]) }
        empty.append(seconds[seconds.count - 1])
    }

    /// Mean latency of the rounds with own exits, milliseconds.
    ///
    /// - Parameter finished: whether the last round is.
    func roundMs(finished: Bool) -> [Double] {
        (finished ? own[...] : own.dropLast()).map { 1e3 * Statistics.mean($0) }
    }
}

/// What is said of many numbers; as numpy has it, so that both harnesses mean the same by a word.
public enum Statistics {
    /// The arithmetic mean of at least one value.
    public static func mean(_ values: [Double]) -> Double {
        values.reduce(0, +) / Double(values.count)
    }

    /// The median of at least one value.
    public static func median(_ values: [Double]) -> Double {
        percentile(ofSorted: values.sorted(), 50)
    }

    /// A percentile of at least one value, interpolated linearly between its neighbours.
    ///
    /// - Parameters:
    ///   - sorted: ascending.
    ///   - percent: 0 … 100.
    public static func percentile(ofSorted sorted: [Double], _ percent: Double) -> Double {
        let position = percent / 100 * Double(sorted.count - 1)
        let below = Int(position)
        let above = min(below + 1, sorted.count - 1)
        let share = position - Double(below)
        let gap = sorted[above] - sorted[below]
        // From the nearer end, so that a share of 1 gives exactly the upper value.
        return share < 0.5 ? sorted[below] + gap * share : sorted[above] - gap * (1 - share)
    }

    /// Mean over the images of each one's median over the rounds: what a quiet machine would take on average.
    ///
    /// - Parameter rounds: `[rounds][images]`, at least one of each.
    public static func typical(_ rounds: [[Double]]) -> Double {
        mean(rounds[0].indices.map { image in median(rounds.map { $0[image] }) })
    }
}
