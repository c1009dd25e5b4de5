/// The three step functions of one network on some runtime: what the adaptive engine drives.
///
/// `State` is the runner's own (the policy's hidden state, the classifier's memory); the engine only passes it on.
public protocol StepRunner: Sendable {
    associatedtype State: Sendable

    /// T, the most steps that an image may take.
    var steps: Int { get }
    /// Side of the full-resolution square, pixels.
    var imageSize: Int { get }
    /// Side of the glance and of every patch, pixels.
    var patchSize: Int { get }

    /// Step 1 on the whole square, which the runner shrinks.
    ///
    /// - Parameter square: `imageSize` pixels a side.
    /// - Returns: one logit for each class, and the state.
    func glance(_ square: PixelSquare) async throws -> (logits: [Float], state: State)

    /// Where to look next.
    func propose(_ state: State) async throws -> (action: Action, state: State)

    /// Step `step` (2 … T) on the patch at `origin`.
    func focus(_ origin: Origin, step: Int, state: State) async throws -> (logits: [Float], state: State)
}

/// Gives seconds that only ever grow.  What measures takes one, so that it can be tested.
public typealias TimeSource = @Sendable () -> Double

/// Seconds since it was first asked, by the system's clock.
public let systemClock: TimeSource = {
    let passed = epoch.duration(to: .now)
    return Double(passed.components.seconds) + Double(passed.components.attoseconds) * 1e-18
}

private let epoch = ContinuousClock.now
