import Foundation

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
            "\(image.oneLine): step \(step) gave NaN logits; the weights or the numbers' range are "
                + "broken: choose other compute units or a bundle of higher precision"
        case .brokenAction(let image, let step):
            "\(image.oneLine): the policy's action before step \(step) is not inside 0 ... 1; the weights or the "
                + "numbers' range are broken: choose other compute units or a bundle of higher precision"
        }
    }
    public var errorDescription: String? { description }
}
