import Foundation

/// A recording cannot be played.
public struct ReplayError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// What is wrong and what to do, one line.
    public let description: String
    public var errorDescription: String? { description }
}
