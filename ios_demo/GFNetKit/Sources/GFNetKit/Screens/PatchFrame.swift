import Foundation

/// A patch's place on the square, as shares of its side, for drawing at any size.
public struct PatchFrame: Sendable, Equatable, Identifiable {
    /// The step, 2 … T.
    public let id: Int
    public let x: Double
    public let y: Double
    public let side: Double

    /// - Returns: `nil` for the glance, which sees everything.
    public init?(_ step: StepTrace, imageSize: Int, patchSize: Int) {
        guard let origin = step.origin else { return nil }
        id = step.step
        x = Double(origin.column) / Double(imageSize)
        y = Double(origin.row) / Double(imageSize)
        side = Double(patchSize) / Double(imageSize)
    }

    /// On a square of some side, points.
    public func rectangle(in length: Double) -> CGRect {
        CGRect(x: x * length, y: y * length, width: side * length, height: side * length)
    }
}
