/// Seconds, monotonic; passed in, so that code that measures time can be tested.
public typealias Clock = @Sendable () -> Double

/// The system's clock.
public let systemClock: Clock = {
    let now = ContinuousClock.now - epoch
    return Double(now.components.seconds) + Double(now.components.attoseconds) * 1e-18
}

private let epoch = ContinuousClock.now
