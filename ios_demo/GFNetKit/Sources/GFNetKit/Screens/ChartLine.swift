import Foundation

/// Values as points of a line that fills a rectangle, zero at its bottom.
public struct ChartLine: Sendable, Equatable {
    public let points: [CGPoint]

    /// - Parameters:
    ///   - values: in order, from zero up.
    ///   - size: of the rectangle, points; its origin is at the top left.
    public init(_ values: [Double], in size: CGSize) {
        let top = values.max() ?? 0
        let width = Double(size.width)
        let height = Double(size.height)
        points = values.enumerated().map { index, value in
            let share = values.count > 1 ? Double(index) / Double(values.count - 1) : 0.5
            return CGPoint(x: share * width, y: top > 0 ? height * (1 - 0.9 * value / top) : height)
        }
    }
}
