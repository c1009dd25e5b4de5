import Foundation

/// Why a benchmark cannot begin; one line that says what to do.
public struct BenchmarkError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    public let description: String
    public var errorDescription: String? { description }

    public init(_ description: String) {
        self.description = description
    }
}
