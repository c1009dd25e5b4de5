import Foundation

/// What is written beside one step of an image.
public struct StepCaption: Sendable, Equatable, Identifiable {
    /// The step, 1 … T.
    public let id: Int
    /// `Glance` or `Patch 2`.
    public let title: String
    /// Label and confidence.
    public let answer: String
    /// Milliseconds that the step took.
    public let time: String
    /// The whole for a screen reader.
    public let spoken: String

    public init(_ step: StepTrace, _ manifest: Manifest) {
        id = step.step
        title = step.step == 1 ? "Glance" : "Patch \(step.step - 1)"
        let label = manifest.label(step.classIndex)
        let percent = String(format: "%.0f", 100 * step.confidence)
        answer = "\(label), \(percent) %"
        time = String(format: "%.1f ms", 1e3 * step.seconds)
        spoken = "\(title): \(label), \(percent) percent sure"
    }

    /// Where and why an image stopped.
    public static func ending(_ trace: Trace, of steps: Int) -> String {
        trace.exitStep < steps
            ? "Stopped after step \(trace.exitStep) of \(steps): sure enough"
            : "Took all \(steps) steps"
    }
}
