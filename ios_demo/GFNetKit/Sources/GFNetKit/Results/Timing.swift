/// One distribution of times, milliseconds.
public struct Timing: Codable, Sendable, Equatable {
    public var count: Int
    public var meanMs: Double
    public var medianMs: Double
    public var p90Ms: Double
    public var p99Ms: Double
    /// The single times in the order in which they were taken, if they are kept.
    @OrEmpty public var samplesMs: [Double]

    enum CodingKeys: String, CodingKey {
        case count
        case meanMs = "mean_ms"
        case medianMs = "median_ms"
        case p90Ms = "p90_ms"
        case p99Ms = "p99_ms"
        case samplesMs = "samples_ms"
    }

    /// A distribution from its samples.
    ///
    /// - Parameters:
    ///   - seconds: at least one.
    ///   - keep: the single times too, to a tenth of a microsecond.
    public init(seconds: [Double], keep: Bool = false) {
        let values = seconds.map { 1e3 * $0 }
        let sorted = values.sorted()
        count = values.count
        meanMs = Statistics.mean(values)
        medianMs = Statistics.percentile(ofSorted: sorted, 50)
        p90Ms = Statistics.percentile(ofSorted: sorted, 90)
        p99Ms = Statistics.percentile(ofSorted: sorted, 99)
        samplesMs = keep ? values.map { ($0 * 1e4).rounded() / 1e4 } : []
    }
}
