import Foundation

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
