/// How a benchmark goes about it.
public struct BenchmarkPlan: Sendable, Equatable {
    /// Measured ones; each runs every image to every step.
    public var rounds: Int
    /// T thresholds for the loop with own exits; `nil` runs all steps.
    public var thresholds: [Double]?
    /// Images of a warm-up round.
    public var warmupImages = 8
    /// After which it is measured even if times still fall.
    public var mostWarmupRounds = 20
    /// Of the order in which things are timed.
    public var seed: UInt64 = 0

    public init(rounds: Int = 10, thresholds: [Double]? = nil) {
        self.rounds = rounds
        self.thresholds = thresholds
    }
}
