import Foundation

/// A result file that cannot be used, and what to do about it; one line.
public struct ResultError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    public let description: String
    public var errorDescription: String? { description }

    public init(_ description: String) {
        self.description = description
    }
}
