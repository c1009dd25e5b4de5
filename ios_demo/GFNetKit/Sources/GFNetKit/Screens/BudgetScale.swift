import Foundation

/// What a slider of budgets offers: the manifest's stored points from the cheapest up, and all steps at the end.
public struct BudgetScale: Sendable, Equatable {
    private let points: [Budget]

    public init(_ manifest: Manifest) {
        points = manifest.budgets.sorted { $0.budget < $1.budget }
    }

    /// The last position: all steps.
    public var last: Int { points.count }

    /// Where to begin: the most accurate point, the cheapest of those that tie; all steps where none is stored.
    public var usual: Int {
        let accuracies = points.map { $0.top1 ?? 0 }
        return accuracies.max().flatMap { accuracies.firstIndex(of: $0) } ?? last
    }

    /// T thresholds; `nil` runs all steps.
    public func thresholds(at position: Int) -> [Double]? {
        points.indices.contains(position) ? points[position].thresholds : nil
    }

    /// What a position costs, for people.
    public func title(at position: Int) -> String {
        guard points.indices.contains(position) else { return "all steps" }
        let point = points[position]
        let cost = String(format: "%.0f M multiply-adds", point.budget / 1e6)
        return point.top1.map { "\(cost), \(String(format: "%.1f", $0)) % right" } ?? cost
    }
}
