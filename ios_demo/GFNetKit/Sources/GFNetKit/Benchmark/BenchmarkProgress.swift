/// How far a benchmark is.
public struct BenchmarkProgress: Sendable, Equatable {
    public enum Phase: Sendable, Equatable {
        case warmup, measuring
    }

    public let phase: Phase
    /// Images done, of all rounds together; of a warm-up, its rounds.
    public let done: Int
    /// How many there will be; of a warm-up, at most.
    public let total: Int
    /// Mean latency of each finished round of whole images with their own exits, milliseconds.
    public let roundMs: [Double]
}
