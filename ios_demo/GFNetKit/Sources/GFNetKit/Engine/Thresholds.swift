import Foundation

/// Thresholds or a budget cannot be met by a network.
public struct BudgetError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// What is wrong and what to do, one line.
    public let description: String
    public var errorDescription: String? { description }
}

/// When an image may stop.
public enum ExitRule: Sendable, Equatable {
    /// Run all steps.
    case allSteps
    /// The stored thresholds that cost the most without costing more than this many multiply-adds on average.
    case budget(Double)
    /// These: one a step, or one a step but the last.
    case thresholds([Double])
    /// The stored thresholds of the highest accuracy; all steps where none are stored.
    case mostAccurate
}

extension Manifest {
    /// Threshold of the last step, at which every image exits.
    private static let always = -1e8

    /// The T thresholds that a rule asks for; `nil` runs all steps.
    ///
    /// - Throws: ``BudgetError``.
    public func thresholds(for rule: ExitRule) throws -> [Double]? {
        switch rule {
        case .allSteps: nil
        case .budget(let budget): try point(within: budget).thresholds
        case .thresholds(let values): try checked(values)
        case .mostAccurate: mostAccuratePoint?.thresholds
        }
    }

    /// The dearest stored point that costs at most `budget` multiply-adds on average.
    ///
    /// - Throws: ``BudgetError``: no points are stored, or `budget` is below the cheapest or above any possible cost.
    public func point(within budget: Double) throws -> Budget {
        guard let cheapest = budgets.map(\.budget).min(), let dearest = budgets.map(\.budget).max() else {
            throw BudgetError(
                description: "no thresholds are stored with this network; run `gfnet evaluate` on it with `--save` and "
                    + "export it again, or give thresholds, or run all steps")
        }
        guard cheapest <= budget, budget <= dearest * 1.0001 else {
            throw BudgetError(
                description: "budget \(millions(budget)) is out of range: this network can spend from "
                    + "\(millions(cheapest)) to \(millions(dearest)) multiply-adds per image; all steps spend all")
        }
        return budgets.filter { $0.budget <= budget }.reduce(budgets[0]) { best, point in
            best.budget > budget || point.budget > best.budget ? point : best
        }
    }

    /// The most accurate of the stored points, the cheapest of those that tie; without accuracies the dearest.
    public var mostAccuratePoint: Budget? {
        func rank(_ point: Budget) -> (Double, Double) {
            point.top1.map { ($0, -point.budget) } ?? (0, point.budget)
        }
        return budgets.dropFirst().reduce(budgets.first) { best, point in
            best.map { rank(point) > rank($0) ? point : $0 }
        }
    }

    /// Thresholds as given by a person, completed to T: one a step, or one a step but the last.
    ///
    /// - Throws: ``BudgetError``: a wrong number of them, or a value that is negative or not a number.
    public func checked(_ thresholds: [Double]) throws -> [Double] {
        guard [steps - 1, steps].contains(thresholds.count) else {
            throw BudgetError(
                description: "\(thresholds.count) thresholds given for a network of \(steps) steps; "
                    + "give \(steps - 1) or \(steps)")
        }
        for value in thresholds.prefix(steps - 1) where !(value >= 0) {
            throw BudgetError(
                description: "threshold \(value) is not a confidence; use 0 (always exit) or more")
        }
        return thresholds.prefix(steps - 1) + [Self.always]
    }

    private func millions(_ macs: Double) -> String {
        String(format: "%.4gM", macs / 1e6)
    }
}
