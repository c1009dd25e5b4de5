/// One set of thresholds, and what it was measured to give.
public struct Budget: Codable, Sendable, Equatable {
    /// Average multiply-adds per image on the split that the thresholds were found on.
    public let budget: Double
    /// One a step: an image stops at the first step whose confidence reaches it; a value above 1 stops no image, and the
    /// last step takes everyone.
    public let thresholds: [Double]
    /// Accuracy in percent; `nil` where unknown.
    public let top1: Double?
    /// Average multiply-adds per image on the evaluated split.
    public let meanMacs: Double
    /// Fraction of images that stopped at each step; empty where unknown.
    public let exitDistribution: [Double]

    enum CodingKeys: String, CodingKey, CaseIterable {
        case budget, thresholds, top1
        case meanMacs = "mean_macs"
        case exitDistribution = "exit_distribution"
    }

    public init(
        budget: Double, thresholds: [Double], top1: Double?, meanMacs: Double, exitDistribution: [Double] = []
    ) {
        self.budget = budget
        self.thresholds = thresholds
        self.top1 = top1
        self.meanMacs = meanMacs
        self.exitDistribution = exitDistribution
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.closedContainer(CodingKeys.self)
        budget = try values.number(.budget, from: 0)
        thresholds = try values.numbers(.thresholds, atMost: Limits.steps)
        top1 = try values.decodeNil(forKey: .top1) ? nil : values.number(.top1, from: 0, to: 100)
        meanMacs = try values.number(.meanMacs, from: 0)
        exitDistribution = try values.numbers(.exitDistribution, atMost: Limits.steps, from: 0, to: 1)
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(budget, forKey: .budget)
        try values.encode(thresholds, forKey: .thresholds)
        try values.encode(top1, forKey: .top1)  // null where unknown: readers want to find it
        try values.encode(meanMacs, forKey: .meanMacs)
        try values.encode(exitDistribution, forKey: .exitDistribution)
    }
}
