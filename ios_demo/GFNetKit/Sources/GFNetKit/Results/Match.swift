/// A network where it is as accurate as a classifier of the same run, on the run's images.
public struct Match: Codable, Sendable, Equatable {
    /// The other subject's name.
    public var classifier: String
    /// Its accuracy in percent.
    public var top1: Double
    /// The network's mean latency at that accuracy; `nil` where it never gets there.
    @OrNull public var typicalMs: Double?
    /// Of that to the classifier's mean latency.
    @OrNull public var ratio: Double?
    /// End of the 95 % interval over resampled images.
    @OrNull public var low: Double?
    /// Likewise; `nil` where too many of the resamples never get there.
    @OrNull public var high: Double?

    enum CodingKeys: String, CodingKey {
        case classifier, top1, ratio, low, high
        case typicalMs = "typical_ms"
    }
}
