import Foundation

/// Core ML cannot load or run a subgraph; one line that says what to do.
public struct CoreMLError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    public let description: String
    public var errorDescription: String? { description }

    public init(_ description: String) {
        self.description = description
    }
}
