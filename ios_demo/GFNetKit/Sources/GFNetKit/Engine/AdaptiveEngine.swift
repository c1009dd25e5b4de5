import Foundation

/// Glance, then one patch after another where the policy points, until a step is sure enough.
///
/// One image at a time, in the order in which they were asked for: a runner may keep buffers for one image only.
public actor AdaptiveEngine<Runner: StepRunner> {
    public nonisolated let runner: Runner
    private let clock: TimeSource
    private var turns = Turns()

    /// - Parameter clock: seconds, monotonic; what a step's time is measured with.
    public init(_ runner: Runner, clock: @escaping TimeSource = systemClock) {
        self.runner = runner
        self.clock = clock
    }

    /// Classifies one square.
    ///
    /// - Parameters:
    ///   - square: the runner's `imageSize` pixels a side.
    ///   - name: of the image, for the trace and for messages.
    ///   - thresholds: T values, compared as `Float`: the image stops at the first step whose confidence reaches its
    ///     threshold, and at the last in any case.  `nil` runs all steps.
    ///   - onStep: told of every step as soon as it is known, before the next begins.
    /// - Returns: the steps that were run.
    /// - Throws: ``EngineError``; `CancellationError` between two steps of a task that was cancelled; what the runner
    ///   throws.
    public func classify(
        _ square: PixelSquare, name: String, thresholds: [Double]?, onStep: (@Sendable (StepTrace) -> Void)? = nil
    ) async throws -> Trace {
        guard square.side == runner.imageSize else {
            throw EngineError.wrongSquare(image: name, side: square.side, expected: runner.imageSize)
        }
        if let thresholds, thresholds.count != runner.steps {
            throw EngineError.wrongThresholds(count: thresholds.count, steps: runner.steps)
        }
        try await takeTurn()
        defer { turns.pass() }
        return Trace(image: name, steps: try await walk(square, name, thresholds, onStep))
    }

    private func walk(
        _ square: PixelSquare, _ name: String, _ thresholds: [Double]?, _ onStep: (@Sendable (StepTrace) -> Void)?
    ) async throws -> [StepTrace] {
        var steps: [StepTrace] = []
        steps.reserveCapacity(runner.steps)
        try Task.checkCancellation()
        var start = clock()
        var (logits, state) = try await runner.glance(square)
        var place: (action: Action, origin: Origin)?
        for step in 1...runner.steps {
            if step > 1 {
                try Task.checkCancellation()
                start = clock()
                let proposed = try await runner.propose(state)
                let origin = try origin(proposed.action, name, step)
                place = (proposed.action, origin)
                (logits, state) = try await runner.focus(origin, step: step, state: proposed.state)
            }
            guard let answer = mostLikely(logits) else { throw EngineError.brokenLogits(image: name, step: step) }
            let trace = StepTrace(
                step: step, action: place?.action, origin: place?.origin, logits: logits,
                confidence: answer.confidence, classIndex: answer.classIndex, seconds: clock() - start)
            steps.append(trace)
            onStep?(trace)
            // NaN does not reach a threshold either.
            if let thresholds, answer.confidence >= Float(thresholds[step - 1]) { break }
        }
        return steps
    }

    /// An origin outside would be a crop outside, and the conversion of NaN a crash.
    private func origin(_ action: Action, _ name: String, _ step: Int) throws -> Origin {
        guard (0...1).contains(action.row), (0...1).contains(action.column) else {
            throw EngineError.brokenAction(image: name, step: step)
        }
        return Origin(action, imageSize: runner.imageSize, patchSize: runner.patchSize)
    }

    /// Waits until no other image is being classified.
    private func takeTurn() async throws {
        guard let ticket = turns.takeIfFree() else { return }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else {
                    turns.wait(ticket, continuation)
                }
            }
        } onCancel: {
            Task { await self.leaveQueue(ticket) }
        }
    }

    private func leaveQueue(_ ticket: Int) {
        turns.leave(ticket)
    }
}

/// The class of the largest of some logits, the first of those that tie, and its softmax probability.
///
/// The sum is in double precision, so that the confidence is the right one to the last digit of a `Float` or nearly;
/// Python's, whose sum is in single precision, differs from it by 1e-6 at most.
///
/// - Returns: `nil` if there are none, or one is infinite or not a number.
func mostLikely(_ logits: [Float]) -> (classIndex: Int, confidence: Float)? {
    logits.withUnsafeBufferPointer { logits in
        guard let first = logits.first else { return nil }
        var (best, largest) = (0, first)
        var sum: Float = 0  // finite if all are; zero then
        for index in 0..<logits.count {
            sum += logits[index] * 0
            if logits[index] > largest { (best, largest) = (index, logits[index]) }
        }
        guard sum == 0 else { return nil }
        var total = 0.0
        for logit in logits { total += exp(Double(logit) - Double(largest)) }
        return (best, Float(1 / total))
    }
}

/// What keeps the engine from an answer.
public enum EngineError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// A square has this side, pixels.
    case wrongSquare(image: String, side: Int, expected: Int)
    case wrongThresholds(count: Int, steps: Int)
    /// A step gave no logits, or one that is infinite or not a number.
    case brokenLogits(image: String, step: Int)
    /// The policy's action before a step is not two numbers in 0 ... 1.
    case brokenAction(image: String, step: Int)

    public var description: String {
        switch self {
        case .wrongSquare(let image, let side, let expected):
            "\(image.oneLine): \(side) pixels a side, but the network takes \(expected); resize and crop it to that"
        case .wrongThresholds(let count, let steps):
            "\(count) thresholds given for a network of \(steps) steps; give \(steps)"
        case .brokenLogits(let image, let step):
            "\(image.oneLine): step \(step) gave logits that are not numbers; the weights or the numbers' range are "
                + "broken: choose other compute units or a bundle of higher precision"
        case .brokenAction(let image, let step):
            "\(image.oneLine): the policy's action before step \(step) is not inside 0 ... 1; the weights or the "
                + "numbers' range are broken: choose other compute units or a bundle of higher precision"
        }
    }
    public var errorDescription: String? { description }
}
