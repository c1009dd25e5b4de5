/// Whole images that all stop after the same step.
public struct Stop: Codable, Sendable, Equatable {
    /// 1 … T.
    public var step: Int
    /// Mean over the images of each one's median over the rounds.
    public var typicalMs: Double
    public var latency: Timing
    /// Accuracy in percent on the images, where their classes are known.
    public var top1: Double?
    public var ratio: Ratio?

    enum CodingKeys: String, CodingKey {
        case step, latency, top1, ratio
        case typicalMs = "typical_ms"
    }

    public init(step: Int, typicalMs: Double, latency: Timing, top1: Double? = nil) {
        self.step = step
        self.typicalMs = typicalMs
        self.latency = latency
        self.top1 = top1
    }
}
