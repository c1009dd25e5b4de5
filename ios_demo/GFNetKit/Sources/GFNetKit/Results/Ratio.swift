/// A time over the reference's in the same run, with its 95 % interval.
public struct Ratio: Codable, Sendable, Equatable {
    public var value: Double
    public var low: Double
    public var high: Double
}
