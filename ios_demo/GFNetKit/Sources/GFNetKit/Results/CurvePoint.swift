/// One stored set of thresholds: what it was known to give, and what it costs here.
public struct CurvePoint: Codable, Sendable, Equatable {
    /// Average multiply-adds per image that the thresholds were found for.
    public var budget: Double
    public var thresholds: [Double]
    /// Accuracy in percent on the split that the network was evaluated on.
    @OrNull public var top1: Double?
    /// There.
    public var exitDistribution: [Double]
    /// Mean latency with those exits.
    @OrNull public var modelledMs: Double?
    /// Mean latency of the images of this run, each stopped where these thresholds stop it.
    public var measuredMs: Double?
    /// Their exit distribution.
    @OrEmpty public var measuredExits: [Double]
    /// Their accuracy, where their classes are known.
    public var measuredTop1: Double?

    enum CodingKeys: String, CodingKey {
        case budget, thresholds, top1
        case exitDistribution = "exit_distribution"
        case modelledMs = "modelled_ms"
        case measuredMs = "measured_ms"
        case measuredExits = "measured_exits"
        case measuredTop1 = "measured_top1"
    }

    public init(
        budget: Double, thresholds: [Double], top1: Double?, exitDistribution: [Double], modelledMs: Double?,
        measuredMs: Double? = nil, measuredExits: [Double] = [], measuredTop1: Double? = nil
    ) {
        self.budget = budget
        self.thresholds = thresholds
        self.top1 = top1
        self.exitDistribution = exitDistribution
        self.modelledMs = modelledMs
        self.measuredMs = measuredMs
        self.measuredExits = measuredExits
        self.measuredTop1 = measuredTop1
    }
}
