/// Whole images, each with its own exit: from the preprocessed square to the answer.
public struct Loop: Codable, Sendable, Equatable {
    /// Under which an image stops; `nil`: all steps were run.
    @OrNull public var thresholds: [Double]?
    /// Fraction of images that stopped at each step.
    public var exitDistribution: [Double]
    public var latency: Timing
    /// Mean over the images of each one's median over the rounds.
    public var typicalMs: Double
    /// What the stops' latencies, weighted by `exitDistribution`, say it should be.
    public var modelledMs: Double
    /// Mean latency of each round.
    public var roundMs: [Double]
    /// With decoding and preprocessing, one image at a time.
    public var imagesPerSecond: Double?
    /// Accuracy in percent, where the images' classes are known.
    public var top1: Double?
    @OrEmpty public var answers: [Answer]
    /// Of `typicalMs` to the reference's.
    public var ratio: Ratio?

    enum CodingKeys: String, CodingKey {
        case thresholds, latency, top1, answers, ratio
        case exitDistribution = "exit_distribution"
        case typicalMs = "typical_ms"
        case modelledMs = "modelled_ms"
        case roundMs = "round_ms"
        case imagesPerSecond = "images_per_second"
    }

    public init(
        thresholds: [Double]?, exitDistribution: [Double], latency: Timing, typicalMs: Double, modelledMs: Double,
        roundMs: [Double], imagesPerSecond: Double? = nil, top1: Double? = nil, answers: [Answer] = []
    ) {
        self.thresholds = thresholds
        self.exitDistribution = exitDistribution
        self.latency = latency
        self.typicalMs = typicalMs
        self.modelledMs = modelledMs
        self.roundMs = roundMs
        self.imagesPerSecond = imagesPerSecond
        self.top1 = top1
        self.answers = answers
    }
}
