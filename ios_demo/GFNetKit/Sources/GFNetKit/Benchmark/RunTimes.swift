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
